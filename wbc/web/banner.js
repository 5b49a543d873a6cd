/** Banner for server problems, with the action that resolves them. */

import { byId, h, setText } from "./dom.js";
import { apiKey } from "./api.js";
import { number, t } from "./i18n.js";

const CALM = new Set(["ready", "checking"]);

let drawn = "";

/** `actions`: askKey(), check(). */
export function renderBanner(server, actions) {
  const pill = byId("server-state");
  pill.dataset.state = server.state;
  setText(pill, t(`server.${server.state}`));
  const banner = byId("banner");
  const calm = CALM.has(server.state);
  // Built once per state: a screen reader repeats an alert each time it is rebuilt.
  const key = calm ? "" : `${server.state}|${Boolean(apiKey.get())}|${document.documentElement.lang}`;
  if (key !== drawn) {
    drawn = key;
    banner.hidden = calm;
    banner.dataset.state = calm ? "" : server.state;
    banner.replaceChildren(...(calm ? [] : content(server, actions)));
  }
  const clock = banner.querySelector(".clock");
  if (clock) setText(clock, server.waitS > 0 ? t("banner.again", { seconds: number(Math.ceil(server.waitS)) }) : "");
}

function content(server, actions) {
  const state = server.state === "key" && apiKey.get() ? "key_refused" : server.state;
  const words = h(
    "div",
    {},
    h("strong", { text: t(`banner.${state}.title`) }),
    h("p", { text: t(`banner.${state}.text`) }),
  );
  if (server.state === "key") return [words, button("banner.enter_key", "enter-key", actions.askKey)];
  const clock = h("p", { class: "clock", "aria-live": "off" });
  return server.state === "overloaded"
    ? [words, clock]
    : [words, clock, button("banner.check", "check-now", actions.check)];
}

const button = (key, testid, click) =>
  h("button", { type: "button", text: t(key), dataset: { testid }, on: { click } });
