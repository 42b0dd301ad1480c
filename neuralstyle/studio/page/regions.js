// Regions by brush: where on the photograph each painting goes.

import { address, choose, find, make, order, send, tell } from "./dom.js";
import { Masks, opacityOf } from "./masks.js";

const overlay = find("brush");
const body = find("regions-body");

let state = null;
let masks = null;
let made = ""; // of which photograph and how many paintings the masks are
let synced = ""; // the numbers of the regions that the masks show
let target = 0;
let size = 0.12; // of the brush, as a share of the longest side
let softness = 0.5;
let erasing = false;
let cursor = null;
let stamping = null;
let targets = null;
let map = null;

const isOpen = () => find("regions").open;
const keys = (paintings) => paintings.map((painting) => painting.region);

export function startRegions() {
  targets = make("div", { class: "choice two", role: "radiogroup", "aria-label": "What the brush paints" });
  const erase = make("button", { type: "button", "aria-pressed": "false", id: "erase", onclick: () => {
    erasing = !erasing;
    erase.setAttribute("aria-pressed", String(erasing));
  } }, "Eraser");
  const act = (label, work, id) => make("button", { type: "button", id, onclick: () => { if (masks) { work(); draw(); commit(); } } }, label);
  body.append(
    make("p", { class: "note" }, "Paint on the picture where each painting goes. Choose what the brush gives:"),
    make("div", { class: "dial" }, targets),
    range("Brush", 0.02, 0.4, 0.01, size, (value) => { size = value; }, (value) => `${Math.round(value * 100)}%`),
    range("Softness", 0, 1, 0.05, softness, (value) => { softness = value; }, (value) => `${Math.round(value * 100)}%`),
    make("div", { class: "row" }, erase,
      act("Fill", () => masks.fill(target), "region-fill"),
      act("Invert", () => { if (target >= 0) masks.invert(target); }, "region-invert"),
      make("button", { type: "button", id: "region-clear", onclick: clearAll }, "No regions")),
    make("div", { class: "row" },
      make("button", { type: "button", id: "region-save", onclick: save }, "Save PNG"),
      make("button", { type: "button", id: "region-load", onclick: load }, "Load PNG")),
    lightness(), mapPart(),
  );
  find("regions").addEventListener("toggle", () => { overlay.hidden = !isOpen(); prepare(); draw(); });
  startBrush();
}

function range(label, least, most, step, value, set, text) {
  const id = `region-${label.toLowerCase()}`;
  const output = make("output", { for: id }, text(value));
  const input = make("input", { type: "range", id, min: String(least), max: String(most), step: String(step) });
  input.value = value;
  const fill = () => input.style.setProperty("--fill", `${((input.value - least) / (most - least)) * 100}%`);
  fill();
  input.addEventListener("input", () => { set(Number(input.value)); output.textContent = text(Number(input.value)); fill(); });
  return make("div", { class: "dial" }, make("div", { class: "name" }, make("label", { for: id }, label), output), input);
}

export function showRegions(next) {
  state = next;
  const names = state.paintings.map((painting) => painting.name);
  if (targets.dataset.names !== JSON.stringify(names)) {
    targets.dataset.names = JSON.stringify(names);
    target = Math.min(target, names.length - 1);
    targets.replaceChildren(...[...names.map((name, number) => [number, name]), [-1, "the photograph"]].map(([number, name]) => {
      const input = make("input", { type: "radio", name: "region-target", value: String(number), checked: number === target });
      input.addEventListener("change", () => { target = number; });
      const label = make("label", { title: name }, input, make("span", { class: "dot" }), name.length > 14 ? `${name.slice(0, 13)}…` : name);
      label.querySelector(".dot").style.setProperty("--dot", number < 0 ? "transparent" : `var(--c${number})`);
      return label;
    }));
  }
  if (isOpen()) prepare();
}

