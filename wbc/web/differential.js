/**
 * The differential count of a session: counts, shares, intervals, reference ranges, and whether it may be called final.
 * It counts and judges as `wbc/differential.py` does; tests/browser holds one against the other.
 */

import { CLASSES, UNCLASSIFIABLE } from "./classes.js";
import { classOf, isDone, isOpen, isPending } from "./cell.js";
import { clopperPearson } from "./statistics.js";

/**
 * Shares are of the cells that are named: by the model where nothing asks for a review, or by the reader. A cell for
 * review is left out until a reader decides, an unclassifiable one for good; while a cell is open, or waits to be
 * read, nothing is final.
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

/** Where the whole interval lies: below, within or above the adult range; `unclear` where it crosses a limit. */
function verdict([low, high], [from, to]) {
  if (high * 100 < from) return "below";
  if (low * 100 > to) return "above";
  return low * 100 >= from && high * 100 <= to ? "within" : "unclear";
}
