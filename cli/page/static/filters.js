// Which of the store's videos are asked, with which run, and whether videos or moments are ranked.

import { make } from "./dom.js";
import { current, go, listing } from "./state.js";

const FILTERS = ["split", "status", "folder", "shortest", "longest", "name"];
const WAIT_MILLISECONDS = 300;

/** Controls above the results. `browsing`: nothing is asked, videos are listed. */
export function controls(about, state, { browsing }) {
  const set = FILTERS.filter((name) => state[name]).length;
  return make("div", { class: "controls" },
    browsing ? null : runs(about, state),
    state.q ? byChoice(state) : null,
    make("details", { class: "filters", open: set > 0 || matchMedia("(min-width: 1000px)").matches },
      make("summary", {}, set ? `Filters (${set})` : "Filters"),
      make("div", { class: "filter-fields" },
        choice("split", "Split", about.splits, state),
        choice("status", "Status", about.statuses, state),
        choice("folder", "Folder", about.folders.filter(Boolean), state),
        browsing ? name(state) : [seconds("shortest", "At least", state), seconds("longest", "At most", state)],
        make("button", { type: "button", class: "plain clear", hidden: !set, onclick: clear }, "Clear filters"),
      ),
    ),
  );
}

/** Set controls to a state without making them anew, so that focus stays where it is. */
export function adjust(bar, state, about) {
  for (const field of bar.querySelectorAll("select, input")) {
    const value = state[field.name] ?? (field.name === "run" ? about.run : "");
    if (field.type === "radio") field.checked = field.value === (state.by ?? "video");
    else if (field !== document.activeElement) field.value = value;
  }
  const set = FILTERS.filter((name) => state[name]).length;
  bar.querySelector("summary").textContent = set ? `Filters (${set})` : "Filters";
  bar.querySelector(".clear").hidden = !set;
}

function runs(about, state) {
  const options = about.runs.map((run) => [run.name, run.name === run.head ? run.name : `${run.name} (${run.head})`]);
  const compared = options.filter(([name]) => name !== (state.run ?? about.run));
  return [
    field("Searched with", select("run", options, state.run ?? about.run)),
    about.runs.length > 1
      ? field("Compared with", select("against", [["", "nothing"], ...compared], state.against ?? ""))
      : null,
  ];
}

function byChoice(state) {
  const radio = (value, words) =>
    make("label", {},
      make("input", {
        type: "radio", name: "by", value, checked: value === (state.by ?? "video"),
        onchange: () => go(listing({ by: value === "video" ? null : value })),
      }),
      make("span", {}, words));
  return make("fieldset", { class: "segments" }, make("legend", { class: "hidden-label" }, "Show"),
    radio("video", "Videos"), radio("moment", "Moments"));
}

function choice(name, label, values, state) {
  if (values.length < 2 && !state[name]) return null;
  const options = [["", "any"], ...[...new Set([...values, state[name]])].filter(Boolean).map((one) => [one, one])];
  return field(label, select(name, options, state[name] ?? ""));
}

function select(name, options, chosen) {
  const choose = ({ target }) => {
    const twice = name === "run" && target.value === current().against; // a run beside itself shows nothing
    go(listing({ [name]: target.value || null, ...(twice && { against: null }) }));
  };
  return make("select", { name, onchange: choose },
    options.map(([value, words]) => make("option", { value, selected: value === chosen }, words)));
}

function seconds(name, label, state) {
  const input = typed(name, { type: "number", min: "0", step: "any", inputmode: "decimal", placeholder: "any" }, state);
  return field(label, make("span", { class: "unit" }, input, make("span", { "aria-hidden": "true" }, "s")), `${label} (seconds)`, input);
}

function name(state) {
  const input = typed("name", { type: "search", placeholder: "part of a name" }, state);
  return field("File", input);
}

function typed(name, attributes, state) {
  let timer = 0;
  const set = () => go(listing({ [name]: input.validity.valid ? input.value.trim() : null }), { replace: true });
  const input = make("input", {
    name, ...attributes, value: state[name] ?? "",
    oninput: () => {
      clearTimeout(timer);
      timer = setTimeout(set, WAIT_MILLISECONDS);
    },
  });
  return input;
}

function field(label, control, spoken = null, input = control) {
  if (spoken) input.setAttribute("aria-label", spoken);
  return make("label", { class: "field" }, make("span", {}, label), control);
}

function clear() {
  go(listing(Object.fromEntries(FILTERS.map((name) => [name, null]))));
}
