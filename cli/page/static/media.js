// What plays: the file itself or a proxy of a part of it, in seconds of the file, over and over within some of them.

import { ask, Latest, pause } from "./api.js";
import { make } from "./dom.js";
import { seconds } from "./state.js";

const POLL_MILLISECONDS = 500;
/** Players end a little early or late; the next round begins then. */
const SLACK_SECONDS = 0.03;
/** What is no longer than this is there in one piece; of more, the next part is asked for when it is reached. */
const PIECE_SECONDS = 120;
/** A proxy may end a frame or two before what was asked for. */
const SHORT_SECONDS = 0.5;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Media {
  /** How long the video is, once a whole file has said it. */
  length = undefined;
  position = 0;
  #number = null;
  #loop = [0, 1];
  #source = null; // what is being played: which seconds of the file it holds; `to` null: all that follow
  #wanted = null;
  #reached = null;
  #resumes = true;
  #asked = new Latest();

  /** `moved()`: there is another position or length; `said(words, again)`: what a person must know, or "", and what
   * tries once more, if anything does. */
  constructor({ moved, said }) {
    this.moved = moved;
    this.said = said;
    this.video = make("video", { playsinline: true, preload: "auto", "aria-label": "Video", hidden: true });
    this.#listen();
    const tick = () => {
      if (!this.video.paused) this.#follow();
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  get isThere() {
    return !this.video.hidden;
  }

  /** Another video of the store; null: none. */
  open(number) {
    this.#asked.stop();
    [this.#number, this.#source, this.#wanted, this.#reached, this.length] = [number, null, null, null, undefined];
    [this.#resumes, this.position] = [!calm.matches, 0];
    this.video.pause();
    this.video.removeAttribute("src");
    this.video.load(); // else the old picture would stand there until the new one comes
    this.video.hidden = true;
    this.said("");
  }

  /** Play these seconds over and over. */
  loop(from, to) {
    this.#loop = [from, to];
    this.#fetch();
  }

  seek(at) {
    this.position = at;
    if (this.#source && !this.#holds(at)) {
      this.#source = this.#wanted = null;
      this.#fetch();
    } else if (this.#source && this.video.readyState) {
      this.video.currentTime = Math.max(0, at - this.#source.begins);
    }
    this.moved();
  }

  toggle() {
    if (!this.isThere) return;
    if (this.video.paused) this.#start();
    else this.video.pause();
  }

  #cannotPlay(reason) {
    this.#asked.stop();
    this.video.hidden = true;
    this.said(`Cannot be played: ${reason}`, () => this.#tryAgain());
    this.moved();
  }

  /** Else the server would only repeat for a while why it failed. */
  #tryAgain() {
    [this.#source, this.#wanted] = [null, null];
    this.said("Trying again.");
    this.#fetch(true);
  }

  #listen() {
    const { video } = this;
    video.addEventListener("loadedmetadata", () => {
      video.hidden = false;
      this.said("");
      // Only a whole file says how long the video is.
      if (this.#source.to === null && Number.isFinite(video.duration)) this.length = video.duration + this.#source.begins;
      this.seek(this.position);
      if (this.#resumes) this.#start();
    });
    video.addEventListener("timeupdate", () => this.#follow());
    video.addEventListener("seeked", () => this.#follow());
    video.addEventListener("click", () => this.toggle());
    video.addEventListener("ended", () => this.#goOn());
    video.addEventListener("error", () => {
      if (video.getAttribute("src")) this.#failed();
    });
  }

  /** A browser says the same of a file that it cannot play and of a server that is gone. */
  async #failed() {
    try {
      await ask("/api/runs");
      this.#cannotPlay("This browser cannot play the file.");
    } catch (error) {
      this.#cannotPlay(error.message);
    }
  }

  #holds(at) {
    const { from, to } = this.#source;
    return from <= at + SLACK_SECONDS && (to === null || at <= to);
  }

  /** Have what is to be played, unless it is there or on its way. */
  #fetch(again = null) {
    if (this.#number === null) return;
    const [first, end] = this.#loop;
    const isShort = end - first <= PIECE_SECONDS;
    const start = isShort ? first : Math.max(first, Math.min(this.position, end - SHORT_SECONDS));
    const until = isShort ? end : start;
    const has = (one) => one && one.from <= start + SLACK_SECONDS && (one.to === null || one.to >= until - SHORT_SECONDS);
    if (has(this.#source) || has(this.#wanted)) return;
    this.#wanted = { from: start, to: until };
    const address = `/api/videos/${this.#number}/playable`;
    this.#asked.run(
      async (signal) => {
        for (;; again = null) {
          const answer = await ask(address, { start: seconds(start), end: seconds(end), again }, { signal });
          if (answer.state !== "making") return answer;
          this.said("Being made playable for browsers. Meanwhile, the frames that were looked at.");
          await pause(POLL_MILLISECONDS, signal);
        }
      },
      (answer) => this.#take(answer),
      (error) => this.#cannotPlay(error.message),
    );
  }

  #take({ state, kind, url, begins_at: begins, ends_at: to, reason }) {
    if (state !== "ready") {
      this.#cannotPlay(reason);
      return;
    }
    // A file holds every second of itself; a proxy only those that were asked for.
    this.#source = kind === "file" ? { from: 0, to: null, begins } : { from: begins, to, begins };
    if (!this.#holds(this.position)) this.position = Math.max(begins, Math.min(this.position, to));
    this.said("");
    this.video.src = url;
  }

  #start() {
    this.video.play().catch((error) => {
      // Without a click before it a browser plays only what makes no sound.
      if (error.name !== "NotAllowedError" || this.video.muted) return;
      this.video.muted = true;
      this.video.play().catch(() => {}); // then the person presses Play
    });
  }

  /** Go along with the video, and begin anew at the end. */
  #follow() {
    if (!this.#source || this.video.seeking || !this.isThere) return;
    const [from, to] = this.#loop;
    this.position = this.#source.begins + this.video.currentTime;
    const isOutside = this.position >= to - SLACK_SECONDS || this.position < from - SLACK_SECONDS;
    if (!this.video.paused && isOutside) this.seek(from);
    else this.moved();
  }

  /** What plays is at its end: go on with the next part, unless that brought nothing new, or begin anew. */
  #goOn() {
    const [first, end] = this.#loop;
    const { to } = this.#source;
    const goesOn = to !== null && to < end - 1 && to !== this.#reached;
    this.#reached = to;
    this.#resumes = true;
    this.seek(goesOn ? to + SLACK_SECONDS : first);
    if (this.#source) this.#start();
  }
}
