/** Report of a cell: loading, complete with its author, or failed with a retry button. */

import { byId, h } from "./dom.js";
import { classOf, isDone } from "./cell.js";
import { className, has, t } from "./i18n.js";
import { errorWords } from "./errors.js";

let drawn = null;

export function renderReport(cell, language, retry) {
  const entry = isDone(cell) ? cell.reports[language] : undefined;
  const state = entry?.state ?? (isDone(cell) ? "loading" : "none");
  const key = [cell.id, language, state, classOf(cell)].join("|");
  if (drawn === key) return;
  drawn = key;
  byId("report").dataset.state = state;
  byId("report-body").replaceChildren(...body(cell, entry, state, retry));
}

function body(cell, entry, state, retry) {
  if (state === "none") return [h("p", { class: "quiet-words", text: t("report.none") })];
  if (state === "loading") return [h("p", { class: "quiet-words is-loading", text: t("report.loading") })];
  if (state === "failed") {
    return [
      h("p", { class: "error-words", text: `${t("report.failed")} ${errorWords(entry.error)}` }),
      h("button", {
        type: "button",
        text: t("report.retry"),
        dataset: { testid: "report-retry" },
        on: { click: retry },
      }),
    ];
  }
  return written(cell, entry.report);
}

function written(cell, report) {
  const paragraphs = (report?.text ?? "").split(/\n+/).filter((line) => line.trim());
  const parts = paragraphs.map((text) => h("p", { text }));
  if (classOf(cell) !== cell.result.class) {
    parts.unshift(h("p", { class: "note", text: t("report.about_model", { class: className(cell.result.class) }) }));
  }
  if (report?.provider) {
    parts.push(
      h("p", {
        class: "author",
        text: t("report.author", { provider: providerName(report.provider) }),
        dataset: { testid: "report-author" },
      }),
    );
  }
  for (const failure of report?.failures ?? []) {
    parts.push(
      h("p", {
        class: "author",
        text: t("report.fallback", { provider: providerName(failure.provider), reason: failureName(failure.reason) }),
      }),
    );
  }
  return parts;
}

const providerName = (provider) => (has(`provider.${provider}`) ? t(`provider.${provider}`) : provider);
const failureName = (reason) => (has(`failure.${reason}`) ? t(`failure.${reason}`) : reason);
