/** The gallery: one listbox per group; tiles are reused between drawings so that 200 remain smooth. */

import { byId, h, setText } from "./dom.js";
import { classOf, isDone, standing } from "./cell.js";
import { markOf } from "./classes.js";
import { className, percent, plural, t } from "./i18n.js";
import { Thumbnails } from "./thumbnails.js";

const FLAGS = { review: "!", confirmed: "✓", corrected: "✎", unclassifiable: "✎" };

export class Gallery {
  #tiles = new Map();
  #groups = new Map();
  #thumbnails = new Thumbnails();
  #language = null;

  /** `chosen(cell)` is called when a cell gets the focus, `opened()` when a tile is clicked. */
  constructor({ session, language, chosen, opened }) {
    this.root = byId("gallery-groups");
    this.session = session;
    this.language = language;
    // Selection follows the focus: by click, Tab or arrow keys.
    this.root.addEventListener("focusin", (event) => {
      const tile = event.target.closest("[role=option]");
      if (tile && tile.cell !== session.selected) chosen(tile.cell);
    });
    this.root.addEventListener("click", (event) => {
      if (event.target.closest("[role=option]")) opened();
    });
  }

  render() {
    const all = this.#language !== this.language();
    this.#language = this.language();
    const present = new Set();
    for (const group of this.session.groups()) {
      const box = this.#box(group.key);
      box.section.hidden = group.cells.length === 0;
      setText(box.title, groupTitle(group.key));
      setText(box.count, String(group.cells.length));
      box.list.setAttribute("aria-label", `${groupTitle(group.key)}, ${plural("gallery.cells", group.cells.length)}`);
      this.#fill(box.list, group.cells, all, present);
    }
    for (const [cell, tile] of this.#tiles) {
      if (present.has(cell)) continue;
      this.#thumbnails.forget(tile.canvas);
      tile.remove();
      this.#tiles.delete(cell);
    }
  }

  get hasFocus() {
    return this.root.contains(document.activeElement);
  }

  /** Focus the selected tile and optionally scroll it into view. */
  focusSelected({ scroll }) {
    const tile = this.#tiles.get(this.session.selected);
    if (!tile) return;
    if (document.activeElement !== tile) tile.focus({ preventScroll: true });
    if (scroll) tile.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /** Cell above or below the selected one on the screen. */
  vertical(direction) {
    const from = this.#tiles.get(this.session.selected)?.getBoundingClientRect();
    if (!from) return null;
    let best = null;
    for (const [cell, tile] of this.#tiles) {
      const to = tile.getBoundingClientRect();
      const rows = (to.top - from.top) * direction;
      if (rows < from.height / 2) continue;
      const distance = rows * 1000 + Math.abs(to.left - from.left);
      if (!best || distance < best.distance) best = { cell, distance };
    }
    return best?.cell ?? null;
  }

  #box(key) {
    if (!this.#groups.has(key)) {
      const title = h("span");
      const count = h("span", { class: "count" });
      const list = h("div", { class: "tiles", role: "listbox", "aria-orientation": "horizontal" });
      const section = h(
        "section",
        { class: "group", dataset: { group: key, testid: "group" } },
        h("h3", {}, title, " ", count),
        list,
      );
      this.root.append(section);
      this.#groups.set(key, { section, title, count, list });
    }
    return this.#groups.get(key);
  }

  #fill(list, cells, all, present) {
    let next = list.firstElementChild;
    // One tab stop per group: the selected cell, or else the first.
    const stop = cells.includes(this.session.selected) ? this.session.selected : cells[0];
    for (const cell of cells) {
      present.add(cell);
      const tile = this.#tiles.get(cell) ?? this.#newTile(cell);
      this.#update(tile, cell, all);
      if (tile.tabIndex !== (cell === stop ? 0 : -1)) tile.tabIndex = cell === stop ? 0 : -1;
      if (tile === next) {
        next = next.nextElementSibling;
      } else {
        // Moving a focused element drops its focus; restore it if the cell is still selected.
        const focused = document.activeElement === tile && cell === this.session.selected;
        list.insertBefore(tile, next);
        if (focused) tile.focus({ preventScroll: true });
      }
    }
  }

  #newTile(cell) {
    const canvas = h("canvas", { class: "thumb", "aria-hidden": "true" });
    const [mark, value, flag] = ["tile-mark", "tile-value", "tile-flag"].map((name) => h("span", { class: name }));
    flag.ariaHidden = "true";
    // Full text for screen readers in place of "LY 52%".
    const spoken = h("span", { class: "visually-hidden" });
    const tile = h(
      "div",
      {
        class: "tile",
        role: "option",
        tabindex: "-1",
        id: `cell-${cell.id}`,
        title: cell.name,
        dataset: { testid: "cell", name: cell.name },
      },
      canvas,
      h("span", { class: "tile-line", "aria-hidden": "true" }, mark, value),
      flag,
      spoken,
    );
    Object.assign(tile, { cell, canvas, mark, value, flag, spoken });
    this.#tiles.set(cell, tile);
    this.#thumbnails.watch(canvas, cell);
    return tile;
  }

  #update(tile, cell, all) {
    const selected = this.session.selected === cell;
    if (tile.ariaSelected !== String(selected)) tile.setAttribute("aria-selected", String(selected));
    const state = `${cell.status}|${standing(cell)}|${classOf(cell)}`;
    if (!all && tile.dataset.state === state) return;
    const name = classOf(cell);
    Object.assign(tile.dataset, { state, status: cell.status, standing: standing(cell) ?? "", class: name ?? "" });
    tile.mark.textContent = name ? markOf(name) : "";
    tile.mark.dataset.class = name ?? "";
    tile.value.textContent = isDone(cell) ? tileValue(cell) : t(`status.${cell.status}`);
    tile.flag.textContent = FLAGS[standing(cell)] ?? "";
    tile.spoken.textContent = tileLabel(cell);
    if (isDone(cell)) this.#thumbnails.answered(tile.canvas);
  }
}

function tileValue(cell) {
  return cell.decision && cell.decision.class !== cell.result.class
    ? t("standing.short")
    : percent(cell.result.confidence, 0);
}

function tileLabel(cell) {
  if (!isDone(cell)) return `${cell.name}, ${t(`status.${cell.status}`)}`;
  return [className(classOf(cell)), percent(cell.result.confidence), t(`standing.${standing(cell)}`), cell.name].join(
    ", ",
  );
}

function groupTitle(key) {
  return key === "review" || key === "waiting" ? t(`gallery.${key}`) : className(key);
}
