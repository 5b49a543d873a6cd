/** The differential count of a session: counts, shares, intervals, reference ranges, and whether it may be called final. */

import { CLASSES, UNCLASSIFIABLE } from "./classes.js";
import { classOf, isDone, isOpen, isPending } from "./cell.js";
import { clopperPearson } from "./statistics.js";

/**
 * Shares are of the cells in the five classes; unclassifiable cells are counted beside them. A cell for review counts
 * with the model's class until a reader decides, and for as long as one is open, or waits, nothing is final.
 */
export function differential(cells) {
  const done = cells.filter(isDone);
  const unclassifiable = done.filter((cell) => classOf(cell) === UNCLASSIFIABLE).length;
  const counted = done.length - unclassifiable;
  const open = cells.filter(isOpen).length;
  const pending = cells.filter(isPending).length;
  return {
    counted,
    unclassifiable,
    open,
    pending,
    refused: cells.length - done.length - pending,
    final: open === 0 && pending === 0 && counted > 0,
    rows: CLASSES.map(({ name, adultPercent }) => {
      const count = done.filter((cell) => classOf(cell) === name).length;
      const share = counted ? count / counted : 0;
      const interval = clopperPearson(count, counted);
      return { name, count, share, interval, adultPercent, reading: reading(share, interval, adultPercent) };
    }),
  };
}

/**
 * Against the adult range: within; below or above where the whole interval lies outside; and `maybe_below` or
 * `maybe_above` where the share lies outside and the interval still reaches the range.
 */
export function reading(share, [low, high], [from, to]) {
  if (share * 100 < from) return high * 100 < from ? "below" : "maybe_below";
  if (share * 100 > to) return low * 100 > to ? "above" : "maybe_above";
  return "within";
}
