/** Cells of the session and the selected one; sends events and draws nothing. */

import { CLASSES, UNCLASSIFIABLE } from "./classes.js";
import { classOf, fingerprint, isDone, isOpen, isPending, isRefused, newCell } from "./cell.js";

export class Session extends EventTarget {
  cells = [];
  selected = null;
  /** Decisions that have not been exported. */
  unsaved = false;

  changed() {
    this.dispatchEvent(new Event("change"));
  }

  /** Add files; duplicates are skipped and counted. */
  add(files) {
    const known = new Set(this.cells.map(fingerprint));
    const added = [];
    let repeated = 0;
    for (const file of files) {
      const cell = newCell(file);
      if (known.has(fingerprint(cell))) {
        repeated += 1;
        continue;
      }
      known.add(fingerprint(cell));
      added.push(cell);
    }
    this.cells.push(...added);
    if (!this.selected && added.length) this.selected = added[0];
    this.changed();
    return { added, repeated };
  }

  select(cell) {
    if (this.selected === cell) return;
    this.selected = cell;
    this.changed();
  }

  /** Set the reader's decision: a class, unclassifiable, or null to revert to the model's. */
  decide(cell, name) {
    if (!isDone(cell)) return;
    cell.decision = name === null ? null : { class: name, at: new Date().toISOString() };
    this.unsaved = true;
    this.changed();
  }

  remove(cell) {
    this.cells = this.cells.filter((other) => other !== cell);
    if (this.selected === cell) this.selected = this.ordered()[0] ?? null;
    this.changed();
  }

  clear() {
    this.cells = [];
    this.selected = null;
    this.unsaved = false;
    this.changed();
  }

  /** Groups of the gallery: for review, by class, not yet analyzed. */
  groups() {
    const shown = this.cells.filter((cell) => !isRefused(cell));
    const settled = shown.filter((cell) => isDone(cell) && !isOpen(cell));
    const least = (a, b) => a.result.confidence - b.result.confidence || a.id - b.id;
    return [
      { key: "review", cells: shown.filter(isOpen).sort(least) },
      ...[...CLASSES.map((entry) => entry.name), UNCLASSIFIABLE].map((name) => ({
        key: name,
        cells: settled.filter((cell) => classOf(cell) === name).sort(least),
      })),
      { key: "waiting", cells: shown.filter(isPending) },
    ];
  }

  /** Cells in the order of the gallery and of the arrow keys. */
  ordered() {
    return this.groups().flatMap((group) => group.cells);
  }

  refused() {
    return this.cells.filter(isRefused);
  }

  open() {
    return this.cells.filter(isOpen);
  }

  /** Select another cell if the selected one failed. */
  settleSelection() {
    if (this.selected && isRefused(this.selected)) this.selected = this.ordered()[0] ?? null;
    if (!this.selected) this.selected = this.ordered()[0] ?? null;
  }
}
