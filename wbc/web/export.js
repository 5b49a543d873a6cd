/** Export of a session: each cell with the prediction and the decision; column names do not depend on the language. */

import { classOf, isDone, standing } from "./cell.js";
import { CLASSES } from "./classes.js";
import { differential } from "./differential.js";

const STATEMENT = "For research use only. Not for diagnosis. A qualified reader decides.";

/** RFC 4180 with a byte order mark, which Excel needs for Turkish file names. */
export function sessionCsv(cells) {
  const rows = cells.map(cellRecord);
  const columns = Object.keys(cellRecord(null));
  const lines = [columns, ...rows.map((row) => columns.map((column) => row[column]))];
  return `\ufeff${lines.map((line) => line.map(csvField).join(",")).join("\r\n")}\r\n`;
}

export function sessionJson(cells, model, now = new Date()) {
  const { rows, final, counted, unclassifiable, open, pending, refused } = differential(cells);
  return JSON.stringify(
    {
      format: "wbc-session-1",
      statement: STATEMENT,
      exported_at: now.toISOString(),
      state: final ? "final" : "preliminary",
      model,
      differential: {
        counted,
        unclassifiable,
        awaiting_review: open,
        not_yet_classified: pending,
        without_answer: refused,
        interval: "Clopper-Pearson 95%",
        classes: rows.map((row) => ({
          class: row.name,
          count: row.count,
          percent: hundredth(row.share * 100),
          interval_percent: row.interval.map((share) => hundredth(share * 100)),
          adult_range_percent: row.adultPercent,
          verdict: row.verdict,
        })),
      },
      cells: cells.map((cell) => ({ ...cellRecord(cell), review_reasons: cell.result?.review?.reasons ?? [] })),
    },
    null,
    2,
  );
}

/** One row per image; null returns the column names. */
function cellRecord(cell) {
  const result = cell && isDone(cell) ? cell.result : null;
  const shares = CLASSES.map(({ name }) => [`p_${name.toLowerCase()}`, result?.all_probabilities[name] ?? null]);
  return {
    file: cell?.name ?? null,
    class: cell ? classOf(cell) : null,
    standing: cell ? (standing(cell) ?? cell.status) : null,
    model_class: result?.class ?? null,
    confidence: result?.confidence ?? null,
    ...Object.fromEntries(shares),
    reader_class: cell?.decision?.class ?? null,
    decided_at: cell?.decision?.at ?? null,
    review_needed: result ? Boolean(result.review?.needed) : null,
    review_reasons: result ? (result.review?.reasons ?? []).map((reason) => reason.code).join(" ") : null,
    focus_ratio: result?.focus?.ratio ?? null,
    error_code: cell?.error?.code ?? null,
    error: cell?.error?.message ?? null,
    model_name: result?.model?.name ?? null,
    model_version: result?.model?.version ?? null,
    bundle_sha256: result?.model?.bundle_sha256 ?? null,
    request_id: result?.request_id ?? null,
  };
}

function csvField(value) {
  if (value === null || value === undefined) return "";
  // A spreadsheet would evaluate a file name that begins like a formula; an apostrophe makes it text.
  const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const hundredth = (value) => Math.round(value * 100) / 100;

/** Download the text as a file. */
export function download(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** wbc-2026-03-01-1415.csv */
export function exportName(extension, now = new Date()) {
  const local = new Date(now.getTime() - now.getTimezoneOffset() * 60_000).toISOString();
  return `wbc-${local.slice(0, 10)}-${local.slice(11, 16).replace(":", "")}.${extension}`;
}
