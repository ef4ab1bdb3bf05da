// Trained heads: a list of them, and one with its curves, its settings, its tables and what was published.

import { ask, Latest } from "./api.js";
import { chooser, definitions, fill, make, makeSvg, number, readable, table } from "./dom.js";
import { page, visit } from "./state.js";

const asked = new Latest();
const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT] = [560, 260, 52, 30, 12, 12];
const TICKS = 4;

/** Build the list into `main`; returns what shows each later state of it. */
export function runsView(main, about) {
  return once(main, "Runs", "/api/runs", ({ runs }) => runs.length
    ? [
        table("Trained heads", ["run", "head", "trained", "state", "validation (of 600)", "best epoch", "seconds", ""], runs.map(row)),
        compared(about),
      ]
    : [make("p", { class: "empty" }, "No head was trained on this store yet. In a terminal: ", make("code", {}, "tvr train-head"))]);
}

function row({ name, head, trained, finished, state, seconds, validation }) {
  return [
    make("a", { href: page(pathOf(name)) }, name), head, trained, state || (finished ? "finished" : "unfinished"),
    validation?.score ?? null, validation?.epoch ?? null, seconds ?? null,
    make("a", { href: page("/", { run: name, against: null }) }, "Search with it"),
  ];
}

/** Two runs to choose, and the way to their answers side by side: to a caption of the store, where it has any. */
function compared({ runs, examples }) {
  if (runs.length < 2) return null;
  const names = runs.map(({ name }) => name);
  const [one, other] = [chooser("Compare", names, names[0]), chooser("with", names, names[1])];
  const go = () => visit(page("/", {
    q: examples[0], run: one.lastChild.value, against: other.lastChild.value,
  }));
  return make("div", { class: "controls" }, one, other, make("button", { type: "button", onclick: go }, "Side by side"));
}

function pathOf(name) {
  return `/runs/${encodeURIComponent(name)}`;
}

/** Build the page of one run into `main`. */
export function runView(main, name) {
  return once(main, name, `/api/runs/${encodeURIComponent(name)}`, (run) => [
    make("p", { class: "lead" }, [run.head, run.trained].filter(Boolean).join(" · ")),
    run.caution ? make("p", { class: "notice strong" }, make("b", {}, `${run.caution.label}: `), run.caution.sentence) : null,
    run.notes.map((note) => make("p", { class: "notice mild" }, note)),
    make("p", { class: "actions" },
      make("a", { class: "button", href: page("/", { run: name }) }, "Search with it"),
      make("a", { href: page("/failures", { run: name }) }, "Queries that it gets wrong")),
    curves(run.history),
    run.remarks.map((remark) => make("p", { class: "notice mild" }, remark)),
    run.tables.map(({ title, unlike, columns, rows }) => [
      table(title, columns, rows),
      unlike ? make("p", { class: "fine" }, unlike) : null,
    ]),
    make("section", {}, make("h2", {}, "Settings"), definitions(run.config)),
  ]);
}

/** A page whose content never changes while it is shown. */
function once(main, title, address, content) {
  const place = make("div", { "aria-busy": "true" });
  main.replaceChildren(make("h1", {}, title), place);
  let drawn = false;
  return function show() {
    if (drawn) return;
    drawn = true;
    const done = (...children) => {
      place.removeAttribute("aria-busy");
      fill(place, children);
    };
    asked.run(
      (signal) => ask(address, {}, { signal }),
      (answer) => done(content(answer)),
      (error) => {
        drawn = false;
        done(make("p", { class: "empty trouble", role: "alert" }, error.message));
      },
    );
  };
}

/** A chart for what training lowers, and one for what validation measured. */
function curves(history) {
  if (!history.length) return make("p", { class: "empty" }, "Nothing was trained, so there are no curves.");
  const epochs = history.map(({ epoch }) => epoch);
  const series = (rows) => [...new Set(rows.flatMap((one) => Object.keys(one ?? {})))]
    .map((name) => ({ name: readable(name), values: rows.map((one) => one?.[name] ?? null) }))
    .filter(({ values }) => values.some((one) => typeof one === "number"));
  const losses = series(history.map(({ train_loss: loss, terms }) => ({ "training loss": loss, ...terms })));
  const figures = series(history.map(({ validation }) => (typeof validation === "object" ? validation : { validation })));
  return make("div", { class: "charts" }, chart("Loss", epochs, losses), chart("Validation", epochs, figures));
}

function chart(title, epochs, series) {
  if (!series.length) return null;
  const values = series.flatMap((one) => one.values).filter((one) => typeof one === "number");
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const x = (epoch) => LEFT + ((WIDTH - LEFT - RIGHT) * (epoch - epochs[0])) / (epochs.at(-1) - epochs[0] || 1);
  const y = (value) => HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - TOP) * (value - low)) / (high - low || 1);
  const said = series.map(({ name, values: all }) => `${name} ${number(lastOf(all))}`).join(", ");
  return make("figure", { class: "chart" },
    make("figcaption", {}, title),
    makeSvg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title} after ${epochs.at(-1)} epochs: ${said}` },
      axes(epochs, low, high, x, y),
      series.map((one, i) => makeSvg("path", { class: `series s${i % 6}`, d: pathThrough(epochs, one.values, x, y) }))),
    make("ul", { class: "legend" }, series.map(({ name, values: all }, i) => make("li", {},
      makeSvg("svg", { class: "key", viewBox: "0 0 24 8", "aria-hidden": "true" }, makeSvg("path", { class: `series s${i % 6}`, d: "M0 4H24" })),
      `${name} ${number(lastOf(all))}`))));
}

function lastOf(values) {
  return values.findLast((one) => typeof one === "number");
}

function axes(epochs, low, high, x, y) {
  const heights = [...Array(TICKS + 1).keys()].map((i) => low + ((high - low) * i) / TICKS);
  const step = Math.ceil(epochs.length / 10);
  return [
    heights.map((value) => [
      makeSvg("path", { class: "grid", d: `M${LEFT} ${y(value)}H${WIDTH - RIGHT}` }),
      makeSvg("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, number(Number(value.toPrecision(3)))),
    ]),
    epochs.filter((_, i) => i % step === 0).map((epoch) =>
      makeSvg("text", { x: x(epoch), y: HEIGHT - 10, "text-anchor": "middle" }, String(epoch))),
  ];
}

/** A line through what is there; an epoch without a figure is left out. */
function pathThrough(epochs, values, x, y) {
  const points = values.flatMap((value, i) => (typeof value === "number" ? [`${x(epochs[i]).toFixed(1)} ${y(value).toFixed(1)}`] : []));
  return points.length > 1 ? `M${points.join("L")}` : `M${points[0]}h0.01`;
}
