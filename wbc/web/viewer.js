/** The selected cell: prediction, pictures and decision. */

import { byId, h, setText } from "./dom.js";
import { classOf, isDone, isForeign, standing } from "./cell.js";
import { CLASSES, UNCLASSIFIABLE } from "./classes.js";
import { paintScale } from "./colormap.js";
import { renderDetails, renderFocus, renderProbabilities, renderReview } from "./evidence.js";
import { className, percent, t } from "./i18n.js";
import { Pictures } from "./pictures.js";
import { renderReport } from "./report-view.js";

export class Viewer {
  #pictures = new Pictures({ image: byId("cell-image"), map: byId("heatmap") });
  #choices = new Map();

  /** `actions`: decide(name), confirm(), undo(), step(direction), retryReport(). */
  constructor({ session, language, actions }) {
    this.session = session;
    this.language = language;
    this.actions = actions;
    paintScale(byId("map-scale"));
    this.#buildChoices();
    byId("confirm").addEventListener("click", actions.confirm);
    byId("undo").addEventListener("click", actions.undo);
    byId("previous").addEventListener("click", () => actions.step(-1));
    byId("next").addEventListener("click", () => actions.step(1));
    byId("opacity").addEventListener("input", (event) => {
      this.#pictures.opacity = Number(event.target.value) / 100;
      this.#pictures.paintMap();
    });
    byId("map-overlay").addEventListener("click", () => this.#setRaw(false));
    byId("map-raw").addEventListener("click", () => this.#setRaw(true));
    this.#setRaw(false);
  }

  render() {
    const cell = this.session.selected;
    byId("viewer").hidden = !cell;
    this.#pictures.show(cell);
    if (!cell) return;
    byId("viewer").dataset.state = cell.status;
    this.#renderAnswer(cell);
    this.#renderDecision(cell);
    renderReview(cell);
    renderProbabilities(cell);
    renderFocus(cell);
    renderDetails(cell);
    renderReport(cell, this.language(), this.actions.retryReport);
  }

  /** On a narrow page the cell is above the gallery; scroll to it after a tap on a tile. */
  bringIntoView() {
    if (byId("viewer").getBoundingClientRect().bottom < window.innerHeight / 4) byId("viewer").scrollIntoView();
  }

  #buildChoices() {
    const names = [...CLASSES.map((entry) => entry.name), UNCLASSIFIABLE];
    names.forEach((name, index) => {
      const key = name === UNCLASSIFIABLE ? "U" : String(index + 1);
      const words = h("span");
      const button = h(
        "button",
        {
          type: "button",
          dataset: { class: name, testid: `correct-${name}` },
          on: { click: () => this.actions.decide(name) },
        },
        h("kbd", { text: key, "aria-hidden": "true" }),
        words,
      );
      button.words = words;
      this.#choices.set(name, button);
      byId("choices").append(button);
    });
  }

  #renderAnswer(cell) {
    const done = isDone(cell);
    const name = classOf(cell);
    setText(byId("viewer-file"), cell.name);
    byId("viewer-file").title = cell.name;
    const order = this.session.ordered();
    const many = order.length > 1;
    setText(
      byId("viewer-position"),
      many ? t("viewer.position", { at: order.indexOf(cell) + 1, of: order.length }) : "",
    );
    for (const id of ["previous", "next"]) byId(id).hidden = !many;
    const title = byId("viewer-class");
    setText(title, done ? className(name) : t(`viewer.${cell.status}`));
    title.dataset.class = done ? name : "";
    // The confidence refers to the model's class, so it is hidden after a correction.
    byId("viewer-confidence-line").hidden = !done || name !== cell.result.class;
    setText(byId("viewer-confidence"), done ? percent(cell.result.confidence) : "");
    setText(byId("viewer-confidence-kind"), t(isForeign(cell) ? "viewer.confidence_foreign" : "viewer.confidence"));
    const badge = byId("viewer-standing");
    badge.hidden = !done;
    badge.dataset.standing = standing(cell) ?? "";
    setText(badge, done ? t(`standing.${standing(cell)}`) : "");
    const differs = done && name !== cell.result.class;
    const proposal = byId("viewer-proposal");
    proposal.hidden = !differs;
    const values = done ? { class: className(cell.result.class), confidence: percent(cell.result.confidence) } : {};
    setText(proposal, differs ? t("viewer.proposal", values) : "");
    byId("cell-image").setAttribute("aria-label", t("image.label", { file: cell.name }));
    setText(byId("image-caption"), t(done ? "image.framed" : "image.file"));
    byId("heatmap").setAttribute(
      "aria-label",
      done ? t("map.label", { class: className(cell.result.class) }) : t("map.none"),
    );
  }

  #renderDecision(cell) {
    const done = isDone(cell);
    const chosen = classOf(cell);
    for (const [name, button] of this.#choices) {
      setText(button.words, className(name));
      button.disabled = !done;
      button.setAttribute("aria-pressed", String(done && name === chosen));
    }
    const confirm = byId("confirm");
    confirm.disabled = !done;
    setText(confirm, done ? t("decision.confirm", { class: className(chosen) }) : t("decision.none"));
    byId("undo").hidden = cell.decision === null;
  }

  #setRaw(raw) {
    this.#pictures.raw = raw;
    byId("map-overlay").setAttribute("aria-pressed", String(!raw));
    byId("map-raw").setAttribute("aria-pressed", String(raw));
    byId("opacity").disabled = raw;
    this.#pictures.paintMap();
  }
}
