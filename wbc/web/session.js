/** The cells on the page and which of them is looked at. Tells its listeners; draws nothing. */

import { CLASSES, UNCLASSIFIABLE } from "./classes.js";
import { classOf, fingerprint, isDone, isOpen, isPending, isRefused, newCell } from "./cell.js";

export class Session extends EventTarget {
  cells = [];
  selected = null;
  /** Decisions of the reader that no export holds yet. */
  unsaved = false;

  changed() {
    this.dispatchEvent(new Event("change"));
  }

  /** Add files; those already here are left out and counted. */
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

  /** The reader's word: one of the five classes, unclassifiable, or null to return to the model's. */
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

  /** The gallery's groups: for review first, then class by class, then what still waits. */
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

  /** The cells in the order in which the gallery shows them and the arrows walk them. */
  ordered() {
    return this.groups().flatMap((group) => group.cells);
  }

  refused() {
    return this.cells.filter(isRefused);
  }

  open() {
    return this.cells.filter(isOpen);
  }

  /** Keep something in view: called when the selected cell was refused. */
  settleSelection() {
    if (this.selected && isRefused(this.selected)) this.selected = this.ordered()[0] ?? null;
    if (!this.selected) this.selected = this.ordered()[0] ?? null;
  }
}
