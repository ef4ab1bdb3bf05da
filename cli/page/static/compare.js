// Two runs beside each other for one query.

import { ask } from "./api.js";
import { cardList, hitCard, remarks, trueMark, trueWords } from "./cards.js";
import { announce, counted, fill, known, make } from "./dom.js";
import { nextFailure } from "./failures.js";
import { go, parametersOf } from "./state.js";

const TOP = 12;
/** How far down the other run's list a video is looked for. */
const LOOKED = 50;

/** What both runs answer. */
export function comparison(state, signal) {
  const search = (run) => ask("/api/search", { ...parametersOf(state, LOOKED), run }, { signal });
  return Promise.all([search(state.run), search(state.against)]);
}

/** Show both answers. */
export function compare(answers, { state, about, summary, results }) {
  const [one, other] = answers;
  fill(summary,
    make("p", { class: "counts" }, `${counted(one.searched, "video")} · ${one.run} beside ${other.run}`),
    make("button", { type: "button", class: "plain", onclick: () => go({ run: other.run, against: one.run }) }, "Swap"),
    nextFailure(state, about),
    one.query.cut ? remarks({ ...one, remark: "" }) : null);
  results.replaceChildren(make("div", { class: "columns" }, column(one, other), column(other, one)));
  announce(`${one.run}: ${ranked(one)}. ${other.run}: ${ranked(other)}.`);
}

function ranked({ true_video: right, hits }) {
  return known(right?.rank) ? `own video at rank ${right.rank}` : counted(hits.length, "result");
}

function column(answer, other) {
  const cards = answer.hits.slice(0, TOP).map((hit) =>
    hitCard(hit, answer, { run: answer.run, extra: [trueMark(answer, hit), movement(hit, other)] }));
  return make("section", { class: "column", "data-run": answer.run, "aria-label": `Results of ${answer.run}` },
    make("h2", {}, answer.run, make("small", {}, answer.head === answer.run ? "" : answer.head)),
    trueWords(answer),
    remarks({ ...answer, query: { cut: false } }),
    cardList(`Results of ${answer.run}`, cards));
}

/** Where the other run has the same video. */
function movement(hit, other) {
  const same = other.hits.find(({ video }) => video === hit.video);
  const words = same
    ? same.rank === hit.rank ? `same rank in ${other.run}` : `rank ${same.rank} in ${other.run}`
    : `not among the first ${LOOKED} of ${other.run}`;
  return make("p", { class: `place movement ${same && same.rank === hit.rank ? "" : "moved"}` }, words);
}
