// The time line of a video: how well each moment matches, the span that loops, the cached frames, and where we are.

import { clock, clocks, frame, make, makeSvg, nearestOf, score } from "./dom.js";

const WIDTH = 1000;
const HEIGHT = 100;
const STRIP_MOST = 24;
/** A shorter span could not be taken hold of. */
const LEAST_SECONDS = 0.1;
/** Of a long video the time line shows so many times its span, and no less than so many seconds. */
const WINDOW_SPANS = 8;
const LEAST_WINDOW_SECONDS = 60;
/** Fractions of the width within which a press takes hold of an end of the span. */
const GRIP = 0.012;

/** The seconds that each cached frame stands for: half-way to its neighbours, as the store's spans are counted. */
export function bordersOf(seconds) {
  if (!seconds.length) return [];
  const half = seconds.length > 1 ? (seconds[1] - seconds[0]) / 2 : 0;
  const middles = seconds.slice(1).map((one, i) => (one + seconds[i]) / 2);
  return [Math.max(0, seconds[0] - half), ...middles, seconds.at(-1) + half];
}

export class Timeline {
  #from = 0;
  #to = 1;
  #frames = [];
  #curves = [];

  /** `seek(seconds)` is told where a person points, `span(from, to)` which span was dragged. */
  constructor({ seek, span }) {
    this.plot = makeSvg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    this.mark = make("div", { class: "span-mark" }, make("i", { class: "edge" }), make("i", { class: "edge" }));
    this.head = make("div", { class: "playhead" });
    this.readout = make("output", { class: "readout", hidden: true });
    this.strip = make("div", { class: "strip" });
    this.scale = make("div", { class: "scale", "aria-hidden": "true" });
    this.slider = make("div", {
      class: "timeline", role: "slider", tabindex: "0", "aria-label": "Position in the video",
      onkeydown: (event) => this.#key(event, seek),
    }, this.plot, this.scale, this.strip, this.mark, this.head, this.readout);
    this.ends = make("div", { class: "ends", "aria-hidden": "true" });
    this.legend = make("p", { class: "legend" });
    this.element = make("div", { class: "timeline-place" }, this.legend, this.slider, this.ends);
    this.#follow(seek, span);
  }

