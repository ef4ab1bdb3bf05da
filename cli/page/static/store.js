// What the store holds: how many videos, what failed and why, which encoder made it.

import { ask, Latest } from "./api.js";
import { clock, counted, definitions, fill, frame, make, number, table } from "./dom.js";
import { addressWith } from "./state.js";

const asked = new Latest();
const PICTURES = 6;

/** Build the page into `main`; returns what shows each later state of it. */
export function storeView(main) {
  const place = make("div", { "aria-busy": "true" });
  main.replaceChildren(make("h1", {}, "Store"), place);
  let drawn = false;
  return function show() {
    if (drawn) return;
    drawn = true;
    asked.run(
      (signal) => ask("/api/store", {}, { signal }),
      (store) => draw(place, store),
      (error) => {
        drawn = false;
        place.removeAttribute("aria-busy");
        place.replaceChildren(make("p", { class: "empty trouble", role: "alert" }, error.message));
      },
    );
  };
}

function draw(place, store) {
  const { name, dataset, encoder, sampling, videos, with_frames: read, captions, frames, bytes, failed, num_failed: trouble, splits } = store;
  place.removeAttribute("aria-busy");
  fill(place,
    make("p", { class: "lead" }, name),
    make("ul", { class: "tiles", "aria-label": "In numbers" },
      tile(number(videos), "videos"), tile(number(read), "with frames"), tile(number(captions), "captions"),
      tile(number(frames), "frames"), tile(inBytes(bytes), "on disk"), tile(number(trouble), "with trouble")),
    make("p", {}, make("a", { class: "button", href: "/" }, "Look at its videos")),
    make("section", { "aria-label": "Videos with trouble" }, make("h2", {}, "Videos with trouble"),
      failed.length < trouble ? make("p", {}, `The first ${failed.length.toLocaleString("en")} of ${trouble.toLocaleString("en")}:`) : null,
      failed.length
        ? make("ol", { class: "troubles" }, failed.map(troubled))
        : make("p", { class: "empty" }, "None: every video was read to its end.")),
    make("section", {}, make("h2", {}, "What made it"), definitions({ "data set": dataset, sampling, encoder })),
    Object.keys(splits).length ? table("Splits", ["split", "videos"], Object.entries(splits)) : null);
}

function tile(figure, words) {
  return make("li", {}, make("b", {}, figure), ` ${words}`);
}

function inBytes(size) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const step = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(size || 1) / 3)));
  return `${(size / 1000 ** step).toLocaleString("en", { maximumSignificantDigits: 3 })} ${units[step]}`;
}

/** A video that could not be read to its end, with the frames that could. */
function troubled({ video, id, status, reason, frames }) {
  const strip = make("div", { class: "read-frames" });
  if (frames) show(strip, video);
  return make("li", { "data-video": video },
    make("a", { href: addressWith({ video }) }, id),
    make("p", {}, make("b", { class: "status" }, status), ` ${reason}`),
    make("p", { class: "file" }, frames ? `${counted(frames, "frame")} could be read` : "No frame could be read"),
    strip);
}

async function show(strip, video) {
  try {
    const { frame_seconds: seconds } = await ask(`/api/videos/${video}`);
    const step = Math.max(1, Math.ceil(seconds.length / PICTURES));
    strip.append(...seconds.filter((_, i) => i % step === 0).map((at) => frame(video, at, { height: 90, alt: `Frame at ${clock(at)}` })));
  } catch (error) {
    strip.append(make("p", { class: "file" }, error.message));
  }
}