/** Make the masks for the present photograph and paintings, and load regions that another page or a step back has set. */
async function prepare() {
  if (!state?.photo || !state.paintings.length || !isOpen()) return;
  const wanted = JSON.stringify([state.photo.key, state.paintings.length]);
  const regions = keys(state.paintings);
  if (made === wanted && synced === JSON.stringify(regions)) return;
  made = wanted;
  synced = JSON.stringify(regions);
  const fresh = new Masks(state.photo.width, state.photo.height, state.paintings.length);
  if (regions.some((key) => key !== null)) {
    await Promise.all(regions.map(async (key, number) => {
      const pen = fresh.layers[number].getContext("2d");
      pen.clearRect(0, 0, fresh.width, fresh.height);
      if (key === null) { pen.fillStyle = "#fff"; pen.fillRect(0, 0, fresh.width, fresh.height); } // everywhere
      if (key !== null) pen.drawImage(opacityOf(await picture(`api/regions/${key}.png`), fresh.width, fresh.height), 0, 0);
    }));
  }
  masks = fresh;
  overlay.width = masks.width;
  overlay.height = masks.height;
  draw();
}

function picture(path) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = reject;
    image.src = address(path);
  });
}

function draw() {
  if (!masks || overlay.hidden) return;
  const pen = overlay.getContext("2d");
  const style = getComputedStyle(overlay);
  pen.clearRect(0, 0, overlay.width, overlay.height);
  masks.layers.forEach((layer, number) => {
    const tint = masks.blank();
    const inner = tint.getContext("2d");
    inner.drawImage(layer, 0, 0);
    inner.globalCompositeOperation = "source-in";
    inner.fillStyle = style.getPropertyValue(`--c${number}`);
    inner.fillRect(0, 0, tint.width, tint.height);
    pen.drawImage(tint, 0, 0);
  });
  if (cursor) {
    for (const [color, width] of [["#000", 4], ["#fff", 2]]) {
      pen.strokeStyle = color;
      pen.lineWidth = width;
      pen.beginPath();
      pen.arc(cursor.x, cursor.y, radius(), 0, 7);
      pen.stroke();
    }
  }
}

const radius = () => (size * Math.max(masks.width, masks.height)) / 2;

/** Make the stamp of a line from one place to another. */
function stamp(from, to) {
  const canvas = masks.blank();
  const pen = canvas.getContext("2d");
  const length = Math.hypot(to.x - from.x, to.y - from.y);
  const steps = Math.max(1, Math.ceil(length / (radius() / 3)));
  for (let step = 1; step <= steps; step += 1) {
    const x = from.x + ((to.x - from.x) * step) / steps;
    const y = from.y + ((to.y - from.y) * step) / steps;
    const soft = pen.createRadialGradient(x, y, radius() * (1 - softness) * 0.98, x, y, radius());
    soft.addColorStop(0, "rgb(255 255 255 / 100%)");
    soft.addColorStop(0.5, `rgb(255 255 255 / ${softness ? 35 : 100}%)`);
    soft.addColorStop(1, "rgb(255 255 255 / 0%)");
    pen.fillStyle = soft;
    pen.fillRect(0, 0, canvas.width, canvas.height);
  }
  return canvas;
}

function apply(from, to) {
  const made = stamp(from, to);
  if (erasing) masks.take(target, made);
  else masks.give(target, made);
  draw();
}

const place = (event) => {
  const box = overlay.getBoundingClientRect();
  return { x: ((event.clientX - box.left) / box.width) * masks.width, y: ((event.clientY - box.top) / box.height) * masks.height };
};

function startBrush() {
  overlay.tabIndex = 0;
  overlay.setAttribute("role", "application");
  overlay.setAttribute("aria-label", "Brush. Arrow keys move it, space paints.");
  overlay.addEventListener("pointerdown", (event) => {
    if (!masks || event.button !== 0) return;
    event.stopPropagation();
    overlay.setPointerCapture(event.pointerId);
    stamping = cursor = place(event);
    apply(stamping, stamping);
  });
  overlay.addEventListener("pointermove", (event) => {
    if (!masks) return;
    cursor = place(event);
    if (stamping) { apply(stamping, cursor); stamping = cursor; } else draw();
  });
  for (const end of ["pointerup", "pointercancel"]) overlay.addEventListener(end, () => { if (stamping) { stamping = null; commit(); } });
  overlay.addEventListener("pointerleave", () => { if (!stamping) { cursor = null; draw(); } });
  overlay.addEventListener("keydown", onKey);
}

