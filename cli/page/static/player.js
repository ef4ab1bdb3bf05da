// The player: a video from the start of its span, over and over, and below it why the span was found.

import { ask, Latest, Refused } from "./api.js";
import { titleOf, videoFacts } from "./cards.js";
import { announce, clock, clocks, fill, frame, iconButton, make, nearestOf, relabel } from "./dom.js";
import { Media } from "./media.js";
import { go, opening, seconds } from "./state.js";
import { rangeOf, spanOf, Timeline, windowOf } from "./timeline.js";
import { chosenCurve, curvesOf, decision, wordButtons } from "./words.js";

const SPEEDS = [0.25, 0.5, 1, 2];
/** A press this near to the span is meant for it. */
const NEAR_SECONDS = 0.03;
/** What is shorter would flicker: it plays with some of what is around it. */
const SHORTEST_LOOP_SECONDS = 1;
const SHORTEST_SPAN_SECONDS = 0.1;

export class Player {
  #state = {};
  #opened = null; // what the server says of the video
  #alignment = null;
  #near = undefined; // the second by which its part of a long video was chosen
  #span = null;
  #length = undefined;
  #details = new Latest();
  #words = new Latest();

  constructor(panel) {
    this.panel = panel;
    this.media = new Media({ moved: () => this.#showTime(), said: (words, again) => this.#say(words, again) });
    this.video = this.media.video;
    this.#build();
  }

  get isOpen() {
    return !this.panel.hidden;
  }

  /** Show what a state says: another video, another span of it, another word, or none. */
  show(state) {
    const before = this.#state;
    this.#state = state;
    if (!state.video) return this.#close();
    if (state.video !== before.video || !this.isOpen) this.#open();
    const compared = ["video", "q", "run", "of"].some((name) => state[name] !== before[name]);
    if (compared || this.#isElsewhere(state)) this.#align();
    const moved = ["video", "t", "to", "whole"].some((name) => state[name] !== before[name]);
    if (moved) this.#settle(true);
    this.#drawWords();
    return undefined;
  }

  toggle() {
    this.media.toggle();
  }

  /** Begin or end the span where the video is now. */
  setEnd(which) {
    const [from, to] = this.#span ?? this.#range;
    const at = this.media.position;
    if (which === "start") this.#setSpan(at, at < to ? to : this.#range[1], true);
    else if (Math.abs(at - from) < SHORTEST_SPAN_SECONDS) this.#setSpan(from, from + SHORTEST_SPAN_SECONDS, true);
    else this.#setSpan(at > from ? from : this.#range[0], at, true);
  }

  #build() {
    this.title = make("h2", { id: "player-title" });
    this.still = make("div", { class: "still" });
    this.message = make("p", { class: "message", role: "status" });
    this.playButton = iconButton("Play", "play", () => this.toggle());
    this.playButton.classList.add("play");
    this.time = make("span", { class: "time" });
    this.whole = make("input", { type: "checkbox", role: "switch", onchange: () => this.#setWhole(this.whole.checked) });
    this.spanWords = make("span", { class: "span-words" });
    this.timeline = new Timeline({
      seek: (at) => this.#point(at),
      span: (from, to, done) => this.#setSpan(from, to, done),
    });
    this.why = make("div", { class: "why" });
    this.facts = make("div", { class: "about-video" });
    this.stage = make("div", { class: "screen" }, this.still, this.video, this.message);
    this.controls = make("div", { class: "player-controls" }, this.playButton, this.time,
      make("label", { class: "switch" }, this.whole, make("span", {}, "Whole video")),
      this.#speed(), this.#sound(),
      iconButton("Full screen", "full", () => this.stage.requestFullscreen?.()));
    this.panel.append(
      make("header", { class: "player-top" }, this.title,
        make("button", { type: "button", class: "icon", "aria-label": "Close the player", onclick: () => this.close() }, "×")),
      this.stage, this.controls, this.timeline.element, this.#spanRow(), this.why, this.facts);
    this.panel.setAttribute("aria-labelledby", "player-title");
    this.video.addEventListener("play", () => relabel(this.playButton, "Pause", "pause"));
    this.video.addEventListener("pause", () => relabel(this.playButton, "Play", "play"));
  }

  #spanRow() {
    const button = (which, key, words) =>
      make("button", { type: "button", class: "plain", "aria-keyshortcuts": key, onclick: () => this.setEnd(which) },
        make("kbd", { "aria-hidden": "true" }, key), words);
    return make("div", { class: "span-row" }, button("start", "[", "Begin span here"), button("end", "]", "End span here"), this.spanWords);
  }

  #speed() {
    const speeds = SPEEDS.map((one) => make("option", { value: one, selected: one === 1 }, `${one}×`));
    return make("select", { "aria-label": "Speed", onchange: ({ target }) => (this.video.playbackRate = this.video.defaultPlaybackRate = Number(target.value)) }, speeds);
  }

  #sound() {
    const button = iconButton("Mute", "loud", () => (this.video.muted = !this.video.muted));
    this.video.addEventListener("volumechange", () => (this.video.muted ? relabel(button, "Sound on", "mute") : relabel(button, "Mute", "loud")));
    return button;
  }

  #open() {
    this.#leave();
    this.panel.hidden = false;
    const { video } = this.#state;
    this.title.textContent = `Video ${video}`;
    this.facts.replaceChildren();
    this.#details.run(
      (signal) => ask(`/api/videos/${encodeURIComponent(video)}`, {}, { signal }),
      (opened) => {
        this.#opened = opened;
        this.title.textContent = titleOf(opened);
        announce(`Player: ${titleOf(opened)}`);
        this.timeline.setFrames(opened.video, opened.frame_seconds);
        fill(this.facts, videoFacts(opened, () => this.media.position));
        this.media.open(opened.video);
        this.#settle(true);
        if (this.#span) this.media.seek(this.#span[0]);
      },
      (error) => this.#cannotOpen(error),
    );
  }

  /** Nothing is known of the video: that is said once, and nothing else of it is shown. */
  #cannotOpen(error) {
    this.#words.stop();
    this.why.replaceChildren();
    this.panel.classList.add("absent");
    const lasts = error instanceof Refused && error.status < 500;
    this.#say(error.message, lasts ? null : () => {
      this.#open();
      this.#align();
    });
  }

  #say(words, again) {
    const press = () => {
      this.panel.focus(); // the button goes
      again();
    };
    fill(this.message, words, again && make("button", { type: "button", class: "plain", onclick: press }, "Try again"));
  }

  #leave() {
    this.#details.stop();
    this.#words.stop();
    [this.#opened, this.#alignment, this.#span] = [null, null, null];
    this.media.open(null);
    this.panel.classList.remove("absent");
    this.still.replaceChildren();
    this.why.replaceChildren();
    this.timeline.setFrames(0, []);
    this.timeline.setCurves([]);
  }

  #close() {
    if (!this.isOpen) return;
    this.#leave();
    this.panel.hidden = true;
  }

  close() {
    const link = document.querySelector(".card.opened .open");
    go(opening(null));
    link?.focus();
  }

  /** Whether the span lies in another part of a long video than the one whose curve is there. */
  #isElsewhere({ t }) {
    const borders = this.#alignment?.borders;
    return t !== undefined && t !== this.#near && borders !== undefined && (t < borders[0] || t > borders.at(-1));
  }

  #align() {
    const { video, q, t } = this.#state;
    const run = this.#state.of ?? this.#state.run;
    [this.#alignment, this.#near] = [null, t];
    this.why.replaceChildren();
    this.timeline.setCurves([]);
    if (!q || this.panel.classList.contains("absent")) return this.#words.stop();
    this.#words.run(
      (signal) => ask(`/api/videos/${encodeURIComponent(video)}/alignment`, { q, run, near: t }, { signal }),
      (alignment) => {
        this.#alignment = alignment;
        this.#settle(false);
        this.#drawWords();
      },
      (error) => this.why.replaceChildren(make("p", { class: "trouble" }, `No curve: ${error.message}`)),
    );
    return undefined;
  }

  get #range() {
    return this.#opened ? rangeOf(this.#opened, this.media.length) : [0, 1];
  }

  /** Take span and mode from the state; `jump`: and begin there. */
  #settle(jump) {
    const range = this.#range;
    const named = spanOf(this.#state, this.#alignment?.spans ?? [], range);
    const grew = named !== null && this.#span === null;
    this.#span = named;
    this.whole.checked = Boolean(this.#state.whole) || !this.#span;
    this.whole.disabled = !this.#span;
    this.timeline.setRange(...(this.whole.checked ? range : windowOf(this.#span, range)));
    this.timeline.setSpan(...(this.#span ?? [null, null]));
    this.spanWords.textContent = this.#span ? `Span ${clocks(...this.#span)}` : "";
    const [from, to] = this.#looped();
    const { position } = this.media;
    this.media.loop(from, to);
    // Where the span begins, not the loop around a short one: what ends the span now must not lie before it.
    const start = this.whole.checked || !this.#span ? from : this.#span[0];
    if ((jump || grew) && !(this.#state.whole && from <= position && position < to)) this.media.seek(start);
    else this.#showTime();
  }

  #looped() {
    const range = this.#range;
    if (this.whole.checked || !this.#span) return range;
    const [from, to] = this.#span;
    const around = Math.max(0, SHORTEST_LOOP_SECONDS - (to - from)) / 2;
    return [Math.max(range[0], from - around), Math.min(range[1], to + around)];
  }

  /** A person points at a second: outside of the span the whole video is meant. */
  #point(at) {
    const [from, to] = this.#looped();
    this.media.seek(at);
    if (at < from - NEAR_SECONDS || at > to + NEAR_SECONDS) this.#setWhole(true);
  }

  #setWhole(whole) {
    go({ whole: whole ? 1 : null }, { replace: true });
  }

  #setSpan(from, to, done) {
    this.#span = [from, to];
    this.timeline.setSpan(from, to);
    this.spanWords.textContent = `Span ${clocks(from, to)}`;
    if (done) go({ t: seconds(from), to: seconds(to), whole: null }, { replace: true });
  }

  #showTime() {
    const { position, length } = this.media;
    if (length !== this.#length) {
      this.#length = length;
      this.#settle(false); // the file has said how long it is
    }
    this.timeline.setPosition(position);
    this.time.textContent = `${clock(position)} / ${clock(this.#range[1])}`;
    this.controls.classList.toggle("unplayable", this.video.hidden);
    if (this.video.hidden) this.#showStill();
  }

  #showStill() {
    const times = this.#opened?.frame_seconds ?? [];
    if (!times.length) return;
    const at = times[nearestOf(times, this.media.position)];
    if (this.still.dataset.seconds === String(at) && this.still.firstChild) return;
    this.still.dataset.seconds = at;
    this.still.replaceChildren(frame(this.#opened.video, at, { height: 360, alt: `Frame at ${clock(at)}` }));
  }

  #drawWords() {
    if (!this.#alignment) return;
    const curves = curvesOf(this.#alignment);
    const chosen = chosenCurve(curves, this.#state);
    this.timeline.setCurves(chosen === curves[0] ? [chosen] : [curves[0], chosen]);
    const focused = document.activeElement?.closest?.(".word");
    const choose = ({ name, place }) => go({ word: null, phrase: null, ...(name && { [name]: place }) }, { replace: true });
    fill(this.why,
      wordButtons(this.#alignment, curves, chosen, choose),
      decision(this.#alignment),
      make("p", { class: "fine" }, this.#alignment.is_of_head
        ? "The curve is the head's own comparison of words with frames, one by one."
        : "The head compares no words with frames: the curve is how alike the stored features are, not a part of its score."),
      this.#state.of && make("p", { class: "fine" }, `Curve and scores here are those of ${this.#state.of}.`),
      this.#state.by === "moment" && make("p", { class: "fine" },
        "A moment's place in the list comes from the head's score of its frames together: another number than the curve's or the whole video's."));
    if (focused) this.why.querySelector(`[data-curve="${focused.dataset.curve}"]${focused.dataset.place ? `[data-place="${focused.dataset.place}"]` : ""}`)?.focus();
  }
}
