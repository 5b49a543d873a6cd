/** Wiring of the page: intake adds cells, the queue sends them, views draw the session. */

import { explain, model as fetchModel, predict } from "./api.js";
import { renderBanner } from "./banner.js";
import { classOf, isDone, isOpen } from "./cell.js";
import { differential } from "./differential.js";
import { renderDifferential } from "./differential-view.js";
import { bindDialogs } from "./dialogs.js";
import { byId, setText } from "./dom.js";
import { errorTitle } from "./errors.js";
import { download, exportName, sessionCsv, sessionJson } from "./export.js";
import { renderFailures, worthRetrying } from "./failures-view.js";
import { Gallery } from "./gallery.js";
import { className, currentLanguage, loadCatalogue, percent, plural, setLanguage, t, translatePage } from "./i18n.js";
import { openIntake } from "./intake.js";
import { listenForKeys, openHelpOnDemand } from "./keyboard.js";
import { bindPrinting } from "./print-view.js";
import { renderProgress } from "./progress-view.js";
import { Queue } from "./queue.js";
import { Reports } from "./reports.js";
import { Server } from "./server.js";
import { Session } from "./session.js";
import { Viewer } from "./viewer.js";

await loadCatalogue();

const session = new Session();
const server = new Server();
const queue = new Queue({
  send: (file, signal) => predict(file, currentLanguage(), signal),
  server,
  changed: cellChanged,
});
const reports = new Reports({ ask: explain, server, changed: () => session.changed() });
let served = null;

const actions = { decide, confirm, undo, step, row, edge, retryReport };
const gallery = new Gallery({ session, language: currentLanguage, chosen: look, opened: () => viewer.bringIntoView() });
const viewer = new Viewer({ session, language: currentLanguage, actions });
const printSession = bindPrinting(session, () => served);
const dialogs = bindDialogs({ giveKey: (key) => server.giveKey(key), clear });

// Drawing

let scheduled = false;
let drawnAt = 0;

/** Draw at the next frame; while many results arrive, draw only a few times per second. */
function schedule() {
  if (scheduled) return;
  scheduled = true;
  const pause = queue.isBusy && session.cells.length > 20 ? Math.max(0, drawnAt + 250 - performance.now()) : 0;
  setTimeout(() => requestAnimationFrame(render), pause);
}

function render() {
  scheduled = false;
  const { cells } = session;
  const shown = session.ordered();
  document.body.classList.toggle("is-empty", cells.length === 0);
  document.body.classList.toggle("is-many", shown.length > 1);
  byId("welcome").hidden = cells.length > 0;
  setText(byId("intake-title"), t(cells.length ? "intake.more" : "intake.title"));
  byId("work").hidden = shown.length === 0;
  byId("many").hidden = shown.length < 2;
  viewer.render();
  reports.want(session.selected, currentLanguage());
  gallery.render();
  renderDifferential(differential(cells));
  renderFailures(session.refused(), { retry: (cell) => retry([cell]), remove: (cell) => session.remove(cell) });
  renderProgress(cells);
  renderBanner(server, { askKey: dialogs.askKey, check: () => server.check() });
  drawnAt = performance.now();
}

function translate() {
  translatePage();
  for (const button of byId("languages").children) {
    button.setAttribute("aria-pressed", String(button.dataset.language === currentLanguage()));
  }
  setText(byId("model-line"), served ? t("page.model", { name: served.name, version: served.version }) : "");
  render();
}

function say(words) {
  setText(byId("live"), words);
}

// Files

function take(files, skipped) {
  const { added, repeated } = session.add(files);
  const words = [];
  if (added.length) words.push(plural("intake.added", added.length));
  if (repeated) words.push(plural("intake.repeated", repeated));
  if (skipped) words.push(plural("intake.skipped", skipped));
  say(words.join(" "));
  byId("intake-note").hidden = !repeated && !skipped;
  setText(byId("intake-note"), words.slice(added.length ? 1 : 0).join(" "));
  queue.add(added);
}

function retry(cells) {
  queue.add(cells);
  session.settleSelection();
  session.changed();
}

