// The strip of versions: each goes back to its picture and its dials.

import { usualLoss } from "./dials.js";
import { address, drop, find, icon, make, order } from "./dom.js";

let shown = "";
export let chosen = null; // the number of the version that the page has gone back to, or null

const words = (version) => {
  const { dials } = version;
  const parts = [`${version.width} × ${version.height}`, `strength ${dials.strength.toFixed(2)}`, `strokes ${dials.scale.toFixed(2)}×`];
  if (dials.color !== "style") parts.push(dials.color);
  if (dials.style_loss !== usualLoss) parts.push(dials.style_loss);
  parts.push(version.paintings.map((painting) => painting.name).join(" + "));
  return parts.join(", ");
};

export function showVersions(versions) {
  const now = JSON.stringify(versions.map((version) => version.number));
  if (now === shown) return;
  shown = now;
  const strip = find("strip");
  const atEnd = strip.scrollLeft + strip.clientWidth >= strip.scrollWidth - 30;
  find("no-versions").hidden = versions.length > 0;
  strip.replaceChildren(...versions.map((version) => make("li", {},
    make("button", {
      type: "button", class: "version", title: words(version), "aria-label": `Version ${version.number}: ${words(version)}. Go back to it.`,
      onclick: () => order(`api/versions/${version.number}/restore`),
    }, make("img", { src: address(`api/versions/${version.number}/thumb.jpg`), alt: "", height: 68 })),
    make("span", { class: "tag" }, version.finished ? `${Math.max(version.width, version.height)}` : "on the way"),
    make("a", { class: "button take", href: address(`api/versions/${version.number}/picture.png`), download: "", "aria-label": `Download version ${version.number} as PNG`, title: "Download" }, icon("down")),
    make("button", { type: "button", class: "remove", "aria-label": `Remove version ${version.number}`, title: "Remove", onclick: () => drop(`api/versions/${version.number}`) }, icon("close")),
  )));
  if (atEnd) strip.scrollLeft = strip.scrollWidth;
}
