/** Printed report: differential, cells for review, and thumbnails. Created on demand. */

import { byId, h } from "./dom.js";
import { classOf, isDone, standing } from "./cell.js";
import { markOf } from "./classes.js";
import { differentialTable, stateName, words } from "./differential-view.js";
import { differential } from "./differential.js";
import { className, dateTime, percent, t } from "./i18n.js";

/** Print from the button or from the browser's print command. */
export function bindPrinting(session, model) {
  let urls = null;
  const build = () => {
    urls ??= buildReport(session, model());
  };
  window.addEventListener("beforeprint", build);
  window.addEventListener("afterprint", () => {
    for (const url of urls ?? []) URL.revokeObjectURL(url);
    urls = null;
  });
  return async () => {
    build();
    const pictures = [...byId("printed").querySelectorAll("img")];
    await Promise.all(pictures.map((picture) => picture.decode().catch(() => undefined)));
    window.print();
  };
}

/** Draw the report; returns the URLs of its pictures, to be revoked after printing. */
function buildReport(session, model) {
  const result = differential(session.cells);
  const urls = [];
  const groups = session.groups().filter((group) => group.cells.some(isDone));
  byId("printed").replaceChildren(
    h("h1", { text: t("print.title") }),
    h("p", {
      class: "print-state",
      dataset: { state: stateName(result) },
      text: t(`differential.${stateName(result)}`),
    }),
    h("p", { text: words(result) }),
    h(
      "dl",
      {},
      ...pairs([
        [t("print.date"), dateTime(new Date())],
        [t("details.model"), [model?.name, model?.version].filter(Boolean).join(" ")],
        [t("details.bundle"), model?.bundle_sha256],
      ]),
    ),
    h("table", {}, ...differentialTable(result)),
    ...groups.flatMap((group) => printedGroup(group, urls)),
    h("p", { class: "print-statement", text: t("research.long") }),
    h("p", { class: "print-sign", text: t("print.sign") }),
  );
  return urls;
}

const pairs = (rows) =>
  rows.filter(([, value]) => value).flatMap(([term, value]) => [h("dt", { text: term }), h("dd", { text: value })]);

function printedGroup(group, urls) {
  const title = group.key === "review" ? t("gallery.review") : className(group.key);
  return [
    h("h2", { text: `${title} (${group.cells.length})` }),
    h("ul", {}, ...group.cells.map((cell) => printedCell(cell, urls))),
  ];
}

function printedCell(cell, urls) {
  const url = URL.createObjectURL(cell.blobs.display ?? cell.file);
  urls.push(url);
  const decided = cell.decision ? t(`standing.${standing(cell)}`) : percent(cell.result.confidence, 0);
  return h(
    "li",
    {},
    h("img", { src: url, alt: "" }),
    h("span", { text: `${markOf(classOf(cell))} · ${decided}` }),
    h("span", { class: "print-file", text: cell.name }),
  );
}
