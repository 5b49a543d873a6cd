/** Failed files with the reason; each can be sent again. */

import { byId, h, setText } from "./dom.js";
import { errorTitle } from "./errors.js";
import { plural, t } from "./i18n.js";

/** Codes of errors in the file itself, for which a retry is useless. */
const FINAL_CODES = new Set(["malformed_image", "unsupported_format", "image_too_large", "body_too_large"]);

let drawn = null;

export function renderFailures(cells, { retry, remove }) {
  const key = [document.documentElement.lang, ...cells.map((cell) => `${cell.id}:${cell.error.code}`)].join("|");
  if (drawn === key) return;
  drawn = key;
  const list = byId("failures-list");
  const held = list.contains(document.activeElement);
  byId("failures").hidden = cells.length === 0;
  setText(byId("failures-title"), plural("failures.title", cells.length));
  byId("retry-all").hidden = !cells.some(worthRetrying);
  list.replaceChildren(...cells.map((cell) => failure(cell, retry, remove)));
  // The pressed button is gone; keep the keyboard focus in the list, or else in the page.
  if (held) (list.querySelector("button") ?? byId("main")).focus();
}

export const worthRetrying = (cell) => !FINAL_CODES.has(cell.error.code);

function failure(cell, retry, remove) {
  return h(
    "li",
    { dataset: { name: cell.name, status: cell.status, code: cell.error.code } },
    h(
      "div",
      { class: "failure-words" },
      h("strong", { text: cell.name }),
      h(
        "p",
        { class: "error-words", dataset: { testid: "error", code: cell.error.code } },
        h("span", { text: errorTitle(cell.error) }),
        cell.error.message ? h("span", { class: "said", lang: "en", text: cell.error.message }) : null,
      ),
    ),
    button("failures.retry", "retry", cell, retry),
    button("failures.remove", "remove", cell, remove),
  );
}

function button(key, testid, cell, action) {
  return h("button", {
    type: "button",
    text: t(key),
    class: testid === "remove" ? "quiet" : null,
    "aria-label": `${t(key)}: ${cell.name}`,
    dataset: { testid },
    on: { click: () => action(cell) },
  });
}
