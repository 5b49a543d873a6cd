/** Reports of the selected cell, requested after its class, once per cell and language. */

import { isDone } from "./cell.js";

const SETTLE_MS = 250;

export class Reports {
  #timer = null;
  #wanted = null;

  /** `ask(file, language, signal)` returns or throws. */
  constructor({ ask, server, changed }) {
    this.ask = ask;
    this.server = server;
    this.changed = changed;
    server.addEventListener("change", () => this.#again());
  }

  /** Request the report after a delay, so that cells passed with the arrow keys are skipped. */
  want(cell, language) {
    if (this.#wanted?.cell === cell && this.#wanted?.language === language) return;
    this.#wanted?.controller.abort();
    clearTimeout(this.#timer);
    this.#wanted = null;
    if (!cell || !isDone(cell) || cell.reports[language]?.state === "done") return;
    this.#wanted = { cell, language, controller: new AbortController() };
    cell.reports[language] = { state: "loading" };
    this.#timer = setTimeout(() => this.#fetch(this.#wanted), SETTLE_MS);
  }

  /** Retry after a failure. */
  retry(cell, language) {
    this.#wanted = null;
    delete cell.reports[language];
    this.want(cell, language);
  }

  #again() {
    const wanted = this.#wanted;
    if (this.server.isReady && wanted?.held) this.#fetch(wanted);
  }

  async #fetch(wanted) {
    const { cell, language, controller } = wanted;
    wanted.held = !this.server.isReady;
    if (wanted.held) return;
    try {
      const report = await this.ask(cell.file, language, controller.signal);
      cell.reports[language] = { state: "done", report };
      this.server.answered();
    } catch (error) {
      if (controller.signal.aborted) {
        delete cell.reports[language];
        return;
      }
      if (this.server.block(error)) {
        wanted.held = true;
        return;
      }
      cell.reports[language] = {
        state: "failed",
        error: { code: error.code ?? "unexpected_answer", message: error.message },
      };
    }
    this.changed(cell);
  }
}