function onKey(event) {
  if (!masks) return;
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  cursor ??= { x: masks.width / 2, y: masks.height / 2 };
  if (step) {
    cursor = { x: cursor.x + (step[0] * masks.width) / 24, y: cursor.y + (step[1] * masks.width) / 24 };
    draw();
  } else if (event.key === " ") { apply(cursor, cursor); commit(); } else return;
  event.preventDefault();
  event.stopPropagation();
}

/** Bring the regions to the server; the painting follows. */
async function commit() {
  if (masks.layers.every((_, number) => masks.isEmpty(number))) {
    tell("Nothing would be painted: give a painting some place");
    return;
  }
  const found = [];
  for (let number = 0; number < masks.layers.length; number += 1) {
    const answer = await send("api/regions", await masks.bytes(number));
    if (!answer) return;
    found.push(answer.key);
  }
  synced = JSON.stringify(found);
  await order("api/use-regions", { regions: found });
}

async function clearAll() {
  made = "";
  await order("api/use-regions", { regions: state.paintings.map(() => null) });
  prepare();
}

async function save() {
  if (!masks || target < 0) { tell("Choose a painting, whose region is saved"); return; }
  const link = make("a", { href: URL.createObjectURL(await masks.bytes(target)), download: `region-${target + 1}.png` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

async function load() {
  if (!masks || target < 0) { tell("Choose a painting, whose region is loaded"); return; }
  const file = await choose();
  const answer = file && await send("api/regions", file);
  if (answer) await useRegion(answer.key);
}

async function useRegion(key) {
  masks.replace(target, opacityOf(await picture(`api/regions/${key}.png`), masks.width, masks.height));
  draw();
  await commit();
}

function lightness() {
  let least = 0.5;
  const from = (isLight) => async () => {
    if (!masks || target < 0) { tell("Choose a painting first"); return; }
    const change = (light) => {
      const t = Math.min(1, Math.max(0, ((isLight ? light - least : least - light) + 0.06) / 0.12));
      return t * t * (3 - 2 * t);
    };
    masks.replace(target, opacityOf(await picture(`api/pictures/${state.photo.key}.jpg`), masks.width, masks.height, change));
    draw();
    commit();
  };
  return make("div", {},
    range("Lightness", 0, 1, 0.01, least, (value) => { least = value; }, (value) => value.toFixed(2)),
    make("div", { class: "row" },
      make("button", { type: "button", id: "region-light", onclick: from(true) }, "From what is lighter"),
      make("button", { type: "button", id: "region-dark", onclick: from(false) }, "From what is darker")));
}

function mapPart() {
  const canvas = make("canvas", { class: "map", hidden: true, "aria-label": "The map; choose a colour of it", role: "img" });
  const color = make("input", { type: "color", id: "region-color", "aria-label": "A colour of the map", hidden: true });
  const take = make("button", { type: "button", hidden: true, onclick: () => useColor(color.value) }, "Take this colour");
  const bring = async () => {
    const file = await choose();
    const answer = file && await send(`api/maps?name=${encodeURIComponent(file.name)}`, file);
    if (!answer) return;
    map = answer.key;
    const image = await picture(`api/pictures/${map}.jpg`);
    canvas.width = image.width;
    canvas.height = image.height;
    canvas.getContext("2d").drawImage(image, 0, 0);
    for (const part of [canvas, color, take]) part.hidden = false;
  };
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [((event.clientX - box.left) / box.width) * canvas.width, ((event.clientY - box.top) / box.height) * canvas.height];
    const [r, g, b] = canvas.getContext("2d").getImageData(x, y, 1, 1).data;
    color.value = `#${[r, g, b].map((part) => part.toString(16).padStart(2, "0")).join("")}`;
    useColor(color.value);
  });
  return make("div", {},
    make("div", { class: "row" }, make("button", { type: "button", id: "region-map", onclick: bring }, "From a colour of a map …")),
    canvas, make("div", { class: "row" }, color, take));
}

async function useColor(value) {
  if (!masks || target < 0) { tell("Choose a painting first"); return; }
  const answer = await order(`api/region-of/${map}`, { color: value });
  if (answer) await useRegion(answer.key);
}
