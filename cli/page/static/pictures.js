// A picture as the query: dropped anywhere on the page, pasted, or chosen.

import { ask } from "./api.js";
import { asking, go } from "./state.js";

const MOST_BYTES = 10_000_000;

/** Take pictures from now on. `say` tells the person what went wrong. */
export function takePictures(say) {
  const file = document.getElementById("picture-file");
  const take = (picture) => search(picture).catch((error) => say(error.message));

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

async function search(picture) {
  if (!picture.type.startsWith("image/")) {
    throw new Error(`${picture.name} is not a picture. PNG, JPEG and WebP can be searched with.`);
  }
  if (picture.size > MOST_BYTES) {
    throw new Error(`${picture.name} has ${(picture.size / 1e6).toFixed(1)} MB; at most 10 MB. Use a smaller copy.`);
  }
  const { picture: id } = await ask("/api/pictures", {}, {
    method: "POST",
    body: picture,
    headers: { "Content-Type": picture.type },
  });
  go(asking({ picture: id }));
}