  /** Which seconds of the file are shown. */
  setRange(from, to) {
    [this.#from, this.#to] = [from, Math.max(to, from + 0.001)];
    this.slider.setAttribute("aria-valuemin", from.toFixed(3));
    this.slider.setAttribute("aria-valuemax", this.#to.toFixed(3));
    this.ends.replaceChildren(make("span", {}, clock(from)), make("span", {}, clock(this.#to)));
    this.#draw();
    this.#drawStrip();
  }

  /** The cached frames of a video, by their seconds. */
  setFrames(video, seconds) {
    this.#frames = seconds.map((at) => ({ video, at }));
    this.#drawStrip();
  }

  /** Curves over `seconds`, the one to look at last: `{kind, label, values, seconds}`. */
  setCurves(curves) {
    this.#curves = curves;
    this.#draw();
  }

  setSpan(from, to) {
    this.mark.hidden = from === null;
    if (from === null) return;
    this.mark.style.insetInlineStart = `${100 * this.#share(from)}%`;
    this.mark.style.inlineSize = `${100 * (this.#share(to) - this.#share(from))}%`;
    this.mark.dataset.from = from;
    this.mark.dataset.to = to;
  }

  setPosition(seconds) {
    this.head.style.insetInlineStart = `${100 * this.#share(seconds)}%`;
    this.slider.setAttribute("aria-valuenow", seconds.toFixed(3));
    this.slider.setAttribute("aria-valuetext", `${clock(seconds)} of ${clock(this.#to)}`);
  }

  #share(seconds) {
    return Math.min(1, Math.max(0, (seconds - this.#from) / (this.#to - this.#from)));
  }

  #draw() {
    const shown = this.#curves.filter(({ values }) => values.length);
    const values = shown.flatMap((curve) => curve.values);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const y = (value) => HEIGHT - 6 - (HEIGHT - 14) * (high > low ? (value - low) / (high - low) : 0.5);
    this.plot.replaceChildren(...shown.map((curve) => this.#path(curve, y)));
    const looked = shown.at(-1);
    this.plot.setAttribute("aria-label", looked ? spoken(looked) : "No curve: the query is no sentence");
    this.scale.replaceChildren(...(looked ? [high, low].map((one) => make("span", {}, score(one))) : []));
    this.slider.classList.toggle("bare", !looked);
    this.legend.textContent = looked ? this.#legendOf(looked, shown) : "";
  }

  #legendOf({ label, seconds }, shown) {
    const borders = bordersOf(seconds);
    const [from, to] = [borders[0], borders.at(-1)];
    // Of a long video a head looks at a part.
    const isPart = from > this.#from + (to - from) / 4 || to < this.#to - (to - from) / 4;
    return [
      `How well each moment${isPart ? ` of ${clocks(from, to)}` : ""} matches ${label}`,
      shown.length > 1 ? ` (dashed: ${shown[0].label})` : "",
    ].join("");
  }

  #path({ kind, label, values, seconds }, y) {
    const points = values.map((value, i) => [WIDTH * this.#share(seconds[i]), y(value)]);
    // The first and the last frame stand for the time to their borders, too.
    const borders = bordersOf(seconds);
    points.unshift([WIDTH * this.#share(borders[0]), points[0][1]]);
    points.push([WIDTH * this.#share(borders.at(-1)), points.at(-1)[1]]);
    const line = "M" + points.map(([x, height]) => `${x.toFixed(1)} ${height.toFixed(2)}`).join("L");
    const ground = `${line}L${points.at(-1)[0].toFixed(1)} ${HEIGHT}L${points[0][0].toFixed(1)} ${HEIGHT}Z`;
    return makeSvg("g", { class: `curve ${kind}`, "data-curve": kind, "data-label": label },
      makeSvg("path", { class: "ground", d: ground }), makeSvg("path", { class: "line", d: line }));
  }

  #drawStrip() {
    const borders = bordersOf(this.#frames.map(({ at }) => at));
    const pieces = this.#frames.map((one, i) => ({ ...one, from: borders[i], to: borders[i + 1] }));
    const seen = pieces.filter(({ from, to }) => to > this.#from && from < this.#to);
    const step = Math.ceil(seen.length / STRIP_MOST) || 1;
    const last = (i) => seen[Math.min(i + step, seen.length) - 1];
    const wide = seen.map((piece, i) => ({ ...piece, to: last(i).to }));
    this.strip.replaceChildren(...wide.filter((_, i) => i % step === 0).map(({ video, at, from, to }) => {
      const piece = make("span", { class: "piece", "data-seconds": at }, frame(video, at, { height: 90 }));
      piece.style.insetInlineStart = `${100 * this.#share(from)}%`;
      piece.style.inlineSize = `${100 * (this.#share(to) - this.#share(from))}%`;
      return piece;
    }));
  }

  #key(event, seek) {
    const now = Number(this.slider.getAttribute("aria-valuenow"));
    const times = this.#frames.map(({ at }) => at);
    const to = {
      ArrowLeft: times.findLast((at) => at < now - 0.05) ?? this.#from,
      ArrowDown: times.findLast((at) => at < now - 0.05) ?? this.#from,
      ArrowRight: times.find((at) => at > now + 0.05) ?? this.#to,
      ArrowUp: times.find((at) => at > now + 0.05) ?? this.#to,
      Home: this.#from,
      End: this.#to,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation(); // the same arrows walk through the cards elsewhere
    seek(to);
  }

  /** A press seeks and drags along; one on an end of the span moves that end. */
  #follow(seek, span) {
    let held = null;
    const at = (event) => {
      const { left, width } = this.slider.getBoundingClientRect();
      return this.#from + Math.min(1, Math.max(0, (event.clientX - left) / width)) * (this.#to - this.#from);
    };
    const move = (seconds) => (held.end === null ? seek(seconds) : span(...sorted(held.other, seconds), false));
    this.slider.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      this.slider.setPointerCapture(event.pointerId);
      held = this.#grip(at(event));
      move(at(event));
    });
    this.slider.addEventListener("pointermove", (event) => {
      this.#tell(at(event));
      if (held) move(at(event));
    });
    const release = (event) => {
      if (held && held.end !== null && event.type === "pointerup") span(...sorted(held.other, at(event)), true);
      held = null;
    };
    this.slider.addEventListener("pointerup", release);
    this.slider.addEventListener("pointercancel", release);
    this.slider.addEventListener("pointerleave", () => (this.readout.hidden = true));
  }

  #grip(seconds) {
    const ends = [Number(this.mark.dataset.from), Number(this.mark.dataset.to)];
    const near = (end) => Math.abs(this.#share(seconds) - this.#share(end)) < GRIP;
    const end = this.mark.hidden ? -1 : ends.findIndex(near);
    return end < 0 ? { end: null } : { end, other: ends[1 - end] };
  }

  /** The time under the pointer, and the value of the curve that is looked at. */
  #tell(seconds) {
    const looked = this.#curves.at(-1);
    const nearest = looked && nearestOf(looked.seconds, seconds);
    this.readout.hidden = false;
    this.readout.style.insetInlineStart = `${100 * this.#share(seconds)}%`;
    this.readout.classList.toggle("late", this.#share(seconds) > 0.7);
    this.readout.textContent = looked ? `${clock(seconds)}   ${score(looked.values[nearest])}` : clock(seconds);
  }
}

/** The seconds of the file that are the video: the clip that the data set names, or all: as long as what plays, or until
 * that is known as its frames tell. */
export function rangeOf({ clip, duration_seconds: duration, frame_seconds: frames }, played) {
  const first = clip?.[0] ?? 0;
  const last = clip?.[1] ?? played ?? Math.max(first + (duration ?? 0), bordersOf(frames).at(-1) ?? 0);
  return [first, last > first ? last : first + 1];
}

/** What the time line shows around a span: all, unless the span would be too thin to see in it. */
export function windowOf([from, to], [first, last]) {
  const half = Math.max(LEAST_WINDOW_SECONDS, (to - from) * WINDOW_SPANS) / 2;
  if (last - first <= 4 * half) return [first, last];
  const middle = Math.min(Math.max((from + to) / 2, first + half), last - half);
  return [middle - half, middle + half];
}

/** The span that an address names, else the best one; null where there is none. */
export function spanOf({ t, to }, spans, range) {
  if (t === undefined) return spans.length ? widened([spans[0].start_seconds, spans[0].end_seconds], range) : null;
  if (to !== undefined) return widened([Number(t), Number(to)], range);
  const around = spans.find((one) => one.start_seconds <= Number(t) && Number(t) <= one.end_seconds);
  return widened(around ? [around.start_seconds, around.end_seconds] : [Number(t), Number(t)], range);
}

/** A span long enough to be seen, within the video. */
function widened([from, to], [first, last]) {
  const missing = Math.max(0, LEAST_SECONDS - (to - from)) / 2;
  const start = Math.max(first, Math.min(from - missing, last - LEAST_SECONDS));
  return [start, Math.max(start, Math.min(to + missing, last))];
}

function sorted(one, other) {
  return one < other ? [one, other] : [other, one];
}

function spoken({ label, values, seconds }) {
  const [low, high] = [values.indexOf(Math.min(...values)), values.indexOf(Math.max(...values))];
  return `Match of ${label}: highest ${score(values[high])} at ${clock(seconds[high])}, lowest ${score(values[low])} at ${clock(seconds[low])}`;
}

