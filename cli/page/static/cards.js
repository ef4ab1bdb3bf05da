// A video as a card: its best picture, what it is called, how well it matches and when.

import { clock, clocks, counted, frame, make, percent } from "./dom.js";
import { addressWith, asking, opening, seconds } from "./state.js";

const SIZES = "(min-width: 2800px) 420px, (min-width: 1600px) 320px, 260px";
/** So many standard deviations above the mean of all scores fill the bar of a card. */
const FULL = 6;

/** A list of cards, which are walked by arrows. */
export function cardList(label, cards) {
  return make("ol", { class: "cards", "aria-label": label }, cards);
}

/** A hit of a search among so many videos. */
export function hitCard(hit, searched, { extra = null, run = null } = {}) {
  const { moment, place } = hit;
  return card(hit, {
    at: moment.frame_seconds,
    address: addressWith({ ...opening(hit.video, moment), ...(run && { run }) }),
    corner: clocks(moment.start_seconds, moment.end_seconds),
    rank: hit.rank,
    facts: [
      make("p", { class: "score" },
        make("b", {}, hit.score.toFixed(3)),
        make("span", { class: "bar", "aria-hidden": "true" }, barOf(place.deviations)),
        make("span", { class: "sigma" }, `${place.deviations.toFixed(1)} σ`),
      ),
      make("p", { class: "place" }, placeWords(place, searched)),
      hit.share_right === null
        ? null
        : make("p", { class: "place" }, `right in ${percent(hit.share_right)} of such hits on validation`),
      extra,
    ],
  });
}

/** A video of the store for which nothing was asked. */
export function videoCard(video) {
  const from = video.clip?.[0] ?? 0;
  const middle = from + ((video.clip?.[1] ?? video.duration_seconds ?? 0) - from) / 2;
  const bad = video.status === "ok" ? null : make("p", { class: "trouble" }, `${video.status}: ${video.reason}`);
  return card(video, {
    at: seconds(middle),
    address: addressWith(opening(video.video)),
    corner: video.duration_seconds === null ? null : clock(video.duration_seconds),
    facts: [bad],
  });
}

/** What a video is called: its first caption, else its file, else its id. */
export function titleOf(video) {
  return video.captions[0] ?? video.file ?? video.id;
}

/** How good a score is among all scores of its query. */
export function placeWords(place, searched) {
  return `better than ${percent(place.share_below)} of ${counted(searched, "video")}`;
}

function card(video, { at, address, corner, facts, rank = null }) {
  const title = titleOf(video);
  const more = video.captions.length - 1;
  return make("li", { class: "card", "data-video": video.video, "data-rank": rank },
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
      make("a", { class: "alike", href: addressWith(asking({ like: video.video })) },
        "More like this", make("span", { class: "hidden-label" }, `: ${title}`)),
    ),
  );
}

function barOf(deviations) {
  const bar = make("i");
  bar.style.inlineSize = `${100 * Math.min(1, Math.max(0, deviations / FULL))}%`;
  return bar;
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

/** Mark the card whose video is open. */
export function markOpened(video) {
  for (const one of document.querySelectorAll(".card")) {
    const opened = one.dataset.video === video;
    one.classList.toggle("opened", opened);
    const link = one.querySelector(".open");
    opened ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
  }
}
