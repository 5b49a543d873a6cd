/** State of one cell: file, prediction and decision. Pure functions on plain objects. */

import { UNCLASSIFIABLE } from "./classes.js";

let lastId = 0;

/**
 * `status` is waiting, sending, done, failed or cancelled; `decision` is null or `{class, at}`;
 * `reports` has one entry per language; `blobs` are the server's pictures.
 */
export function newCell(file) {
  lastId += 1;
  return {
    id: lastId,
    file,
    name: file.webkitRelativePath || file.relativePath || file.name,
    status: "waiting",
    result: null,
    error: null,
    breaks: 0,
    decision: null,
    reports: {},
    blobs: {},
  };
}

/** Identify a file, so that it is not counted twice in the differential. */
export const fingerprint = (cell) => [cell.name, cell.file.size, cell.file.lastModified].join("|");

export const isDone = (cell) => cell.status === "done";
export const isPending = (cell) => cell.status === "waiting" || cell.status === "sending";
export const isRefused = (cell) => cell.status === "failed" || cell.status === "cancelled";

/** Class for the count: the reader's if there is one, else the model's. */
export const classOf = (cell) => cell.decision?.class ?? cell.result?.class ?? null;

export const isOpen = (cell) => isDone(cell) && Boolean(cell.result.review?.needed) && cell.decision === null;

/** Status: review, model, confirmed, corrected or unclassifiable; null before the prediction. */
export function standing(cell) {
  if (!isDone(cell)) return null;
  if (cell.decision === null) return isOpen(cell) ? "review" : "model";
  if (cell.decision.class === UNCLASSIFIABLE) return "unclassifiable";
  return cell.decision.class === cell.result.class ? "confirmed" : "corrected";
}

/** Store the prediction; its base64 pictures become blobs, which the browser may keep on disk. */
export function accept(cell, result) {
  const { display_image, gradcam_image, heatmap_image, report, llm_report, ...rest } = result;
  cell.result = rest;
  cell.blobs = { display: pngBlob(display_image), overlay: pngBlob(gradcam_image), heatmap: pngBlob(heatmap_image) };
  if (report) cell.reports[report.language] = { state: "done", report };
  cell.status = "done";
  cell.error = null;
}

function pngBlob(base64) {
  if (!base64) return null;
  return new Blob([bytesOf(base64)], { type: "image/png" });
}

function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  // A session of 200 cells has 600 pictures; `Uint8Array.from` with a function would take seconds.
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at += 1) bytes[at] = text.charCodeAt(at);
  return bytes;
}

/** True if the picture is unlike the training pictures; its confidence is then not calibrated. */
export function isForeign(cell) {
  return Boolean(cell.result?.review?.reasons?.some((reason) => reason.code === "unlike_training"));
}
