// Queries that a run gets wrong: a table of them, and the way from one to the next.

import { ask, Latest } from "./api.js";
import { announce, chooser, counted, fill, frame, make, score } from "./dom.js";
import { addressWith, asking, go, page } from "./state.js";

const TOP = 20;

const walked = new Latest();

/** A button to the next query that the run gets wrong; null where the store has no captions. */
export function nextFailure(state, about) {
  if (!about.has_captions) return null;
  const run = state.run ?? about.run;
  const button = make("button", { type: "button", class: "plain next-failure" }, "Next wrong query");
  button.addEventListener("click", () => {
    const offset = state.failure === undefined ? 0 : Number(state.failure) + 1;
    button.disabled = true;
    walked.run(
      (signal) => ask(`/api/runs/${encodeURIComponent(run)}/failures`, { split: state.split, offset, top: 1 }, { signal }),
      ({ failures: [next], wrong, split }) => {
        if (next) return go({ ...asking({ q: next.text }), split, failure: offset });
        button.disabled = wrong === 0;
        button.textContent = wrong ? "That was the last one: begin anew" : `${run} gets none of ${split} wrong`;
        announce(button.textContent);
        return Object.assign(state, { failure: -1 });
      },
      (error) => {
        button.disabled = false;
        button.after(make("p", { class: "trouble", role: "alert" }, error.message));
      },
    );
  });
  return button;
}

const listed = new Latest();

/** Build the page into `main`; returns what shows each later state of it. */
export function failuresView(main, about) {
  const bar = make("div", { class: "controls" });
  const place = make("div");
  main.replaceChildren(make("h1", {}, "Queries that a run gets wrong"), bar, place);

  let shown = null;

  return function show(state) {
    const [run, split, offset] = [state.run ?? about.run, state.split, Number(state.offset ?? 0)];
    if (shown === [run, split, offset].join()) return; // only the player changed
    shown = [run, split, offset].join();
    const choices = (asked) => fill(bar,
      choice("Run", "run", about.runs.map(({ name }) => name), run),
      about.splits.length ? choice("Split", "split", about.splits, asked) : null);
    choices(split);
    if (!about.has_captions) {
      place.replaceChildren(make("p", { class: "empty" }, "The store has no captions, so nothing says which answer is right."));
      return;
    }
    place.setAttribute("aria-busy", "true");
    listed.run(
      (signal) => ask(`/api/runs/${encodeURIComponent(run)}/failures`, { split, offset, top: TOP }, { signal }),
      (answer) => {
        if (answer.split !== split) choices(answer.split); // none was named: the server chose
        draw(answer, { place, state, run, offset });
      },
      (error) => {
        shown = null;
        place.removeAttribute("aria-busy");
        place.replaceChildren(make("p", { class: "empty trouble", role: "alert" }, error.message));
      },
    );
  };
}

function choice(label, name, values, chosen) {
  return chooser(label, values, chosen, { name, onchange: ({ target }) => go({ [name]: target.value, offset: null }) });
}

function draw({ queries, wrong, failures, split }, { place, state, run, offset }) {
  place.removeAttribute("aria-busy");
  const words = `${wrong.toLocaleString("en")} of ${counted(queries, "query").replace("querys", "queries")} of ${split} do not find their video first`;
  const row = (one, i) => make("li", { class: "failure" },
    make("a", { class: "failure-text", href: page("/", { q: one.text, run, split, failure: offset + i }) }, one.text),
    pair("Its video", one.video, `rank ${one.rank.toLocaleString("en")}`),
    pair("Found first", one.first.video, `score ${score(one.first.score)}`));
  const to = (start, words, rel) => make("a", { href: addressWith({ offset: start || null }, state), rel }, words);
  fill(place,
    make("p", { class: "counts" }, words),
    make("ol", { class: "failures", start: offset + 1, "aria-label": "Wrong queries" }, failures.map(row)),
    make("nav", { class: "pages", "aria-label": "Pages of queries" },
      offset ? to(Math.max(0, offset - TOP), "← Previous", "prev") : null,
      offset + failures.length < wrong ? to(offset + TOP, "Next →", "next") : null));
  announce(words);
}

function pair(label, video, words) {
  const box = make("a", { class: "pair", href: addressWith({ video, t: null, to: null }), "data-video": video },
    make("span", { class: "pair-words" }, make("b", {}, label), ` ${words}`));
  // The list names no time; the middle of the cached frames is as good a picture as any.
  ask(`/api/videos/${video}`).then(({ frame_seconds: at }) => {
    if (at.length) box.prepend(frame(video, at[at.length >> 1], { height: 90 }));
  }, () => {}); // without a picture the words still say which video
  return box;
}
