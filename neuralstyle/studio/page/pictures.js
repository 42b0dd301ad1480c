// The photograph and the paintings, each a tile; the shares of several paintings.

import { address, choose, close, drop, find, icon, make, onDrop, open, order, send, tell } from "./dom.js";
import { turn } from "./dials.js";

let words = null;
let shown = "";
let moving = false;

const named = (file) => encodeURIComponent(file.name || "picture");

async function bring(path, file) {
  tell(`Bringing ${file.name || "the picture"} …`);
  if (await send(`${path}${path.includes("?") ? "&" : "?"}name=${named(file)}`, file)) find("toast").hidden = true;
}

export const bringPhoto = (file) => bring("api/photo", file);
export const bringPainting = (file, place) => bring(place === undefined ? "api/paintings" : `api/paintings?place=${place}`, file);

export function startPictures(offered) {
  words = offered;
  onDrop(find("view"), bringPhoto);
  onDrop(find("panel"), (file) => bringPainting(file));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => event.preventDefault());
}

export function showPictures({ photo, paintings }) {
  const now = JSON.stringify([photo, paintings]);
  if (now === shown || moving) return;
  shown = now;
  const focused = document.activeElement?.dataset?.focus;
  const tiles = [photoTile(photo), ...paintings.map((painting, place) => paintingTile(painting, place, paintings))];
  const add = make("button", { type: "button", class: "add", "data-focus": "add", onclick: () => offer() }, icon("plus"), paintings.length ? "Blend in another painting" : "Choose a painting");
  add.disabled = paintings.length >= words.most_paintings;
  find("pictures").replaceChildren(...tiles, add);
  if (focused) find("pictures").querySelector(`[data-focus="${focused}"]`)?.focus();
}

function swatch(source, label, onclick, focus) {
  const image = source ? make("img", { src: address(`api/pictures/${source.key}.jpg?small=1`), alt: "" }) : icon("plus");
  return make("button", { type: "button", class: "swatch", "aria-label": label, title: label, onclick, "data-focus": focus }, image);
}

function photoTile(photo) {
  const pick = async () => { const file = await choose(); if (file) bringPhoto(file); };
  const text = photo ? `${photo.width} × ${photo.height}` : "drop one here, or choose";
  const tile = make("div", { class: "tile" },
    swatch(photo, "Choose a photograph", pick, "photo"),
    make("div", { class: "title" }, photo?.name ?? "Photograph", make("small", {}, `photograph · ${text}`)),
  );
  onDrop(tile, bringPhoto);
  return tile;
}

function paintingTile(painting, place, paintings) {
  const several = paintings.length > 1;
  const share = painting.weight / paintings.reduce((sum, each) => sum + each.weight, 0);
  const small = make("small", {}, several ? `${Math.round(share * 100)}%${painting.region ? " · in its region" : ""}` : `painting${painting.region ? " · in its region" : ""}`);
  const tile = make("div", { class: "tile" },
    swatch(painting, `Change painting ${place + 1}`, () => offer(place), `painting-${place}`),
    make("div", { class: "title" }, make("span", { class: "dot" }), painting.name, small),
    make("button", { type: "button", class: "quiet", "aria-label": `Remove painting ${place + 1}, ${painting.name}`, title: "Remove", onclick: () => drop(`api/paintings/${place}`) }, icon("close")),
  );
  tile.querySelector(".dot").style.setProperty("--dot", `var(--c${place})`);
  if (several) {
    const input = make("input", { type: "range", min: "0", max: "1", step: "0.01", "aria-label": `Share of painting ${place + 1}, ${painting.name}`, "data-focus": `share-${place}` });
    input.value = painting.weight;
    input.style.setProperty("--fill", `${painting.weight * 100}%`);
    input.addEventListener("pointerdown", () => { moving = true; });
    for (const end of ["pointerup", "change", "pointercancel"]) input.addEventListener(end, () => { moving = false; });
    input.addEventListener("input", () => {
      const weights = paintings.map((each) => each.weight);
      paintings[place].weight = weights[place] = Number(input.value);
      const sum = weights.reduce((a, b) => a + b, 0);
      if (sum === 0) return;
      small.textContent = `${Math.round((weights[place] / sum) * 100)}%`;
      input.style.setProperty("--fill", `${input.value * 100}%`);
      turn({ weights });
    });
    tile.append(make("div", { class: "share" }, input));
  }
  onDrop(tile, (file) => bringPainting(file, place));
  return tile;
}

/** Offer a file, or one of the sample paintings, for a place or for a new one. */
function offer(place) {
  const at = place === undefined ? "" : `?place=${place}`;
  const pick = async () => { const file = await choose(); if (file) { close(); bringPainting(file, place); } };
  const samples = words.samples.map((name) => make("button", {
    type: "button",
    onclick: async () => { close(); tell(`Drawing ${name} …`); if (await order(`api/sample/${name}${at}`)) find("toast").hidden = true; },
  }, make("img", { src: address(`api/samples/${name}.jpg`), alt: "" }), name));
  open(place === undefined ? "Choose a painting" : "Change the painting",
    make("p", {}, "A file of yours: a painting, a drawing, a pattern. It stays on this machine."),
    make("div", { class: "row" }, make("button", { type: "button", class: "main", onclick: pick }, icon("plus"), "Choose a file")),
    make("p", { class: "note" }, "Or one that comes with the studio:"),
    make("div", { class: "samples" }, ...samples));
}
