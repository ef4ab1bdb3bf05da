// Which page is shown, what must be known of it first, and the keys.

import { ask, connection, Gone } from "./api.js";
import { markOpened, walk } from "./cards.js";
import { announce, fill, make } from "./dom.js";
import { failuresView } from "./failures.js";
import { Player } from "./player.js";
import { runsView, runView } from "./runs.js";
import { searchView, showQuery, takePictures, wireBox } from "./search.js";
import { changed, current, onState, page, visit } from "./state.js";
import { storeView } from "./store.js";

const RETRY_MILLISECONDS = 2000;
/** The label of a caution that says "weak", not "meaningless". */
const MILD = "weak encoder";
const TITLE_MOST = 60;

const main = document.getElementById("main");
const header = document.querySelector("header.top");
const notices = document.getElementById("notices");
const player = new Player(document.getElementById("player"));
const narrow = matchMedia("(max-width: 999px)");
let about = null;
let view = null; // {path, show}

function viewOf(path) {
  const [, room, ...rest] = path.split("/");
  if (room === "video") return alone;
  if (room === "store") return storeView(main, about);
  if (room === "failures") return failuresView(main, about);
  if (room === "runs" && rest.join("/")) return runView(main, decodeURIComponent(rest.join("/")));
  if (room === "runs") return runsView(main, about);
  return searchView(main, about);
}

/** The page of one video is the player. */
function alone({ video }) {
  fill(main, make("h1", {}, "Video"), !video && make("p", { class: "empty" }, "No video is open. ", make("a", { href: page("/") }, "Search for one")));
}

function show(state) {
  if (!about) return;
  const moved = view && view.path !== state.path;
  if (!view || moved) view = { path: state.path, show: viewOf(state.path) };
  document.body.dataset.page = state.path.split("/")[1] || "search";
  showQuery(state);
  view.show(state);
  player.show(state);
  markOpened(state);
  for (const behind of [header, notices, main]) behind.inert = narrow.matches && player.isOpen;
  document.body.classList.toggle("playing", player.isOpen);
  markPage(state);
  if (moved) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
}

function markPage(state) {
  for (const link of document.querySelectorAll("nav[aria-label=Pages] a")) {
    const here = link.dataset.page === "/" ? state.path === "/" : state.path.startsWith(link.dataset.page);
    here ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
    link.href = page(link.dataset.page, link.dataset.page === "/" ? { q: state.q } : {});
  }
  const asked = state.q ?? (state.picture ? "a picture" : state.like ? `like video ${state.like}` : null);
  const heading = state.path === "/" ? asked : main.querySelector("h1")?.textContent;
  document.title = [heading?.slice(0, TITLE_MOST), `tvr ${about.dataset}`].filter(Boolean).join(" · ");
}

/** What a reader must know first; none of it can be put away. */
function showNotices() {
  const { caution, notes } = about;
  const mild = caution?.label === MILD;
  fill(notices,
    caution && make("p", { class: `notice ${mild ? "mild" : "strong"}`, "data-caution": caution.label },
      make("b", {}, caution.label), ` ${caution.sentence}.`),
    notes.map((note) => make("p", { class: "notice mild" }, note)));
}

/** Say something once; it can be put away. */
function say(words) {
  const notice = make("p", { class: "notice strong said", role: "alert" }, words,
    make("button", { type: "button", class: "icon", "aria-label": "Put away", onclick: () => notice.remove() }, "×"));
  document.querySelector(".said")?.remove();
  document.body.append(notice); // where it is seen, however far down the page one is
}

async function begin() {
  try {
    about = await ask("/api/about");
  } catch (error) {
    if (error instanceof Gone) return; // the connection's own notice asks again
    main.replaceChildren(make("h1", {}, "Nothing to show yet"), make("p", { class: "empty trouble", role: "alert" }, error.message));
    return;
  }
  showNotices();
  view = null;
  changed();
}

/** While the server is gone a line says so, and asks again until it is back. */
function watchConnection() {
  let timer = 0;
  connection.addEventListener("gone", () => {
    if (timer) return;
    document.body.append(make("p", { id: "gone", class: "notice strong", role: "alert" },
      make("b", {}, "The server does not answer."), " Is ", make("code", {}, "tvr serve"), " still running? This page asks again by itself."));
    timer = setInterval(() => ask("/api/about").catch(() => {}), RETRY_MILLISECONDS);
  });
  connection.addEventListener("back", () => {
    if (!timer) return;
    clearInterval(timer);
    timer = 0;
    document.getElementById("gone").remove();
    announce("The server is back.");
    begin(); // perhaps another store or run
  });
}

/** Links within the page change the state; what is to open elsewhere is left to the browser. */
function followLinks() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    const elsewhere = event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
    if (!link || elsewhere || event.defaultPrevented || link.origin !== location.origin || link.hash) return;
    event.preventDefault();
    visit(link.pathname + link.search);
    if (narrow.matches && player.isOpen) player.panel.focus();
  });
}

const writes = (target) => target.closest("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");

function pressed(event) {
  if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.altKey) return;
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "Escape") escape(event);
  else if ((!writes(event.target) || leavesBox(event)) && KEYS[event.key]?.(event)) event.preventDefault();
}

/** From the search box down to the first card. */
function leavesBox({ key, target }) {
  return key === "ArrowDown" && target.id === "query";
}

/** What a key does; true where it did something. */
const KEYS = {
  "/": () => {
    if (narrow.matches && player.isOpen) player.close();
    const box = document.getElementById("query");
    box.focus();
    box.select();
    return true;
  },
  "?": () => {
    document.getElementById("keys").showModal();
    return true;
  },
  " ": ({ target }) => {
    if (target.closest("button, summary, [type=checkbox], [type=radio]")) return false;
    if (player.isOpen) player.toggle();
    else if (target.matches(".card .open")) target.click();
    else return false;
    return true;
  },
  "[": () => player.isOpen && (player.setEnd("start"), true),
  "]": () => player.isOpen && (player.setEnd("end"), true),
  ArrowLeft: walked,
  ArrowRight: walked,
  ArrowUp: walked,
  ArrowDown: walked,
};

/** With the player open it goes along with the cards, and Back does not return to each. */
function walked({ key, target }) {
  if (target.matches("[type=radio]")) return false;
  const link = walk(key);
  if (link && player.isOpen) visit(link.pathname + link.search, { replace: true });
  return Boolean(link);
}

function escape(event) {
  if (writes(event.target)) {
    event.preventDefault(); // else a search box would be emptied
    event.target.blur();
  }
  else if (player.isOpen) player.close();
}

wireBox();
takePictures(say);
followLinks();
watchConnection();
document.getElementById("show-keys").addEventListener("click", () => document.getElementById("keys").showModal());
addEventListener("keydown", pressed);
narrow.addEventListener("change", () => show(current()));
onState(show);
begin();
