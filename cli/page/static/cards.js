// A video as a card: its best picture, what it is called, how well it matches and when; and what is said above cards.

import { announce, clock, clocks, counted, definitions, frame, known, make, nearestOf, percent, rounded, score } from "./dom.js";
import { addressWith, asking, current, go, opening, seconds } from "./state.js";

const SIZES = "(min-width: 2800px) 420px, (min-width: 1600px) 320px, 260px";
/** So many standard deviations above the mean of all scores fill the bar of a card. */
const FULL = 6;
const ENDING_CHARACTERS = 100;

/** A list of cards, which are walked by arrows. */
export function cardList(label, cards) {
  return make("ol", { class: "cards", "aria-label": label }, cards);
}

/** A hit of an answer. `extra`: what else is said of it; `run`: the one that found it, where two are compared. */
export function hitCard(hit, { searched, calibrated_on: calibrated }, { extra = null, run = null } = {}) {
  const { moment, place } = hit;
  return card(hit, {
    at: moment.frame_seconds,
    address: addressWith({ ...opening(hit.video, moment), of: run === current().against ? run : null }),
    corner: clocks(moment.start_seconds, moment.end_seconds),
    rank: hit.rank,
    t: opening(hit.video, moment).t,
    facts: [
      make("p", { class: "score" },
        make("b", {}, score(hit.score)),
        known(place?.deviations) && [
          make("span", { class: "bar", "aria-hidden": "true" }, barOf(place.deviations)),
          make("span", { class: "sigma" }, `${rounded(place.deviations, 1)} σ`),
        ],
      ),
      place && make("p", { class: "place" }, placeWords(place, hit.rank, searched)),
      known(hit.share_right) && hit.share_right >= 0.005 && make("p", { class: "place" }, `For captions, ${Math.round(100 * hit.share_right)} % of hits of such a score were right (${calibrated ?? "validation"})`),
      extra,
    ],
  });
}

/** A video of the store for which nothing was asked. */
export function videoCard(video) {
  const middle = (video.clip?.[0] ?? 0) + (video.duration_seconds ?? 0) / 2;
  const bad = video.status === "ok" ? null : make("p", { class: "trouble" }, `${video.status}: ${video.reason}`);
  return card(video, {
    at: seconds(middle),
    address: addressWith(opening(video.video)),
    corner: known(video.duration_seconds) ? clock(video.duration_seconds) : null,
    facts: [bad],
  });
}

/** What a video is called: its first caption, else its file, else its id. */
export function titleOf(video) {
  return video.captions[0] ?? video.file ?? video.id;
}

/** How good a score is among all scores of its query. */
export function placeWords(place, rank, searched) {
  if (rank === 1) return `best of ${counted(searched, "video")}`;
  const below = Math.floor(1000 * place.share_below) / 1000; // all but one are never 100.0 %
  return `better than ${percent(below)} of ${counted(searched, "video")}`;
}

function card(video, { at, address, corner, facts, rank = null, t = null }) {
  const title = titleOf(video);
  const more = video.captions.length - 1;
  return make("li", { class: "card", "data-video": video.video, "data-t": t, "data-rank": rank },
    make("div", { class: "picture" },
      frame(video.video, at, { sizes: SIZES }),
      rank && make("span", { class: "rank" }, String(rank)),
      corner && make("span", { class: "corner" }, corner),
    ),
    make("div", { class: "words" },
      make("a", { class: "open", href: address, title }, title),
      more > 0 ? make("p", { class: "file" }, `and ${counted(more, "more caption")}`) : null,
      make("p", { class: "file", title: video.id }, [video.folder, video.file ?? video.id].filter(Boolean).join("/")),
      facts,
      video.frames > 0 && make("a", { class: "alike", href: addressWith(asking({ like: video.video })) },
        "More like this", make("span", { class: "hidden-label" }, `: ${title}`)),
    ),
  );
}

function barOf(deviations) {
  const bar = make("i");
  bar.style.inlineSize = `${100 * Math.min(1, Math.max(0, deviations / FULL))}%`;
  return bar;
}

