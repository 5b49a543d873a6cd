/** HTTP client. The only file that calls the server with `fetch`. */

import { tabSecrets } from "./remember.js";

/** An error response; `message` is the server's. */
export class ApiError extends Error {
  constructor(status, code, message, retryAfterS = null) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfterS = retryAfterS;
  }
}

/** No response: the network or the server is unavailable, or the connection broke while sending. */
export class Unreachable extends Error {
  code = "unreachable";
}

export const apiKey = {
  get: () => tabSecrets.get("api-key"),
  set: (value) => tabSecrets.set("api-key", value),
};

/** Longer than the server's own timeout. */
const PATIENCE_MS = 120_000;

async function call(path, options = {}) {
  const patience = AbortSignal.timeout(PATIENCE_MS);
  const key = apiKey.get();
  // Headers allow no other characters; `fetch` would fail as if the network were unavailable.
  if (key && !/^[\x20-\x7e]+$/.test(key)) throw new ApiError(401, "unauthorized", "");
  let response;
  let body;
  try {
    response = await fetch(new URL(path, document.baseURI), {
      ...options,
      signal: options.signal ? AbortSignal.any([options.signal, patience]) : patience,
      headers: key ? { "X-API-Key": key } : {},
      cache: "no-store",
    });
    body = await response.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable(error.message);
  }
  if (!response.ok) throw errorOf(response, body);
  return body;
}

function errorOf(response, body) {
  let said = {};
  try {
    said = JSON.parse(body) ?? {};
  } catch {
    // A proxy may respond in HTML; only its status is used.
  }
  const seconds = Number.parseFloat(response.headers.get("Retry-After"));
  return new ApiError(
    response.status,
    said.code ?? codeOf(response.status),
    said.error ?? "",
    Number.isFinite(seconds) ? Math.max(seconds, 0) : null,
  );
}

function codeOf(status) {
  const codes = {
    401: "unauthorized",
    413: "body_too_large",
    415: "unsupported_format",
    429: "overloaded",
    503: "not_ready",
  };
  return codes[status] ?? "unexpected_answer";
}

function parsed(body) {
  try {
    return JSON.parse(body);
  } catch {
    throw new ApiError(200, "unexpected_answer", "");
  }
}

function upload(path, file, signal) {
  const form = new FormData();
  form.append("file", file, file.name);
  return call(path, { method: "POST", body: form, signal });
}

/** Classify one image; the report is requested separately so that the class is not delayed. */
export async function predict(file, language, signal) {
  const result = parsed(await upload(`predict?explain=false&language=${language}`, file, signal));
  if (!result?.class || !result.all_probabilities) throw new ApiError(200, "unexpected_answer", "");
  return result;
}

/** Request the report on one image. */
export async function explain(file, language, signal) {
  return parsed(await upload(`explain?language=${language}`, file, signal)).report;
}

/** Request the served model: name, version, classes, hash. */
export const model = async () => parsed(await call("model"));

/** Resolve if the server is ready; otherwise throw the reason. */
export const ready = async (signal) => void (await call("readyz", { signal }));
