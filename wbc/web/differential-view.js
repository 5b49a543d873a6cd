/** The differential as a table with its chart: under each class a bar, its interval, and the adult range. */

import { byId, h, setText, setVariables } from "./dom.js";
import { UNCLASSIFIABLE } from "./classes.js";
import { className, number, percent, plural, t } from "./i18n.js";

const FEW_CELLS = 100;

let drawn = null;

export function renderDifferential(result) {
  const key = `${document.documentElement.lang}|${JSON.stringify(result)}`;
  if (drawn === key) return;
  drawn = key;
  renderState(result);
  setText(byId("differential-words"), words(result));
  byId("differential-table").replaceChildren(...differentialTable(result));
  byId("differential-legend").replaceChildren(
    ...["share", "interval", "range"].map((part) =>
      h("span", {}, h("i", { class: `legend-${part}` }), t(`differential.legend_${part}`)),
    ),
  );
}

/** Caption, head and body of the table; the printed report draws the same. */
export function differentialTable(result) {
  const heads = ["class", "cells", "share", "range"].map((name) =>
    h("th", { scope: "col", text: t(`differential.${name}`) }),
  );
  return [
    h("caption", { class: "visually-hidden", text: t("differential.caption", { count: number(result.counted) }) }),
    h("thead", {}, h("tr", {}, ...heads)),
    ...result.rows.map((row) =>
      h("tbody", { dataset: { class: row.name } }, valueRow(row, result), chartRow(row, result)),
    ),
    h(
      "tbody",
      { dataset: { class: "Review" } },
      besideRow(t("gallery.review"), result.open, t("differential.not_yet")),
    ),
    h(
      "tbody",
      { dataset: { class: UNCLASSIFIABLE } },
      besideRow(className(UNCLASSIFIABLE), result.unclassifiable, t("differential.beside")),
    ),
    h("tfoot", {}, totalRow(result)),
  ];
}

export function stateName(result) {
  return result.final ? "final" : "preliminary";
}

function renderState(result) {
  const badge = byId("differential-state");
  badge.dataset.state = stateName(result);
  setText(badge, t(`differential.${stateName(result)}`));
}

/** Notes on cells that are not counted and on the precision of the count. */
export function words(result) {
  const parts = [];
  if (result.foreign) parts.push(t("differential.foreign"));
  if (result.pending) parts.push(plural("differential.pending", result.pending));
  if (result.open) parts.push(plural("differential.open", result.open));
  if (result.final) parts.push(t("differential.none_open"));
  if (result.refused) parts.push(plural("differential.refused", result.refused));
  if (result.counted && result.counted < FEW_CELLS) parts.push(plural("differential.few", result.counted));
  return parts.join(" ");
}

function valueRow(row, result) {
  const [low, high] = row.interval;
  const interval = t("differential.interval", { low: number(low * 100, 1), high: number(high * 100, 1) });
  const [from, to] = row.adultPercent;
  return h(
    "tr",
    {},
    h("th", { scope: "row", text: className(row.name) }),
    h("td", { class: "numeric", text: number(row.count), dataset: { testid: "count" } }),
    h(
      "td",
      { class: "numeric" },
      h("span", { class: "share", text: result.counted ? percentOf(row.share) : "–" }),
      h("span", { class: "interval", text: result.counted ? interval : "" }),
    ),
    h(
      "td",
      { class: "numeric" },
      h(
        "div",
        { class: "against" },
        h("span", {
          class: "verdict-word",
          dataset: { verdict: row.verdict },
          text: result.counted ? t(`verdict.${row.verdict}`) : "",
        }),
        h("span", { class: "range", text: t("differential.range_value", { from: number(from), to: number(to) }) }),
      ),
    ),
  );
}

/** Plain rounding, unlike for a probability: 0 of 100 is 0%. */
const percentOf = (share) => percent(Math.round(share * 1000) / 1000);

function chartRow(row, result) {
  const chart = h(
    "div",
    { class: "chart" },
    h("i", { class: "chart-range" }),
    result.counted ? h("i", { class: "chart-share" }) : null,
    result.counted ? h("i", { class: "chart-interval" }) : null,
  );
  const [low, high] = row.interval;
  setVariables(chart, { share: row.share, low, high, from: row.adultPercent[0] / 100, to: row.adultPercent[1] / 100 });
  return h("tr", { class: "chart-row", "aria-hidden": "true" }, h("td", { colspan: "4" }, chart));
}

/** Cells excluded from the count, with the reason. */
function besideRow(name, count, why) {
  return h(
    "tr",
    { class: "beside" },
    h("th", { scope: "row", text: name }),
    h("td", { class: "numeric", text: number(count), dataset: { testid: "count" } }),
    h("td", { class: "aside", colspan: "2", text: why }),
  );
}

function totalRow(result) {
  return h(
    "tr",
    {},
    h("th", { scope: "row", text: t("differential.total") }),
    h("td", { class: "numeric", text: number(result.counted), dataset: { testid: "total" } }),
    h("td", { colspan: "2", class: "aside", text: t("differential.method") }),
  );
}
