/**
 * The differential count of a session: counts, shares, intervals, reference ranges, and completeness.
 * The rules are those of `wbc/differential.py`; tests/browser compares both.
 */

import { CLASSES, UNCLASSIFIABLE } from "./classes.js";
import { classOf, isDone, isForeign, isOpen, isPending } from "./cell.js";
import { clopperPearson } from "./statistics.js";

/** Number of cells from which a session is judged as a whole. */
const ENOUGH_CELLS = 5;

/**
 * Shares refer to cells classified by the model without review reasons, or by the reader. A cell for
 * review is excluded until a reader decides, an unclassifiable one always; while a cell awaits review or
 * analysis, the count is preliminary.
 */
export function differential(cells) {
  const done = cells.filter(isDone);
  const named = done.filter((cell) => !isOpen(cell));
  const counts = Object.fromEntries(
    CLASSES.map(({ name }) => [name, named.filter((cell) => classOf(cell) === name).length]),
  );
  const unclassifiable = named.filter((cell) => classOf(cell) === UNCLASSIFIABLE).length;
  const counted = named.length - unclassifiable;
  const open = done.length - named.length;
  const pending = cells.filter(isPending).length;
  return {
    counted,
    unclassifiable,
    open,
    pending,
    foreign: done.length >= ENOUGH_CELLS && done.filter(isForeign).length * 2 > done.length,
    refused: cells.length - done.length - pending,
    final: open === 0 && pending === 0 && counted > 0,
    rows: shares(counts, counted),
  };
}

/** Class by class: count, share, interval and verdict. */
export function shares(counts, counted) {
  return CLASSES.map(({ name, adultPercent }) => {
    const interval = clopperPearson(counts[name], counted);
    const share = counted ? counts[name] / counted : 0;
    return { name, count: counts[name], share, interval, adultPercent, verdict: verdict(interval, adultPercent) };
  });
}

/** Position of the interval: below, within or above the adult range; `unclear` if it crosses a limit. */
function verdict([low, high], [from, to]) {
  if (high * 100 < from) return "below";
  if (low * 100 > to) return "above";
  return low * 100 >= from && high * 100 <= to ? "within" : "unclear";
}
