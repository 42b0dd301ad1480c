// The dials: each tells the server when it is turned, and follows the state when another tab turns it.

import { find, make, order } from "./dom.js";

const WAIT = 350; // milliseconds between two tellings while a hand turns a dial

const HELD = 800; // milliseconds in which a dial that was turned here follows nobody else

const COLORS = {
  style: ["Painting", "The painting's colours"],
  luminance: ["Photo", "The photograph's colours, the painting's light and dark"],
  match: ["Matched", "The painting first takes the photograph's mean colours"],
  histogram: ["Histogram", "The painting first takes the photograph's histogram"],
  "match-pca": ["Matched, axes", "Matched along principal axes"],
  "match-cholesky": ["Matched, channels", "Matched channel after channel"],
};
const USUAL_COLORS = ["style", "luminance", "match", "histogram"];
const SCHEDULES = {
  preview: ["Look", "A quick look"],
  draft: ["Draft", "More through the compact network"],
  standard: ["Full", "The last strokes through VGG-19"],
  fine: ["Fine", "VGG-19 at length"],
};
const SIZES = [256, 384, 512, 640, 768, 1024, 1536, 2048];

const pending = {};
let timer = 0;
let last = 0;
const touched = {}; // when each dial was turned here
const shown = {}; // the functions that show a state

/** Turn a dial: tell the server when the hand rests. */
export function turn(values) {
  Object.assign(pending, values);
  for (const name of Object.keys(values)) touched[name] = performance.now();
  if (timer) return;
  const wait = Math.max(40, last + WAIT - performance.now());
  timer = setTimeout(async () => {
    timer = 0;
    last = performance.now();
    const told = { ...pending };
    for (const name of Object.keys(pending)) delete pending[name];
    await order("api/dials", told);
  }, WAIT);
}

export function slider(name, { label, least, most, step, ends, text, toDial = (x) => x, fromDial = (x) => x, help }) {
  const output = make("output", { for: `dial-${name}` });
  const input = make("input", { type: "range", id: `dial-${name}`, min: String(least), max: String(most), step: String(step) });
  const show = (value) => {
    input.value = fromDial(value);
    label_(value);
  };
  const label_ = (value) => {
    output.textContent = text(value);
    input.setAttribute("aria-valuetext", text(value));
    input.style.setProperty("--fill", `${((input.value - least) / (most - least)) * 100}%`);
  };
  input.addEventListener("input", () => {
    const value = toDial(Number(input.value));
    label_(value);
    turn({ [name]: value });
  });
  const parts = [make("div", { class: "name" }, make("label", { for: input.id }, label), output), input];
  if (ends) parts.push(make("div", { class: "ends", "aria-hidden": "true" }, make("span", {}, ends[0]), make("span", {}, ends[1])));
  if (help) parts.push(make("p", { class: "help" }, help));
  shown[name] = show;
  return make("div", { class: "dial" }, ...parts);
}

export function choice(name, label, options, two = false) {
  const group = make("div", { class: two ? "choice two" : "choice", role: "radiogroup", "aria-label": label });
  const help = make("p", { class: "help" });
  const add = (value, [word, title]) => {
    const input = make("input", { type: "radio", name: `dial-${name}`, value });
    input.addEventListener("change", () => { help.textContent = title; turn({ [name]: value }); });
    group.append(make("label", { title }, input, word));
  };
  for (const [value, words] of Object.entries(options)) add(value, words);
  shown[name] = (value) => {
    if (!group.querySelector(`[value="${value}"]`)) add(value, COLORS[value] ?? [value, value]);
    group.querySelector(`[value="${value}"]`).checked = true;
    help.textContent = options[value]?.[1] ?? "";
  };
  return make("div", { class: "dial" }, make("div", { class: "name", "aria-hidden": "true" }, make("span", {}, label)), group, help);
}

export function selection(name, label, options, read = (x) => x) {
  const select = make("select", { id: `dial-${name}` });
  const add = (value, text) => select.append(make("option", { value: String(value) }, text));
  for (const [value, text] of options) add(value, text);
  select.addEventListener("change", () => turn({ [name]: read(select.value) }));
  shown[name] = (value) => {
    if (![...select.options].some((option) => option.value === String(value))) add(value, String(value));
    select.value = String(value);
  };
  return make("div", { class: "dial" }, make("div", { class: "name" }, make("label", { for: select.id }, label)), select);
}

export let usualLoss = ""; // the loss that nobody has to be told of

export function startDials(words) {
  usualLoss = words.usual.style_loss;
  const colors = Object.fromEntries(USUAL_COLORS.map((name) => [name, COLORS[name]]));
  const schedules = Object.fromEntries(words.schedules.map((name) => [name, SCHEDULES[name]]));
  const losses = words.style_losses.map((name) => [name, name === usualLoss ? `${name} (usual)` : name]);
  const [least, most] = words.sizes;
  const sizes = SIZES.filter((size) => size >= least && size <= most).map((size) => [size, `${size} pixels`]);
  find("dials").append(
    slider("strength", {
      label: "Strength", least: 0, most: 1, step: 0.01, ends: ["photograph", "all style"],
      text: (x) => x.toFixed(2),
    }),
    slider("scale", {
      label: "Strokes", least: -2, most: 1.58, step: 0.02, ends: ["fine", "broad"],
      text: (x) => `${x.toFixed(2)}×`,
      toDial: (x) => Math.min(3, Math.round(2 ** x * 100) / 100), fromDial: (x) => Math.log2(x),
    }),
    choice("color", "Colour", colors, true),
    choice("schedule", "Finish", schedules),
    selection("size", "Longest side", sizes, Number),
    selection("style_loss", "Style is compared by", losses),
  );
  find("reset").addEventListener("click", () => order("api/do/reset"));
}

export function showDials(dials) {
  for (const [name, value] of Object.entries(dials)) {
    // What is under the hand stays there until the server has heard of it.
    if (name in pending || performance.now() - (touched[name] ?? -HELD) < HELD) continue;
    shown[name]?.(value);
  }
}
