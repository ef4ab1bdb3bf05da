// The player: a video from the start of its span, over and over, and below it why the span was found.

import { ask, Latest, pause } from "./api.js";
import { titleOf, videoFacts } from "./cards.js";
import { announce, clock, clocks, fill, frame, iconButton, make, nearestOf, relabel } from "./dom.js";
import { go, opening, seconds } from "./state.js";
import { rangeOf, spanOf, Timeline, windowOf } from "./timeline.js";
import { chosenCurve, curvesOf, wordButtons } from "./words.js";

const POLL_MILLISECONDS = 500;
/** Players end a little early or late; the next round begins then. */
const SLACK_SECONDS = 0.03;
const SPEEDS = [0.25, 0.5, 1, 2];
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Player {
  #state = {};
  #about = null;
  #opened = null; // what the server says of the video
  #alignment = null;
  #span = null;
  #position = 0;
  #source = null; // what is being played: its address, and which seconds of the file it holds
  #wanted = null;
  #details = new Latest();
  #media = new Latest();
  #words = new Latest();

  constructor(panel) {
    this.panel = panel;
    this.#build();
    const tick = () => {
      if (!this.video.paused) this.#follow();
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  get isOpen() {
    return !this.panel.hidden;
  }

  /** Show what a state says: another video, another span of it, another word, or none. */
  show(state, about) {
    const before = this.#state;
    [this.#state, this.#about] = [state, about];
    if (!state.video) return this.#close();
    if (state.video !== before.video || !this.isOpen) this.#open();
    const compared = ["video", "q", "run"].some((name) => state[name] !== before[name]);
    if (compared) this.#align();
    const moved = ["video", "t", "to", "whole"].some((name) => state[name] !== before[name]);
    if (moved) this.#settle(true);
    this.#drawWords();
    return undefined;
  }

  toggle() {
    if (this.video.hidden) return;
    if (this.video.paused) this.#start();
    else this.video.pause();
  }

  /** Begin or end the span where the video is now. */
  setEnd(which) {
    const [from, to] = this.#span ?? this.#range;
    const at = this.#position;
    if (which === "start") this.#setSpan(at, at < to ? to : this.#range[1], true);
    else this.#setSpan(at > from ? from : this.#range[0], at, true);
  }

  #build() {
    this.title = make("h2", { id: "player-title" });
    this.video = make("video", { playsinline: true, preload: "auto", "aria-label": "Video", hidden: true });
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
    this.#listen();
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

  #listen() {
    const { video } = this;
    video.addEventListener("loadedmetadata", () => {
      video.hidden = false;
      this.message.textContent = "";
      // Only a whole file says how long the video is.
      if (this.#source.to === null && Number.isFinite(video.duration)) this.#source.length = video.duration;
      this.#seek(this.#position);
      this.#settle(false);
      if (!calm.matches) this.#start();
    });
    video.addEventListener("timeupdate", () => this.#follow());
    video.addEventListener("seeked", () => this.#follow());
    video.addEventListener("click", () => this.toggle());
    video.addEventListener("play", () => relabel(this.playButton, "Pause", "pause"));
    video.addEventListener("pause", () => relabel(this.playButton, "Play", "play"));
    video.addEventListener("ended", () => {
      this.#seek(this.#looped()[0]);
      this.#start();
    });
    video.addEventListener("error", () => {
      if (video.getAttribute("src")) this.#cannotPlay("This browser cannot play the file.");
    });
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
        this.#settle(true);
        fill(this.facts, videoFacts(opened, () => this.#position));
      },
      (error) => this.#cannotPlay(error.message),
    );
  }

  #leave() {
    this.#details.stop();
    this.#media.stop();
    this.#words.stop();
    [this.#opened, this.#alignment, this.#span, this.#source, this.#wanted] = [null, null, null, null, null];
    this.video.pause();
    this.video.removeAttribute("src");
    this.video.load(); // else the old picture would stand there until the new one comes
    this.video.hidden = true;
    this.still.replaceChildren();
    this.why.replaceChildren();
    this.message.textContent = "";
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

  #align() {
    const { video, q, run } = this.#state;
    this.#alignment = null;
    this.why.replaceChildren();
    this.timeline.setCurves([]);
    if (!q) return this.#words.stop();
    this.#words.run(
      (signal) => ask(`/api/videos/${encodeURIComponent(video)}/alignment`, { q, run }, { signal }),
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
    return this.#opened ? rangeOf(this.#opened, this.#source?.length) : [0, 1];
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
    if (jump || grew) {
      const [from, to] = this.#looped();
      if (this.#position < from || this.#position >= to || !this.#state.whole) this.#position = from;
      this.#seek(this.#position);
    }
    this.#showTime();
    if (this.#opened) this.#fetch();
  }

  #looped() {
    return this.whole.checked || !this.#span ? this.#range : this.#span;
  }

  /** Have what is to be played, unless it is there. */
  #fetch() {
    const [start, end] = this.#looped();
    const has = ({ from, to }) => from <= start + SLACK_SECONDS && (to === null || to >= end - SLACK_SECONDS);
    if ((this.#source && has(this.#source)) || (this.#wanted && has(this.#wanted))) return;
    if (this.#opened.trouble) return this.#cannotPlay(this.#opened.trouble);
    this.#wanted = { from: start, to: end };
    const address = `/api/videos/${this.#opened.video}/playable`;
    this.#media.run(
      async (signal) => {
        for (;;) {
          const answer = await ask(address, { start: seconds(start), end: seconds(end) }, { signal });
          if (answer.state !== "making") return answer;
          this.message.textContent = "Being made playable for browsers. Meanwhile, the frames that were looked at.";
          await pause(POLL_MILLISECONDS, signal);
        }
      },
      (answer) => this.#take(answer),
      (error) => this.#cannotPlay(error.message),
    );
    return undefined;
  }

  #take({ state, kind, url, begins_at: from, ends_at: to, reason }) {
    if (state !== "ready") return this.#cannotPlay(reason);
    // A file holds every second of itself; a proxy only those that were asked for.
    this.#source = kind === "file" ? { from: 0, to: null } : { from, to };
    this.#source.begins = from;
    this.message.textContent = "";
    this.video.src = url;
    return undefined;
  }

  #cannotPlay(reason) {
    this.#media.stop();
    this.video.hidden = true;
    this.message.textContent = `Cannot be played: ${reason}`;
    this.#showTime();
  }

  #start() {
    this.video.play().catch((error) => {
      // Without a click before it a browser plays only what makes no sound.
      if (error.name !== "NotAllowedError" || this.video.muted) return;
      this.video.muted = true;
      this.video.play().catch(() => {}); // then the person presses Play
    });
  }

  #seek(at) {
    this.#position = at;
    if (this.#source && this.video.readyState) this.video.currentTime = Math.max(0, at - this.#source.begins);
    this.#showTime();
  }

  /** A person points at a second: outside of the span the whole video is meant. */
  #point(at) {
    const [from, to] = this.#looped();
    this.#seek(at);
    if (at < from - SLACK_SECONDS || at > to + SLACK_SECONDS) this.#setWhole(true);
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

  /** Go along with the video, and begin anew at the end of the span. */
  #follow() {
    if (!this.#source || this.video.seeking || this.video.hidden) return;
    const [from, to] = this.#looped();
    this.#position = this.#source.begins + this.video.currentTime;
    const outside = this.#position >= to - SLACK_SECONDS || this.#position < from - SLACK_SECONDS;
    if (!this.video.paused && outside) this.#seek(from);
    this.#showTime();
  }

  #showTime() {
    this.timeline.setPosition(this.#position);
    this.time.textContent = `${clock(this.#position)} / ${clock(this.#range[1])}`;
    this.controls.classList.toggle("unplayable", this.video.hidden);
    if (this.video.hidden) this.#showStill();
  }

  #showStill() {
    const times = this.#opened?.frame_seconds ?? [];
    if (!times.length) return;
    const at = times[nearestOf(times, this.#position)];
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
    this.why.replaceChildren(
      wordButtons(this.#alignment, curves, chosen, choose),
      make("p", { class: "fine" }, this.#alignment.is_of_head
        ? "The curve is the head's own comparison of words with frames."
        : "The head compares no words with frames: the curve is how alike the stored features are, not a part of its score."));
    if (focused) this.why.querySelector(`[data-curve="${focused.dataset.curve}"]${focused.dataset.place ? `[data-place="${focused.dataset.place}"]` : ""}`)?.focus();
  }

}
