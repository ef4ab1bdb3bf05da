// What the page shows is in the address bar, all of it: a link shows a colleague the same, Back returns to it.

/** What a query is. Any of these begins a new list of results. */
export const QUERY = ["q", "like", "at", "picture"];
const CHOICES = ["run", "against", "by", "split", "status", "folder", "shortest", "longest", "name", "offset", "failure"];
/** Which video is open, which span of it loops, whose curve is shown, and of which run, where that is not the first. */
export const PLAYER = ["video", "t", "to", "whole", "word", "phrase", "of"];
/** What decides which results are listed. */
export const LISTED = [...QUERY, ...CHOICES];
// The order of an address, so that one state has one address.
const NAMES = [...LISTED, ...PLAYER];
/** What holds for every page and query until it is changed. */
const KEPT = ["run", "against", "by", "split", "status", "folder", "shortest", "longest"];

const listeners = [];

/** The path and the values of the address; values are strings, what is absent is undefined. */
export function current() {
  const given = new URLSearchParams(location.search);
  const values = Object.fromEntries(NAMES.filter((name) => given.get(name)).map((name) => [name, given.get(name)]));
  return { path: location.pathname, ...values };
}

/** The address of this state with some values changed; null, undefined and "" take a value away. */
export function addressWith(changes, state = current()) {
  const { path, ...values } = { ...state, ...changes };
  const words = new URLSearchParams();
  for (const name of NAMES) {
    const value = values[name];
    if (value !== null && value !== undefined && value !== "") words.set(name, String(value));
  }
  return words.size ? `${path}?${words}` : path;
}

const without = (names) => Object.fromEntries(names.map((name) => [name, null]));

/** Changes that ask something else: what was open, which page of results it was, goes. */
export function asking(query) {
  return { path: "/", ...without([...QUERY, "offset", "name", "failure", ...PLAYER]), ...query };
}

/** Changes that list other results for the same query. */
export function listing(changes) {
  return { offset: null, ...without(PLAYER), ...changes };
}

/** Changes that open a video, or (null) close it. */
export function opening(video, moment = null) {
  const span = moment && moment.end_seconds > moment.start_seconds ? moment : null;
  return {
    ...without(PLAYER),
    video,
    t: span ? seconds(span.start_seconds) : moment && seconds(moment.frame_seconds),
    to: span && seconds(span.end_seconds),
  };
}

/** Another page, with what holds everywhere. */
export function page(path, changes = {}) {
  const state = current();
  return addressWith(changes, { path, ...Object.fromEntries(KEPT.map((name) => [name, state[name]])) });
}

/** Seconds in an address: thousandths tell any two frames apart. */
export function seconds(value) {
  return value === null || value === undefined ? null : String(Math.round(value * 1000) / 1000);
}

/** Go to an address of this page. `replace`: Back does not return to where we are. */
export function visit(address, { replace = false } = {}) {
  if (address === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", address);
  changed();
}

/** Change some values of the address. */
export function go(changes, options) {
  visit(addressWith(changes), options);
}

/** What the search is asked for a state: so many results. Moments are found by words alone. */
export function parametersOf(state, top) {
  const { q, like, at, picture, run, by, split, status, folder, shortest, longest, offset } = state;
  const kind = q ? { q } : picture ? { picture } : { video: like, seconds: at };
  return { ...kind, run, by: q ? by : null, split, status, folder, shortest, longest, offset, top };
}

/** Whether a state asks anything. */
export function asks(state) {
  return QUERY.some((name) => state[name]);
}

/** Be told of every new state. */
export function onState(listener) {
  listeners.push(listener);
}

export function changed() {
  const state = current();
  for (const listener of listeners) listener(state);
}

addEventListener("popstate", changed);