/** All that is known of one video, and what can be done with it. `here` tells the second that is shown. */
export function videoFacts(one, here) {
  const frames = one.frame_seconds;
  const likeFrame = () => go(asking({ like: one.video, at: seconds(frames[nearestOf(frames, here())]) }));
  const state = current();
  return [
    make("div", { class: "actions" },
      make("a", { class: "button", href: addressWith(asking({ like: one.video })) }, "More like this video"),
      make("button", { type: "button", class: "plain", disabled: !frames.length, onclick: likeFrame }, "More like this frame"),
      make("button", { type: "button", class: "plain", onclick: copyLink }, "Copy link"),
      state.path === "/video" ? null : make("a", { href: addressWith({}, { ...state, path: "/video" }) }, "On a page of its own")),
    one.moved && make("p", { class: "notice mild" }, "The file moved since its features were made; it was found by its name and size."),
    one.status !== "ok" && make("p", { class: "notice mild" }, `${one.status}: ${one.reason}. ${counted(frames.length, "frame")} could be read.`),
    one.captions.length > 0 && make("ul", { class: "captions", "aria-label": "Captions" }, one.captions.map((text) =>
      make("li", {}, make("a", { href: addressWith({ ...asking({ q: text }), video: one.video }) }, text)))),
    definitions({
      id: one.id, file: one.file, folder: one.folder, splits: one.splits, length: clock(one.duration_seconds ?? NaN),
      ...(one.clip && { clip: known(one.clip[1]) ? clocks(...one.clip) : `from ${clock(one.clip[0])} on` }), "cached frames": frames.length,
    }),
  ];
}

function copyLink({ target }) {
  navigator.clipboard?.writeText(location.href).then(() => {
    target.textContent = "Copied";
    announce("The link is copied.");
  }, () => announce("The link could not be copied: copy it from the address bar."));
}

/** What must be known of an answer before its cards are read. */
export function remarks(answer) {
  const { query } = answer;
  return [
    query.cut ? make("p", { class: "notice mild", title: query.read }, `The query is longer than the model reads. It read: “${ending(query.read)}”`) : null,
    answer.remark ? make("p", { class: "notice mild" }, sentence(answer.remark)) : null,
    answer.uncalibrated ? make("p", { class: "fine" }, sentence(answer.uncalibrated)) : null,
  ];
}

/** Of long words their end, which tells where reading stopped. */
function ending(words) {
  return words.length > ENDING_CHARACTERS ? `… ${words.slice(-ENDING_CHARACTERS)}` : words;
}

/** Words with a capital and a full stop. */
export function sentence(words) {
  return words.charAt(0).toUpperCase() + words.slice(1) + (/[.!?]$/.test(words) ? "" : ".");
}

/** Where the video is for which the query was written. */
export function trueWords(answer) {
  const { true_video: right } = answer;
  if (!right) return null;
  return make("p", { class: "true-rank", "data-rank": right.rank },
    "This is a caption of the store; its own video ",
    known(right.rank) ? ["is at rank ", make("b", {}, right.rank.toLocaleString("en"))] : "was not compared",
    known(right.score) ? `, score ${score(right.score)}. ` : ". ",
    answer.hits.some((hit) => hit.video === right.video)
      ? null
      : make("a", { href: addressWith({ video: right.video, t: null, to: null }) }, "Show it"),
  );
}

/** A mark on the video for which the query was written. */
export function trueMark(answer, hit) {
  return answer.true_video?.video === hit.video ? make("p", { class: "true-mark" }, "written for this video") : null;
}

/** Move the focus to a neighbouring card; false where there is none. */
export function walk(key) {
  const links = [...document.querySelectorAll(".card .open")].filter((link) => link.checkVisibility());
  if (!links.length) return false;
  const now = links.indexOf(document.activeElement);
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -perRow(links), ArrowDown: perRow(links) }[key];
  const next = now < 0 ? chosen(links) : links[now + step];
  if (!next) return false;
  next.focus();
  next.scrollIntoView({ block: "nearest" });
  return next;
}

function perRow(links) {
  const tops = links.map((link) => Math.round(link.closest(".card").getBoundingClientRect().top));
  const first = tops.findIndex((top) => top !== tops[0]);
  return first < 0 ? links.length : first;
}

function chosen(links) {
  return links.find((link) => link.closest(".card").classList.contains("opened")) ?? links[0];
}

/** Mark the card whose video is open; where several moments of it are listed, the open one. */
export function markOpened({ video, t }) {
  const cards = [...document.querySelectorAll(".card")];
  const own = cards.filter((card) => card.dataset.video === video);
  const exact = own.filter((card) => card.dataset.t === t);
  const opened = exact.length ? exact : own;
  for (const card of cards) {
    card.classList.toggle("opened", opened.includes(card));
    const link = card.querySelector(".open");
    if (opened.includes(card)) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}
