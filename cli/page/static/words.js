// The words of the query as buttons: each shows when it is seen in the video; phrases and the whole query, too.

import { make, makeSvg, score } from "./dom.js";

/** Words that say nothing of what is seen; where one of the others matters, that is what decided. */
const FUNCTION_WORDS = new Set(
  ("a an the this that these those and or but nor so as if while when of in on at to from by with without for into onto about " +
    "is are was were be been being am do does did has have had will would can could may might it its he she they them his her their there here then " +
    "who which what where some any very").split(" "),
);
const ORDINALS = ["first", "second", "third", "fourth", "fifth"];

/** Every curve there is to choose: the whole query's, each word's, each phrase's. */
export function curvesOf({ curve, words, word_scores: scores, phrases, frame_seconds: seconds }) {
  const one = (kind, label, values, name, place) => ({ kind, label, values, seconds, name, place });
  return [
    one("query", "the whole query", curve, null, null),
    ...words.map((word, i) => one("word", `“${word}”`, scores[i], "word", i)),
    // A phrase of the head that gathers no word says nothing to a reader.
    ...phrases.flatMap((phrase, i) => phrase.words.length === 0 ? [] : one("phrase", `“${phrase.words.map((at) => words[at]).join(" … ")}”`, phrase.curve, "phrase", i)),
  ];
}

/** The curve that a state has chosen; the whole query's where it names none. */
export function chosenCurve(curves, { word, phrase }) {
  const is = (name, value) => (one) => one.name === name && String(one.place) === value;
  return curves.find(is("word", word)) ?? curves.find(is("phrase", phrase)) ?? curves[0];
}

/** Buttons for all curves; `choose` is told the chosen one. */
export function wordButtons(alignment, curves, chosen, choose) {
  const all = alignment.word_scores.flat();
  const range = [Math.min(...all), Math.max(...all)];
  const decided = decidingWord(alignment);
  const group = (label, kind, words = ({ label: text }) => [text.slice(1, -1)]) => {
    const own = curves.filter((one) => one.kind === kind);
    if (!own.length) return null;
    return make("div", { class: "word-row", role: "group", "aria-label": label },
      make("span", { class: "row-name", "aria-hidden": "true" }, label),
      own.map((one) => button(one, words(one), one === chosen, range, choose, kind === "word" && one.place === decided)));
  };
  return make("div", { class: "words-of-query" },
    group("Query", "query", () => ["All words"]),
    group("Words", "word"),
    group("Phrases", "phrase", ({ place }) => weighted(alignment, alignment.phrases[place])),
  );
}

/** A sentence on the word that decided the match; nothing where none did. */
export function decision(alignment) {
  const place = decidingWord(alignment);
  if (place === null) return null;
  return make("p", { class: "decision" }, "Decided by ", which(alignment.words, place), make("b", {}, `“${alignment.words[place]}”`),
    `: without it the score of the whole video is ${score(alignment.scores_without[place])}, with it ${score(alignment.score)}.`);
}

/** Of a word that stands several times, which of them. */
function which(words, place) {
  const same = words.flatMap((word, i) => (word === words[place] ? [i] : []));
  return same.length > 1 ? `the ${ORDINALS[same.indexOf(place)] ?? "last of many"} ` : "";
}

/** The place of the word without which the score falls most, function words last; null where none matters, or nobody looked. */
export function decidingWord({ words, score: whole, scores_without: without }) {
  const mattering = without.flatMap((one, place) => (one < whole ? [place] : []));
  const telling = mattering.filter((place) => !FUNCTION_WORDS.has(words[place].toLowerCase().replace(/[^\p{L}]/gu, "")));
  const among = telling.length ? telling : mattering;
  return among.length ? among.reduce((best, place) => (without[place] < without[best] ? place : best)) : null;
}

function button(curve, words, pressed, range, choose, decided = false) {
  return make("button", {
    type: "button", class: `word ${curve.kind}${decided ? " decided" : ""}`, "aria-pressed": pressed ? "true" : "false",
    "data-curve": curve.kind, "data-place": curve.place, onclick: () => choose(curve),
  }, make("span", { class: "text" }, words), spark(curve.values, range));
}

/** A phrase's words, paler where they count less. */
function weighted({ words }, { words: places, weights }) {
  const most = Math.max(...weights) || 1;
  return places.map((place, i) => {
    const word = make("span", {}, i ? ` ${words[place]}` : words[place]);
    word.style.opacity = String(0.65 + (0.35 * weights[place]) / most);
    return word;
  });
}

/** A curve as small as a word, on the scale that all words share. */
function spark(values, [low, high]) {
  const x = (i) => (values.length > 1 ? (60 * i) / (values.length - 1) : 30);
  const y = (value) => 13 - (12 * (Math.min(high, Math.max(low, value)) - low)) / (high - low || 1);
  const line = values.map((value, i) => `${i ? "L" : "M"}${x(i).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  return makeSvg("svg", { class: "spark", viewBox: "0 0 60 14", preserveAspectRatio: "none", "aria-hidden": "true" },
    makeSvg("path", { d: line }));
}
