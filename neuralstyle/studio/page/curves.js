// The losses as curves, each on a logarithmic scale; a line where a stage begins.

import { find, make } from "./dom.js";

const canvas = find("curves");
let run = -1;
let points = [];
let due = false;
let names = [];

export function takeCurves(news) {
  if (news.run !== run) { run = news.run; points = []; }
  if (!news.points.length && points.length) return;
  points.push(...news.points);
  if (!due) { due = true; requestAnimationFrame(draw); }
}

const color = (number) => getComputedStyle(canvas).getPropertyValue(`--c${number % 6}`).trim();

const words = (name) => name.replace(/Loss\b/, "").replace(/Style$/, "").replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();

function draw() {
  due = false;
  const ratio = devicePixelRatio;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (!width) return;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const found = [...new Set(points.flatMap((point) => Object.keys(point.terms).filter((name) => point.terms[name] > 0)))];
  legend(found);
  if (points.length < 2) return;
  const values = points.flatMap((point) => Object.values(point.terms).filter((value) => value > 0).map(Math.log10));
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const [first, last] = [points[0].x, points.at(-1).x];
  const x = (point) => 2 + ((point.x - first) / (last - first)) * (width - 4);
  const y = (value) => 6 + (1 - (Math.log10(value) - low) / (high - low || 1)) * (height - 24);
  const style = getComputedStyle(canvas);
  stages(pen, x, height, style);
  found.forEach((name, number) => {
    pen.strokeStyle = color(number);
    pen.lineWidth = 1.6;
    pen.lineJoin = "round";
    pen.beginPath();
    let part = null;
    for (const point of points) {
      const value = point.terms[name];
      if (!(value > 0)) { part = null; continue; }
      if (point.part === part) pen.lineTo(x(point), y(value));
      else pen.moveTo(x(point), y(value));
      part = point.part;
    }
    pen.stroke();
  });
}

function stages(pen, x, height, style) {
  pen.strokeStyle = style.getPropertyValue("--line");
  pen.fillStyle = style.getPropertyValue("--soft");
  pen.font = "11px system-ui, sans-serif";
  pen.lineWidth = 1;
  let part = null;
  let right = -1;
  for (const point of points) {
    if (point.part === part) continue;
    part = point.part;
    const at = Math.round(x(point)) + 0.5;
    pen.beginPath();
    pen.moveTo(at, 0);
    pen.lineTo(at, height - 14);
    pen.stroke();
    const text = String(point.size);
    const wide = pen.measureText(text).width;
    const left = Math.min(at, canvas.clientWidth - wide);
    if (left > right) { pen.fillText(text, left, height - 2); right = left + wide + 6; }
  }
}

function legend(found) {
  if (found.join() === names.join()) return;
  names = found;
  find("legend").replaceChildren(...found.map((name, number) => {
    const dot = make("span", { class: "dot" });
    dot.style.setProperty("--dot", `var(--c${number % 6})`);
    return make("li", {}, dot, words(name));
  }));
}

export function startCurves() {
  new ResizeObserver(() => requestAnimationFrame(draw)).observe(canvas);
  find("theme").addEventListener("click", () => requestAnimationFrame(draw));
}
