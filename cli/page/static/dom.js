// Elements without markup: whatever comes from the server becomes a text node or an attribute, never HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element. `on...` are listeners, null and false leave an attribute out, true sets it empty. */
export function make(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An SVG element, likewise. */
export function makeSvg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...present(children));
  return element;
}

/** Children in place of others; null, false and "" stand for none. */
export function fill(element, ...children) {
  element.replaceChildren(...present(children));
}

function present(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== "" && child !== false);
}

/** One of several values to choose, with what it is of before it. */
export function chooser(label, values, chosen, attributes = {}) {
  return make("label", { class: "field" }, make("span", {}, label),
    make("select", attributes, values.map((value) => make("option", { value, selected: value === chosen }, value))));
}

const FIGURE = /^[-+~]?\d[-\d.,\s·*%]*$/;

/** A table of plain values with its caption. Figures are set to the right. */
export function table(caption, columns, rows) {
  const cell = (value) =>
    value instanceof Node
      ? make("td", {}, value)
      : make("td", { class: FIGURE.test(value) ? "number" : null }, shown(value));
  return make(
    "div",
    { class: "scrolled", tabindex: "0", role: "region", "aria-label": caption },
    make(
      "table",
      {},
      make("caption", {}, caption),
      make("thead", {}, make("tr", {}, columns.map((name) => make("th", { scope: "col" }, name)))),
      make("tbody", {}, rows.map((row) => make("tr", {}, row.map(cell)))),
    ),
  );
}

/** Names beside values; an object within is told line by line. */
export function definitions(record) {
  const items = Object.entries(record).map(([name, value]) =>
    make("div", {}, make("dt", {}, readable(name)), make("dd", {}, nested(value) ? definitions(value) : shown(value))),
  );
  return make("dl", { class: "facts" }, items);
}

function nested(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/** A value as a person reads it. */
export function shown(value) {
  if (value === null || value === undefined || value === "") return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return number(value);
  if (Array.isArray(value)) return value.map(shown).join(", ") || "–";
  if (typeof value === "object") return Object.entries(value).map(([k, v]) => `${readable(k)} ${shown(v)}`).join(", ");
  return String(value);
}

/** A number with as many digits as tell it apart, and thousands marked. */
export function number(value) {
  if (Number.isInteger(value)) return value.toLocaleString("en");
  const small = Math.abs(value) < 0.001 && value !== 0;
  return small ? value.toExponential(2) : value.toLocaleString("en", { maximumSignificantDigits: 4 });
}

/** A key of a record as words. */
export function readable(key) {
  return key.replaceAll("_", " ");
}

export function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

/** Whether a figure is there. */
export function known(value) {
  return value !== null && value !== undefined;
}

/** A figure with so many decimals; what rounds to nothing has no sign. */
export function rounded(value, decimals) {
  return value.toFixed(decimals).replace(/^-(0\.0+)$/, "$1");
}

/** A score as it stands everywhere. */
export function score(value) {
  return rounded(value, 3);
}

/** "1 video", "2,000 videos". */
export function counted(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** A time within a file: 3.2 s, from a minute on 1:03.2. */
export function clock(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const tenths = Math.round(seconds * 10);
  if (tenths < 600) return `${(tenths / 10).toFixed(1)} s`;
  const [minutes, rest] = [Math.floor(tenths / 600), ((tenths % 600) / 10).toFixed(1).padStart(4, "0")];
  return minutes < 60
    ? `${minutes}:${rest}`
    : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
}

/** From when to when; a moment that lasts no time is told as one. */
export function clocks(from, to) {
  if (clock(from) === clock(to)) return `at ${clock(from)}`;
  return to < 60 ? `${clock(from).replace(" s", "")}–${clock(to)}` : `${clock(from)} – ${clock(to)}`;
}

/** Which of some seconds is nearest. */
export function nearestOf(times, seconds) {
  return times.reduce((best, at, i) => (Math.abs(at - seconds) < Math.abs(times[best] - seconds) ? i : best), 0);
}

/** The picture of a video at a second. Where there is none, a word stands in its place. */
export function frame(video, seconds, { height = 180, alt = "", sizes = null } = {}) {
  const address = (lines) => `/api/videos/${video}/frame?seconds=${seconds}&height=${lines}`;
  const picture = make("img", {
    alt,
    loading: "lazy",
    decoding: "async",
    draggable: "false",
    sizes,
    srcset: sizes && `${address(180)} 320w, ${address(360)} 640w`,
    src: address(height),
    onload: () => picture.classList.toggle("upright", picture.naturalWidth < picture.naturalHeight),
    onerror: () => picture.replaceWith(make("span", { class: "no-picture" }, "no picture")),
  });
  return picture;
}

/** Tell people who hear the page; the same words again are told again. */
export function announce(words) {
  const region = document.getElementById("announcement");
  region.textContent = "";
  region.textContent = words;
}

const ICONS = {
  play: "M6 3.5v13l11-6.5z",
  pause: "M5 4h3.5v12H5zM11.5 4H15v12h-3.5z",
  loud: "M3 8v4h3l4 3.5v-11L6 8zM13 7.2a4 4 0 0 1 0 5.6M15.4 5a7 7 0 0 1 0 10",
  mute: "M3 8v4h3l4 3.5v-11L6 8zM13 7.5l4.5 5M17.5 7.5l-4.5 5",
  full: "M3 7.5V4h4M13 4h4v3.5M17 12.5V16h-4M7 16H3v-3.5",
};

/** A button that shows one of the icons. */
export function iconButton(label, icon, press) {
  return relabel(make("button", { type: "button", class: "icon", onclick: press }), label, icon);
}

/** Another label and icon for such a button. */
export function relabel(button, label, icon) {
  button.setAttribute("aria-label", label);
  button.replaceChildren(makeSvg("svg", { viewBox: "0 0 20 20", "aria-hidden": "true" }, makeSvg("path", { d: ICONS[icon] })));
  return button;
}
