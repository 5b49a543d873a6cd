/** Details of a prediction: probabilities, review reasons, focus, timings. */

import { byId, h, setText, setVariables } from "./dom.js";
import { isDone, isOpen } from "./cell.js";
import { CLASSES } from "./classes.js";
import { className, currentLanguage, has, number, percent, t } from "./i18n.js";

export function renderProbabilities(cell) {
  const list = byId("probabilities");
  if (!list.childElementCount) {
    list.append(...CLASSES.map(({ name }) => probabilityRow(name)));
  }
  for (const row of list.children) {
    const { class: name } = row.dataset;
    const share = isDone(cell) ? (cell.result.all_probabilities[name] ?? 0) : null;
    const { words, value, fill } = row.parts;
    setText(words, className(name));
    setText(value, share === null ? "–" : percent(share));
    row.dataset.probability = share ?? "";
    row.classList.toggle("is-first", isDone(cell) && cell.result.class === name);
    setVariables(fill, { share: share ?? 0 });
  }
}

function probabilityRow(name) {
  const words = h("span", { class: "bar-name" });
  const value = h("span", { class: "bar-value" });
  const fill = h("span", { class: "bar-fill" });
  const row = h(
    "li",
    { dataset: { class: name } },
    words,
    h("span", { class: "bar-track", "aria-hidden": "true" }, fill),
    value,
  );
  return Object.assign(row, { parts: { words, value, fill } });
}

/** The reasons remain visible after the decision. */
export function renderReview(cell) {
  const reasons = isDone(cell) && cell.result.review?.needed ? (cell.result.review.reasons ?? []) : [];
  const box = byId("review");
  box.hidden = !isDone(cell) || !cell.result.review?.needed;
  box.classList.toggle("is-settled", !isOpen(cell));
  setText(byId("review-title"), t(isOpen(cell) ? "review.title" : "review.settled"));
  byId("review-reasons").replaceChildren(
    ...reasons.map((reason) => h("li", { text: reasonWords(reason), dataset: { code: reason.code } })),
  );
}

/** The server's English text contains the numbers; other languages use the text of the code. */
function reasonWords({ code, text }) {
  if (text && currentLanguage() === "en") return text;
  return has(`reason.${code}`) ? t(`reason.${code}`) : (text ?? code);
}

export function renderFocus(cell) {
  const focus = isDone(cell) ? cell.result.focus : null;
  setText(byId("focus"), focusWords(focus));
}

function focusWords(focus) {
  if (!focus) return t("focus.waiting");
  if (!focus.valid) return t("focus.invalid");
  const values = { ratio: percent(focus.ratio, 0), coverage: percent(focus.coverage, 0) };
  return `${t("focus.sentence", values)} ${t(focus.ratio > focus.coverage ? "focus.more" : "focus.less", values)}`;
}

export function renderDetails(cell) {
  const result = isDone(cell) ? cell.result : {};
  const stages = Object.entries(result.timings_ms ?? {}).map(([stage, ms]) => [
    has(`timing.${stage}`) ? t(`timing.${stage}`) : stage,
    t("details.ms", { ms: number(ms, 1) }),
  ]);
  const rows = [
    ...stages,
    [t("details.model"), [result.model?.name, result.model?.version].filter(Boolean).join(" ")],
    [t("details.bundle"), result.model?.bundle_sha256],
    [t("details.method"), result.gradcam_method],
    [
      t("details.runner_up"),
      result.runner_up && `${className(result.runner_up.class)}, ${percent(result.runner_up.probability)}`,
    ],
    [t("details.request"), result.request_id],
  ];
  byId("details").replaceChildren(
    ...rows
      .filter(([, value]) => value)
      .flatMap(([term, value]) => [h("dt", { text: term }), h("dd", { text: value })]),
  );
}
