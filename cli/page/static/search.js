// The start page: what is asked, and what was found.

import { ask, Latest } from "./api.js";
import { cardList, hitCard, remarks, sentence, trueMark, trueWords, videoCard } from "./cards.js";
import { compare, comparison } from "./compare.js";
import { announce, counted, fill, frame, make } from "./dom.js";
import { nextFailure } from "./failures.js";
import { adjust, controls } from "./filters.js";
import { addressWith, asking, asks, go, LISTED, listing, parametersOf } from "./state.js";

const TOP = 24;
const MOST_PICTURE_BYTES = 10_000_000;
const TYPING_MILLISECONDS = 220;
/** A slow answer dims what it will replace only after this, so that quick ones do not flicker. */
const SLOW_MILLISECONDS = 250;

const asked = new Latest();
let shownText = "";
let typing = false; // what is typed in one go is one entry of the history

/** Make the box at the top work. */
export function wireBox() {
  const [form, box] = [document.getElementById("search"), document.getElementById("query")];
  let timer = 0;
  const search = () => {
    clearTimeout(timer);
    const text = box.value.trim();
    if (text === (readText(location) ?? "")) return;
    go(asking({ q: text }), { replace: typing });
    typing = true;
  };
  const settle = () => {
    search();
    typing = false;
  };
  box.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, TYPING_MILLISECONDS);
  });
  box.addEventListener("change", settle);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    settle();
  });
}

function readText({ search }) {
  return new URLSearchParams(search).get("q");
}

/** Show the query in the box, words or example. */
export function showQuery(state) {
  const box = document.getElementById("query");
  const text = state.q ?? "";
  // What is being typed stays, whatever else changes meanwhile.
  if (text !== shownText && box.value.trim() !== text) box.value = text;
  shownText = text;
  const chip = document.getElementById("example");
  chip.hidden = !(state.like || state.picture);
  if (chip.hidden) return;
  const picture = state.picture
    ? make("img", { src: `/api/pictures/${encodeURIComponent(state.picture)}`, alt: "" })
    : frame(state.like, state.at ?? 0, { height: 90 });
  const words = state.picture ? "Like this picture" : state.at ? "Like this frame" : "Like this video";
  chip.replaceChildren(picture, make("span", {}, words),
    make("a", { href: addressWith(asking({})), "aria-label": "Remove the example" }, "×"));
  if (state.like && !state.at) fillFrame(chip, state.like);
}

/** A video's picture is that of its middle frame, which only the server knows. */
function fillFrame(chip, video) {
  ask(`/api/videos/${video}`).then(({ frame_seconds: seconds }) => {
    if (seconds.length) chip.firstChild.replaceWith(frame(video, seconds[seconds.length >> 1], { height: 90 }));
  }, () => {}); // the results say what is wrong with the query
}

/** Build the page into `main`; returns what shows each later state of it. */
export function searchView(main, about) {
  const greeting = make("div", { class: "greeting" });
  const bar = make("div", { class: "bar-place" });
  const summary = make("div", { class: "summary" });
  const results = make("div", { class: "results", tabindex: "-1" });
  main.replaceChildren(make("h1", { class: "hidden-label" }, "Search"), greeting, bar, summary, results);
  let [kind, listed] = [null, null];

  return function show(state) {
    const list = JSON.stringify(LISTED.map((name) => state[name]));
    if (list === listed) return; // only the player changed
    if (listed !== null) scrollTo(0, 0);
    listed = list;
    const now = asks(state) ? `asked ${state.run} ${Boolean(state.q)}` : "browsed";
    if (now === kind) adjust(bar, state, about);
    else renew(bar, controls(about, state, { browsing: !asks(state) }));
    kind = now;
    fill(greeting, !asks(state) && !filtered(state) && welcome(about, state));
    const slow = setTimeout(() => {
      results.setAttribute("aria-busy", "true");
      if (!results.firstChild) fill(results, make("p", { class: "empty" }, "Searching …"));
    }, SLOW_MILLISECONDS);
    const done = () => {
      results.removeAttribute("aria-busy");
      // What had the focus goes with the old list.
      if (results.contains(document.activeElement)) results.focus();
    };
    const [task, draw] = asks(state) ? askedOf(state) : browsed(state);
    asked.run(
      (signal) => task(signal).finally(() => clearTimeout(slow)),
      (answer) => {
        done();
        draw(answer, { state, about, summary, results });
      },
      (error) => {
        done();
        listed = null;
        summary.replaceChildren();
        results.replaceChildren(make("p", { class: "empty trouble", role: "alert" }, error.message));
      },
    );
  };
}

/** Put controls in place of others; focus stays on what it was on. */
function renew(bar, made) {
  const focused = bar.contains(document.activeElement) ? document.activeElement.name : null;
  bar.replaceChildren(made);
  if (focused) bar.querySelector(`[name="${focused}"]`)?.focus();
}

