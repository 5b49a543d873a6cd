/** Error text: the meaning of the code, followed by the server's message. */

import { has, t } from "./i18n.js";

export function errorTitle({ code }) {
  return t(has(`error.${code}`) ? `error.${code}` : "error.other");
}

export function errorWords(error) {
  const said = (error.message ?? "").trim();
  return said && error.code !== "unreachable" && error.code !== "connection_broke"
    ? `${errorTitle(error)} ${said}`
    : errorTitle(error);
}
