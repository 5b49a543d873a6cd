/** Progress of the classification; hidden when idle. */

import { isPending } from "./cell.js";
import { byId, setText } from "./dom.js";
import { number, t } from "./i18n.js";

export function renderProgress(cells) {
  const settled = cells.filter((cell) => !isPending(cell)).length;
  byId("progress-bar").hidden = settled === cells.length;
  Object.assign(byId("progress"), { max: Math.max(cells.length, 1), value: settled });
  setText(byId("progress-text"), t("progress.text", { done: number(settled), of: number(cells.length) }));
}