function cellChanged(cell) {
  if (cell.status === "failed" || cell.status === "cancelled") session.settleSelection();
  if (cell.status === "failed") say(`${cell.name}: ${errorTitle(cell.error)}`);
  if (isDone(cell) && cell === session.selected) say(spoken(cell));
  if (!queue.isBusy && session.cells.length > 1) say(finished());
  if (isDone(cell) && !served) showModel();
  session.changed();
}

const spoken = (cell) =>
  `${className(classOf(cell))}, ${percent(cell.result.confidence)}. ${isOpen(cell) ? t("standing.review") : ""}`;

function finished() {
  return [t("progress.finished"), plural("differential.open", session.open().length)].join(" ");
}

function clear() {
  queue.cancel();
  session.clear();
  byId("file-input").focus();
}

// The reader

function look(cell) {
  if (!cell) return false;
  const amongTiles = gallery.hasFocus;
  session.select(cell);
  render();
  if (amongTiles) gallery.focusSelected({ scroll: true });
  if (isDone(cell)) say(spoken(cell));
  return true;
}

function decide(name) {
  const cell = session.selected;
  if (!cell || !isDone(cell)) return false;
  // The tile may move to another group; keep the scroll position.
  const amongTiles = gallery.hasFocus;
  session.decide(cell, name);
  say(`${t("decision.said", { class: className(name) })} ${plural("differential.open", session.open().length)}`);
  render();
  if (amongTiles) gallery.focusSelected({ scroll: false });
  return true;
}

/** Confirm the current class and select the next cell for review, or else the next cell. */
function confirm() {
  const cell = session.selected;
  if (!cell || !isDone(cell)) return false;
  const order = session.ordered();
  const open = session.open();
  const after = order.slice(order.indexOf(cell) + 1);
  const next = after.find(isOpen) ?? open.find((other) => other !== cell) ?? after.find((other) => other !== cell);
  session.decide(cell, classOf(cell));
  say(
    `${t("decision.said", { class: className(classOf(cell)) })} ${plural("differential.open", session.open().length)}`,
  );
  look(next ?? cell);
  return true;
}

function undo() {
  session.decide(session.selected, null);
}

function step(direction) {
  const order = session.ordered();
  return look(order[order.indexOf(session.selected) + direction]);
}

function row(direction) {
  return look(gallery.vertical(direction));
}

function edge(direction) {
  return look(session.ordered().at(direction < 0 ? 0 : -1));
}

function retryReport() {
  reports.retry(session.selected, currentLanguage());
  schedule();
}

// The server

async function showModel() {
  try {
    served = await fetchModel();
    translate();
  } catch (error) {
    // The footer shows the model; this request also detects a missing key early.
    if (error.status === 401) server.block(error);
  }
}

function saveCsv() {
  download(exportName("csv"), "text/csv;charset=utf-8", sessionCsv(session.cells));
  session.unsaved = false;
}

function saveJson() {
  download(exportName("json"), "application/json", sessionJson(session.cells, served));
  session.unsaved = false;
}

session.addEventListener("change", schedule);
server.addEventListener("change", () => {
  if (server.isReady && !served) showModel();
  if (server.state === "key") dialogs.askKey();
  schedule();
});
byId("cancel").addEventListener("click", () => queue.cancel());
byId("retry-all").addEventListener("click", () => retry(session.refused().filter(worthRetrying)));
byId("export-csv").addEventListener("click", saveCsv);
byId("export-json").addEventListener("click", saveJson);
byId("export-print").addEventListener("click", printSession);
byId("clear").addEventListener("click", () => dialogs.askClear(session.unsaved));
byId("languages").addEventListener("click", (event) => {
  const { language } = event.target.dataset;
  if (!language) return;
  setLanguage(language);
  translate();
});
window.addEventListener("beforeunload", (event) => {
  if (session.unsaved) event.preventDefault();
});
openIntake({ zone: byId("drop-zone"), fileInput: byId("file-input"), folderInput: byId("folder-input"), take });
listenForKeys(actions);
openHelpOnDemand();
translate();
server.start();
document.body.dataset.ready = "true";
