/** Keyboard shortcuts; ignored inside controls, and can be disabled (WCAG 2.1.4). */

import { byId, h } from "./dom.js";
import { CLASSES, UNCLASSIFIABLE } from "./classes.js";
import { t } from "./i18n.js";
import { preferences } from "./remember.js";

const STEPS = { ArrowLeft: -1, ArrowRight: 1 };
const ROWS = { ArrowUp: -1, ArrowDown: 1 };

/** `actions`: decide(name), confirm(), step(direction), row(direction), edge(direction). */
export function listenForKeys(actions) {
  document.addEventListener("keydown", (event) => {
    if (!areOn() || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target.closest("input, select, textarea, summary")) return;
    // A focused button handles Enter and letters itself; arrows and digits are shortcuts there too.
    if (event.key === "Enter" && event.target.closest("button, a")) return;
    const action = actionOf(event, actions);
    // A held key may move through the cells but must not classify them.
    if (!action || (event.repeat && !event.key.startsWith("Arrow"))) return;
    if (action() !== false) event.preventDefault();
  });
}

function actionOf({ key, target }, actions) {
  if (key in STEPS) return () => actions.step(STEPS[key]);
  // Up and down scroll the page unless the focus is in the gallery.
  if (key in ROWS && target.closest("[role=option]")) return () => actions.row(ROWS[key]);
  if (key === "Home" && target.closest("[role=option]")) return () => actions.edge(-1);
  if (key === "End" && target.closest("[role=option]")) return () => actions.edge(1);
  if (key === "Enter") return actions.confirm;
  if (key.toLowerCase() === "u") return () => actions.decide(UNCLASSIFIABLE);
  const entry = /^[1-5]$/.test(key) ? CLASSES[Number(key) - 1] : null;
  return entry ? () => actions.decide(entry.name) : null;
}

const areOn = () => preferences.get("shortcuts") !== "off";

/** Dialog with the list of shortcuts and the switch to disable them. */
export function openHelpOnDemand() {
  const dialog = byId("help-dialog");
  const box = byId("shortcuts-on");
  byId("open-help").addEventListener("click", () => {
    box.checked = areOn();
    renderKeys();
    dialog.showModal();
  });
  byId("help-close").addEventListener("click", () => dialog.close());
  box.addEventListener("change", () => preferences.set("shortcuts", box.checked ? "on" : "off"));
}

function renderKeys() {
  const keys = [["←", "→"], ["↑", "↓"], ["1", "–", "5"], ["U"], ["Enter"]];
  const names = ["step", "row", "class", "unclassifiable", "confirm"];
  byId("shortcuts").replaceChildren(
    ...names.flatMap((name, index) => [
      h("dt", {}, ...keys[index].map((text) => (text === "–" ? " – " : h("kbd", { text })))),
      h("dd", { text: t(`help.${name}`) }),
    ]),
  );
}
