// Results: downloads, a large picture, the command and the script.

import { address, drop, find, icon, make, open, order, ask, tell } from "./dom.js";

let jobs = null;
let anew = null;

/** Keep the present picture, and return its number. */
async function keep() {
  const answer = await order("api/keep");
  return answer?.number ?? null;
}

async function download(form) {
  const number = await keep();
  if (number === null) return;
  const path = form === "zip" ? `api/versions/${number}/kit.zip` : `api/versions/${number}/picture.${form}`;
  const response = await fetch(address(path));
  if (!response.ok) { tell((await response.json()).error); return; }
  const link = make("a", { href: URL.createObjectURL(await response.blob()), download: `painted-${number}.${form}` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

async function showRecipe(kind) {
  const number = await keep();
  const recipe = number && await ask(`api/versions/${number}/recipe`);
  if (!recipe) return;
  const text = make("pre", { tabindex: "0", id: "recipe" }, recipe[kind]);
  const copied = make("button", {
    type: "button", class: "main",
    onclick: async () => {
      try { await navigator.clipboard.writeText(recipe[kind]); }
      catch { getSelection().selectAllChildren(text); document.execCommand("copy"); }
      copied.textContent = "Copied";
    },
  }, "Copy");
  const parts = [];
  if (recipe.exact) {
    const same = kind === "command" ? "to the byte" : "to the last value";
    parts.push(make("p", {}, `Paints this picture again, ${same} on this machine. Everything (ZIP) has the files that it names.`));
  } else {
    parts.push(make("p", { class: "note warn" }, "Dials were turned while this was painted, so this paints a picture like it, and not the same one. Repaint from the beginning, and the two are the same to the byte."));
    parts.push(make("div", { class: "row" }, make("button", { type: "button", onclick: () => { find("dialog").close(); order("api/do/repaint"); } }, icon("anew"), "Repaint from the beginning")));
  }
  open(kind === "command" ? "As a command" : "As Python", ...parts, text, make("div", { class: "row" }, copied));
}

function askForLarge(words) {
  const size = make("input", { type: "number", id: "large-size", min: String(words.render[0]), max: String(words.render[1]), step: "1", value: "2048" });
  const tile = make("select", { id: "large-tile" },
    make("option", { value: "1024" }, "tiles of 1024 pixels"),
    make("option", { value: "512" }, "tiles of 512 pixels"),
    make("option", { value: "" }, "whole, without tiles"));
  const start = async () => {
    const value = tile.value === "" ? null : Number(tile.value);
    if (await order("api/render", { size: Number(size.value), tile: value })) find("dialog").close();
  };
  open("Render large",
    make("p", {}, "Paints these pictures with these dials from the beginning at another size. Tiles bound the memory and do not change the picture. The live picture waits meanwhile."),
    make("div", { class: "dial" }, make("div", { class: "name" }, make("label", { for: "large-size" }, "Longest side in pixels")), size),
    make("div", { class: "dial" }, make("div", { class: "name" }, make("label", { for: "large-tile" }, "Memory")), tile),
    make("div", { class: "row" }, make("button", { type: "button", class: "main", id: "large-start", onclick: start }, "Paint it")));
}

export function startResult(words) {
  const button = (label, onclick, id) => make("button", { type: "button", onclick, id }, label);
  jobs = make("div", { id: "jobs", "aria-live": "polite" });
  anew = make("p", { class: "note" });
  find("result").append(
    make("div", { class: "row", role: "group", "aria-label": "Download" },
      make("button", { type: "button", class: "main", id: "download-png", onclick: () => download("png") }, icon("down"), "PNG"),
      button("JPEG", () => download("jpg"), "download-jpg"),
      button("TIFF, 16 bits", () => download("tif"), "download-tif"),
      button("Everything (ZIP)", () => download("zip"), "download-zip")),
    make("div", { class: "row" },
      button("As command", () => showRecipe("command"), "as-command"),
      button("As Python", () => showRecipe("python"), "as-python")),
    make("div", { class: "row" }, button("Render large …", () => askForLarge(words), "render-large")),
    jobs, anew);
}

export function showResult(state) {
  const all = [...(state.job ? [{ ...state.job, now: true }] : []), ...state.queue];
  const key = JSON.stringify(all);
  if (jobs.dataset.key !== key) {
    jobs.dataset.key = key;
    jobs.replaceChildren(...all.map((job, place) => make("div", { class: "row" },
      make("span", { class: "note" }, job.now ? `Painting ${job.size} pixels …` : `${job.size} pixels: waits, ${place} before it`),
      make("button", { type: "button", class: "quiet", onclick: () => drop(`api/render/${job.number}`) }, "Cancel"))));
  }
  anew.textContent = state.shown && !state.shown.exact ? "Dials were turned on the way: the command paints a picture like this one. Repaint makes them the same." : "";
}