function filtered({ split, status, folder, shortest, longest, name }) {
  return split || status || folder || shortest || longest || name;
}

function askedOf(state) {
  if (state.against) return [(signal) => comparison(state, signal), compare];
  return [(signal) => ask("/api/search", parametersOf(state, TOP), { signal }), drawHits];
}

function drawHits(answer, { state, about, summary, results }) {
  const noun = answer.by === "moment" ? "moment" : "video";
  const facts = [
    answer.hits.length
      ? `Best ${answer.offset + 1}–${answer.offset + answer.hits.length} ${noun === "moment" ? "moments of" : "of"} ${counted(answer.searched, "video")}`
      : answer.searched ? `None of ${counted(answer.searched, "video")}` : "No video to search",
    `searched with ${answer.run}`,
  ].join(" · ");
  fill(summary, make("p", { class: "counts" }, facts), trueWords(answer), nextFailure(state, about), answer.hits.length > 0 && remarks(answer));
  fill(results,
    answer.hits.length
      ? cardList("Results", answer.hits.map((hit) => hitCard(hit, answer, { extra: trueMark(answer, hit) })))
      : make("p", { class: "empty" }, sentence(answer.remark || "nothing was found")),
    pages(state, answer.offset, answer.hits.length === TOP),
  );
  announce(`${facts}. ${answer.remark}`);
}

function browsed(state) {
  const { offset, split, status, folder, name } = state;
  const task = (signal) => ask("/api/videos", { offset, split, status, folder, name, top: TOP }, { signal });
  return [task, drawVideos];
}

function drawVideos({ total, videos }, { state, summary, results }) {
  const first = Number(state.offset ?? 0);
  const counts = total ? `${counted(total, "video")}, ${first + 1}–${first + videos.length} shown` : "No video";
  summary.replaceChildren(make("p", { class: "counts" }, counts));
  fill(results,
    videos.length
      ? cardList("Videos", videos.map(videoCard))
      : make("p", { class: "empty" }, filtered(state) ? "No video passes the filters." : "The store holds no video."),
    pages(state, first, first + videos.length < total),
  );
  announce(counts);
}

function welcome(about, { run, against }) {
  const examples = about.examples.map((text) =>
    make("li", {}, make("a", { href: addressWith(asking({ q: text })) }, text)));
  return make("section", { class: "welcome" },
    make("h2", {}, "Describe a moment. See where it is."),
    make("p", {}, `${counted(about.videos, "video")} in ${about.store}. Write what is to be seen, drop a picture, or take a video below as the example.`),
    against && make("p", {}, `What is asked is answered by ${run ?? about.run} and by ${against}, side by side.`),
    examples.length
      ? [make("p", { class: "try" }, "Captions of this store to try:"), make("ul", { class: "examples" }, examples)]
      : make("p", { class: "try" }, "The store has no captions; a plain sentence such as “a dog on a beach” will do."),
  );
}

function pages(state, offset, more) {
  const to = (start) => addressWith(listing({ offset: start || null }), state);
  if (!offset && !more) return "";
  return make("nav", { class: "pages", "aria-label": "Pages of results" },
    offset ? make("a", { href: to(Math.max(0, offset - TOP)), rel: "prev" }, "← Previous") : null,
    more ? make("a", { href: to(offset + TOP), rel: "next" }, "Next →") : null,
  );
}

/** Take pictures as queries from now on: dropped anywhere on the page, pasted, or chosen. `say` tells the person what went wrong. */
export function takePictures(say) {
  const file = document.getElementById("picture-file");
  const take = (picture) => searchFor(picture).catch((error) => say(error.message));

  document.getElementById("choose-picture").addEventListener("click", () => file.click());
  file.addEventListener("change", () => {
    if (file.files.length) take(file.files[0]);
    file.value = ""; // the same file may be chosen again
  });
  addEventListener("paste", (event) => {
    const picture = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
    if (!picture) return;
    event.preventDefault();
    take(picture);
  });
  takeDropped(take);
}

function takeDropped(take) {
  const veil = document.getElementById("drop");
  const brings = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    veil.hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) veil.hidden = true;
  });
  addEventListener("drop", (event) => {
    if (!brings(event)) return;
    event.preventDefault(); // else the browser would leave the page for the file
    veil.hidden = true;
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
}

async function searchFor(picture) {
  if (!picture.type.startsWith("image/")) {
    throw new Error(`${picture.name} is not a picture. PNG, JPEG and WebP can be searched with.`);
  }
  if (picture.size > MOST_PICTURE_BYTES) {
    throw new Error(`${picture.name} has ${(picture.size / 1e6).toFixed(1)} MB; at most 10 MB. Use a smaller copy.`);
  }
  const { picture: id } = await ask("/api/pictures", {}, {
    method: "POST",
    body: picture,
    headers: { "Content-Type": picture.type },
  });
  go(asking({ picture: id }));
}
