// The picture: frames that flow into each other, before and after, zoom and moving.

import { find, address } from "./dom.js";

const FADE = 220; // milliseconds from one frame to the next
const LEAST_SIDE = 900; // of the canvas, in pixels: small frames are enlarged smoothly

const view = find("view");
const sheet = find("sheet");
const canvas = find("picture");
const context = canvas.getContext("2d");
const before = find("before");
const split = find("split");
const calm = matchMedia("(prefers-reduced-motion: reduce)");

let size = { width: 3, height: 2 }; // of the finished picture
let zoom = null; // null: as large as fits
let offset = { x: 0, y: 0 };
let fading = 0;
let drawn = false;

export const picture = canvas;

/** Tell the size of the finished picture. */
export function shape(width, height) {
  if (width === size.width && height === size.height) return;
  size = { width, height };
  lay();
}

/** Show a frame. */
export async function frame(blob) {
  const image = await createImageBitmap(blob);
  canvas.dataset.frames = Number(canvas.dataset.frames ?? 0) + 1;
  const scale = Math.max(1, LEAST_SIDE / Math.max(size.width, size.height), image.width / size.width);
  const width = Math.round(size.width * scale);
  const height = Math.round(size.height * scale);
  cancelAnimationFrame(fading);
  if (canvas.width !== width || canvas.height !== height) {
    const old = drawn ? await createImageBitmap(canvas) : null;
    canvas.width = width;
    canvas.height = height;
    context.imageSmoothingQuality = "high";
    if (old) context.drawImage(old, 0, 0, width, height);
  }
  if (!drawn || calm.matches || document.hidden) {
    paint(image, 1);
    drawn = true;
    return;
  }
  const start = performance.now();
  let shown = 0; // share of the new frame that is there already
  const step = (now) => {
    const share = Math.min(1, Math.max(0, (now - start) / FADE));
    // Drawn over what is there: after all steps the old frame has the weight 1 - share.
    paint(image, shown < 1 ? (share - shown) / (1 - shown) : 1);
    shown = share;
    if (share < 1) fading = requestAnimationFrame(step);
    else image.close();
  };
  fading = requestAnimationFrame(step);
}

function paint(image, alpha) {
  context.globalAlpha = alpha;
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  context.globalAlpha = 1;
}

/** Empty the picture. */
export function clear() {
  cancelAnimationFrame(fading);
  drawn = false;
  canvas.dataset.frames = 0;
  context.clearRect(0, 0, canvas.width, canvas.height);
}

/** Show the photograph for "before". */
export function photograph(key) {
  if (before.dataset.key === String(key)) return;
  before.dataset.key = key;
  before.src = address(`api/pictures/${key}.jpg`);
}

const fitting = () => Math.min((view.clientWidth - 24) / size.width, (view.clientHeight - 24) / size.height);

/** Lay out the sheet. */
export function lay() {
  const scale = zoom ?? fitting();
  const [width, height] = [size.width * scale, size.height * scale];
  if (zoom === null) offset = { x: 0, y: 0 };
  const room = { x: Math.max(0, (width - view.clientWidth) / 2 + 40), y: Math.max(0, (height - view.clientHeight) / 2 + 40) };
  offset.x = Math.min(room.x, Math.max(-room.x, offset.x));
  offset.y = Math.min(room.y, Math.max(-room.y, offset.y));
  sheet.style.width = `${width}px`;
  sheet.style.height = `${height}px`;
  sheet.style.left = `${(view.clientWidth - width) / 2 + offset.x}px`;
  sheet.style.top = `${(view.clientHeight - height) / 2 + offset.y}px`;
  sheet.style.imageRendering = scale * devicePixelRatio > 3 ? "pixelated" : "auto";
  find("zoom").setAttribute("aria-pressed", String(zoom !== null));
  view.style.cursor = zoom === null ? "" : "grab";
  view.dispatchEvent(new CustomEvent("laid"));
}

/** Zoom by a factor around a point of the view, or to a scale. */
function zoomTo(scale, x = view.clientWidth / 2, y = view.clientHeight / 2) {
  const old = zoom ?? fitting();
  const least = fitting();
  const next = Math.min(8, Math.max(least, scale));
  const [cx, cy] = [x - view.clientWidth / 2 - offset.x, y - view.clientHeight / 2 - offset.y];
  offset = { x: offset.x - cx * (next / old - 1), y: offset.y - cy * (next / old - 1) };
  zoom = next <= least * 1.001 ? null : next;
  lay();
}

const toggleZoom = () => {
  zoom = zoom === null ? 1 / devicePixelRatio : null;
  lay();
};

const compare = (on) => {
  find("compare").setAttribute("aria-pressed", String(on));
  for (const part of [before, split, find("seam")]) part.hidden = !on;
  before.classList.remove("whole");
};

export const isComparing = () => !split.hidden;
export const setCompare = compare;

const setSplit = () => sheet.style.setProperty("--split", `${split.value}%`);

export function startView() {
  new ResizeObserver(lay).observe(view);
  split.addEventListener("input", setSplit);
  setSplit();
  find("compare").addEventListener("click", () => compare(split.hidden));
  find("zoom").addEventListener("click", toggleZoom);
  view.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = view.getBoundingClientRect();
    zoomTo((zoom ?? fitting()) * Math.exp(-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  startMoving();
  view.addEventListener("keydown", onKey);
}

function startMoving() {
  const fingers = new Map();
  let last = null;
  view.addEventListener("pointerdown", (event) => {
    if (event.target === split || event.target.id === "brush") return;
    fingers.set(event.pointerId, event);
    last = null;
    view.setPointerCapture(event.pointerId);
    if (isComparing() && fingers.size === 1) follow(event);
  });
  view.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    fingers.set(event.pointerId, event);
    const points = [...fingers.values()];
    const middle = { x: mean(points, "clientX"), y: mean(points, "clientY") };
    const gap = points.length > 1 ? Math.hypot(points[0].clientX - points[1].clientX, points[0].clientY - points[1].clientY) : 0;
    if (isComparing() && points.length === 1 && zoom === null) follow(event);
    else if (last) {
      offset = { x: offset.x + middle.x - last.middle.x, y: offset.y + middle.y - last.middle.y };
      const box = view.getBoundingClientRect();
      if (gap && last.gap) zoomTo((zoom ?? fitting()) * (gap / last.gap), middle.x - box.left, middle.y - box.top);
      else if (zoom !== null) lay();
    }
    last = { middle, gap };
  });
  for (const end of ["pointerup", "pointercancel"]) {
    view.addEventListener(end, (event) => { fingers.delete(event.pointerId); last = null; });
  }
}

const mean = (points, name) => points.reduce((sum, point) => sum + point[name], 0) / points.length;

function follow(event) {
  const box = sheet.getBoundingClientRect();
  split.value = Math.min(100, Math.max(0, ((event.clientX - box.left) / box.width) * 100));
  setSplit();
}

function onKey(event) {
  if (event.target !== view) return;
  const step = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] }[event.key];
  if (step && zoom !== null) {
    offset = { x: offset.x + step[0], y: offset.y + step[1] };
    lay();
  } else if (event.key === "+" || event.key === "=") zoomTo((zoom ?? fitting()) * 1.25);
  else if (event.key === "-") zoomTo((zoom ?? fitting()) / 1.25);
  else if (event.key === "0") { zoom = null; lay(); }
  else return;
  event.preventDefault();
}

/** Keys of the whole page. */
export function viewKey(key) {
  if (key === "b") compare(split.hidden);
  else if (key === "z") toggleZoom();
  else return false;
  return true;
}
