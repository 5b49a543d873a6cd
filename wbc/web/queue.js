/** Queue that sends a few cells at a time and pauses while the server is unavailable. */

import { accept } from "./cell.js";

const AT_A_TIME = 3;
/** After this many broken connections to a working server, the file is at fault. */
const MOST_BREAKS = 3;

export class Queue {
  #waiting = [];
  #active = new Map();

  /**
   * `send(file, signal)` returns or throws; `server` is the availability; `changed(cell)` is called at each step.
   */
  constructor({ send, server, changed }) {
    this.send = send;
    this.server = server;
    this.changed = changed;
    server.addEventListener("change", () => this.#pump());
  }

  get isBusy() {
    return this.#waiting.length + this.#active.size > 0;
  }

  add(cells) {
    for (const cell of cells) {
      cell.status = "waiting";
      cell.error = null;
      cell.breaks = 0;
      this.#waiting.push(cell);
    }
    this.#pump();
  }

  /** Stop: waiting and unfinished cells become `cancelled` and can be retried. */
  cancel() {
    const stopped = [...this.#active.keys(), ...this.#waiting];
    for (const controller of this.#active.values()) controller.abort();
    this.#waiting = [];
    this.#active.clear();
    for (const cell of stopped) {
      cell.status = "cancelled";
      cell.error = { code: "cancelled", message: "" };
      this.changed(cell);
    }
  }

  #pump() {
    while (this.server.isReady && this.#active.size < AT_A_TIME && this.#waiting.length) {
      this.#run(this.#waiting.shift());
    }
  }

  async #run(cell) {
    const controller = new AbortController();
    this.#active.set(cell, controller);
    cell.status = "sending";
    this.changed(cell);
    try {
      const result = await this.send(cell.file, controller.signal);
      if (controller.signal.aborted) return;
      accept(cell, result);
      this.server.answered();
    } catch (error) {
      if (controller.signal.aborted) return;
      this.#refused(cell, error);
    }
    this.#active.delete(cell);
    this.changed(cell);
    this.#pump();
  }

  #refused(cell, error) {
    if (error.code === "unreachable" || error.status >= 502) cell.breaks += 1;
    const hopeless = cell.breaks >= MOST_BREAKS;
    if (!hopeless && this.server.block(error)) {
      cell.status = "waiting";
      this.#waiting.unshift(cell);
      return;
    }
    cell.status = "failed";
    const code = error.code === "unreachable" ? "connection_broke" : (error.code ?? "unexpected_answer");
    cell.error = { code, message: error.message };
  }
}
