// The page: it follows the state of the session, and gives its orders.

import { ask, duration, find, order, tell } from "./dom.js";
import { connect } from "./live.js";
import { clear, frame, lay, photograph, shape, startView, viewKey } from "./view.js";
import { showDials, startDials } from "./dials.js";
import { showPictures, startPictures } from "./pictures.js";
import { showRegions, startRegions } from "./regions.js";
import { showVersions } from "./strip.js";
import { startCurves, takeCurves } from "./curves.js";
import { showResult, startResult } from "./result.js";

const PASSES = { whole: "Painting", follow: "Following the dials", refine: "Refining", large: "Painting large" };
let state = null;
let error = null;

function fitted(photo, size) {
  const scale = size / Math.max(photo.width, photo.height);
  return [Math.max(1, Math.round(photo.width * scale)), Math.max(1, Math.round(photo.height * scale))];
}

function show(next) {
  const photoBefore = state?.photo?.key;
  state = { ...state, ...next };
  if (state.photo) {
    if (photoBefore !== undefined && photoBefore !== state.photo.key) clear();
    shape(...fitted(state.photo, state.dials.size));
    photograph(state.photo.key);
  }
  find("empty").hidden = Boolean(state.photo);
  showStatus();
  showDials(state.dials);
  showPictures(state);
  showRegions(state);
  showVersions(state.versions);
  showResult(state);
  const idle = state.status === "idle";
  const paused = state.status === "paused";
  const pause = find("pause");
  pause.disabled = !(paused || state.status === "painting");
  pause.querySelector("span").textContent = paused ? "Go on" : idle ? "Finished" : "Pause";
  pause.querySelector("use").setAttribute("href", paused ? "#i-play" : "#i-pause");
  find("undo").disabled = !state.can_undo;
  find("redo").disabled = !state.can_redo;
  find("keep").disabled = !state.shown;
  find("anew").disabled = !state.photo || !state.paintings.length;
  if (state.error && state.error !== error) tell(state.error);
  error = state.error;
}

function showStatus() {
  const { turn, status, shown, queue } = state;
  const hidden = turn?.name === "whole" && shown?.look && turn.size < Math.max(shown.width, shown.height);
  let doing = { starting: "Warming up", waiting: "Waiting for a photograph and a painting", idle: "Finished", paused: "Paused", rendering: "Painting large" }[status] ?? "";
  let where = "";
  let done = status === "idle" ? 1 : 0;
  if (status === "painting" || status === "rendering") {
    doing = turn ? PASSES[turn.name] : "Painting";
    if (hidden) doing = "Laying out broad strokes again";
    else if (turn?.name === "whole" && shown?.look) doing = "A first look";
  }
  if (turn && (status === "painting" || status === "rendering" || status === "paused")) {
    const parts = [`${turn.size} px`, turn.through];
    if (turn.left !== null && status !== "paused") parts.push(`${duration(turn.left)} left`);
    where = parts.join(" · ");
    done = turn.iteration / turn.total;
  } else if (status === "idle" && shown) {
    where = `${shown.width} × ${shown.height} pixels`;
  }
  if (queue.length) where += ` · ${queue.length} waiting`;
  if (find("doing").textContent !== doing) find("doing").textContent = doing;
  find("where").textContent = where;
  find("bar").firstElementChild.style.setProperty("--done", done);
  find("bar").setAttribute("aria-valuenow", Math.round(done * 100));
}

const actions = {
  pause: () => order(`api/do/${state?.status === "paused" ? "go-on" : "pause"}`),
  keep: () => order("api/keep"),
  undo: () => order("api/do/undo"),
  redo: () => order("api/do/redo"),
  anew: () => order("api/do/repaint"),
};

function onKey(event) {
  const typing = event.target.closest("input:not([type=range]):not([type=radio]), select, textarea, dialog");
  if (typing || event.altKey) return;
  const key = event.key.toLowerCase();
  if (event.ctrlKey || event.metaKey) {
    if (key === "z") { event.shiftKey ? actions.redo() : actions.undo(); event.preventDefault(); }
    else if (key === "y") { actions.redo(); event.preventDefault(); }
    return;
  }
  if (key === " " && !event.target.closest("button, summary, input")) { actions.pause(); event.preventDefault(); }
  else if (key === "k") actions.keep();
  else viewKey(key);
}

function startTheme() {
  const root = document.documentElement;
  try { const kept = localStorage.getItem("theme"); if (kept) root.dataset.theme = kept; } catch { /* private windows */ }
  find("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* private windows */ }
  });
}

async function start() {
  startTheme();
  startView();
  startCurves();
  for (const [name, act] of Object.entries(actions)) find(name).addEventListener("click", act);
  document.addEventListener("keydown", onKey);
  const words = await ask("api/words");
  if (!words) return;
  startPictures(words);
  startDials(words);
  startRegions(words);
  startResult(words);
  connect({
    onState: show,
    onCurves: takeCurves,
    onFrame: frame,
    onAway: () => { find("doing").textContent = "The studio does not answer; trying again"; find("where").textContent = ""; },
  });
  lay();
}

start();
