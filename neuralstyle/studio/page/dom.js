// Small helpers: elements, requests, messages.

const base = new URL(".", location.href);

export const find = (id) => document.getElementById(id);

/** Make an element: make("button", {class: "quiet", onclick}, "Text", child). */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

export const address = (path) => new URL(path, base).href;

/** Ask the server; an error is shown, and null returned. */
export async function ask(path, options = {}) {
  try {
    const response = await fetch(address(path), options);
    const type = response.headers.get("content-type") ?? "";
    const answer = type.includes("json") ? await response.json() : { error: await response.text() };
    if (!response.ok) {
      tell(answer.error || `The studio answered ${response.status}`);
      return null;
    }
    return answer;
  } catch {
    tell("The studio does not answer. Was it stopped?");
    return null;
  }
}

export const order = (path, values = {}) =>
  ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(values) });

export const send = (path, body) => ask(path, { method: "POST", body });

export const drop = (path) => ask(path, { method: "DELETE" });

let timer = 0;

/** Show a line for some seconds. */
export function tell(text) {
  const toast = find("toast");
  toast.textContent = text;
  toast.hidden = false;
  clearTimeout(timer);
  timer = setTimeout(() => { toast.hidden = true; }, 7000);
}

/** Show a dialog with a title and elements. */
export function open(title, ...children) {
  find("dialog-title").textContent = title;
  find("dialog-body").replaceChildren(...children);
  find("dialog").showModal();
}

export const close = () => find("dialog").close();

/** Let the user choose a file, and return it. */
export function choose() {
  return new Promise((resolve) => {
    const input = find("file");
    input.value = "";
    input.onchange = () => resolve(input.files[0] ?? null);
    input.oncancel = () => resolve(null);
    input.click();
  });
}

/** Let files be dropped on an element. */
export function onDrop(element, take) {
  let depth = 0;
  const mark = (change) => { depth = Math.max(0, depth + change); element.classList.toggle("dropping", depth > 0); };
  element.addEventListener("dragenter", (event) => { event.preventDefault(); mark(1); });
  element.addEventListener("dragleave", () => mark(-1));
  element.addEventListener("dragover", (event) => event.preventDefault());
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    mark(-depth);
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
}

/** Seconds in words. */
export function duration(seconds) {
  if (seconds < 1.5) return "a moment";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
