/**
 * Availability of the server: checking, ready, not_ready, unreachable, overloaded or key.
 *
 * Callers report a problem with `block`; the server is then polled until it is available, and a `change`
 * event is sent. Callers keep their work and continue at `ready`.
 */

import { apiKey, ready } from "./api.js";

const POLL_S = { not_ready: 2, unreachable: 2 };
const LONGEST_POLL_S = 15;
const LONGEST_BACKOFF_S = 30;
const HEARTBEAT_S = 30;

export class Server extends EventTarget {
  state = "checking";
  /** Seconds until the next attempt, for the banner. */
  waitS = 0;
  #timer = null;
  #overloads = 0;
  #polls = 0;

  get isReady() {
    return this.state === "ready";
  }

  /** Check now and then periodically, so that the displayed state is current. */
  start() {
    this.check();
    window.addEventListener("online", () => this.check());
    window.addEventListener("offline", () => this.block({ code: "unreachable" }));
    setInterval(() => {
      if (this.isReady && !document.hidden) this.check();
    }, HEARTBEAT_S * 1000);
  }

  async check() {
    try {
      await ready(AbortSignal.timeout(10_000));
      this.#polls = 0;
      // A missing key remains missing until it is entered; /readyz does not check it.
      if (this.state !== "key" && this.state !== "overloaded") this.#become("ready");
    } catch (error) {
      this.block(error);
    }
  }

  /** Report a problem, an `ApiError` or `Unreachable`; returns false if the server is not at fault. */
  block(error) {
    if (error.status === 429 || error.code === "deadline_exceeded") {
      this.#overloads += 1;
      const patience = error.retryAfterS ?? Math.min(2 ** this.#overloads, LONGEST_BACKOFF_S);
      this.#wait("overloaded", Math.max(patience, this.state === "overloaded" ? this.waitS : 0.2));
    } else if (error.status === 401) {
      this.#become("key");
    } else if (error.code === "unreachable" || error.name === "TimeoutError" || error.name === "AbortError") {
      this.#poll("unreachable");
    } else if (error.code === "not_ready" || [502, 503, 504].includes(error.status)) {
      this.#poll("not_ready");
    } else {
      return false;
    }
    return true;
  }

  /** Report a response: the server is reachable. A requested delay still applies. */
  answered() {
    this.#overloads = 0;
    if (this.state === "unreachable" || this.state === "not_ready") this.#become("ready");
  }

  giveKey(key) {
    apiKey.set(key);
    this.#become("ready");
  }

  #poll(state) {
    if (this.state !== state) this.#polls = 0;
    this.#polls += 1;
    this.#wait(state, Math.min(POLL_S[state] * 1.5 ** (this.#polls - 1), LONGEST_POLL_S));
  }

  #become(state) {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.waitS = 0;
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new Event("change"));
  }

  #wait(state, seconds) {
    // Callers that fail together share one timer.
    if (this.state === state && this.#timer !== null && state !== "overloaded") return;
    clearTimeout(this.#timer);
    this.state = state;
    this.waitS = seconds;
    this.dispatchEvent(new Event("change"));
    this.#timer = setTimeout(() => this.#tick(), Math.min(seconds, 1) * 1000);
  }

  #tick() {
    this.#timer = null;
    this.waitS = Math.max(this.waitS - 1, 0);
    if (this.waitS > 0) {
      this.dispatchEvent(new Event("change"));
      this.#timer = setTimeout(() => this.#tick(), Math.min(this.waitS, 1) * 1000);
    } else if (this.state === "overloaded") {
      this.#become("ready");
    } else {
      this.check();
    }
  }
}
