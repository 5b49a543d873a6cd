/** The two languages: every string comes from catalogue.json, every number is written as the language writes it. */

import { preferences } from "./remember.js";

let catalogue = {};
let language = "en";

export const currentLanguage = () => language;

/** Fetch the catalogue and take the remembered language, or else the browser's. */
export async function loadCatalogue() {
  const response = await fetch(new URL("catalogue.json", import.meta.url));
  catalogue = await response.json();
  const wished = preferences.get("language") ?? navigator.language.slice(0, 2).toLowerCase();
  language = wished in catalogue ? wished : "en";
}

export function setLanguage(wished) {
  language = wished;
  preferences.set("language", wished);
}

/** The string under `key`, its `{names}` filled from `values`. An unknown key shows itself. */
export function t(key, values = {}) {
  const text = catalogue[language]?.[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/** `key.one` or `key.other`, by the plural rule of the language; `{count}` is filled. */
export function plural(key, count, values = {}) {
  const form = new Intl.PluralRules(language).select(count) === "one" ? "one" : "other";
  return t(`${key}.${form}`, { count: number(count), ...values });
}

/** Whether there is a string under `key`. */
export const has = (key) => key in (catalogue[language] ?? {});

const formats = new Map();

/** Making a format costs a hundred times what using it does, and a session writes thousands of numbers. */
function format(value, style, digits) {
  const key = `${language}|${style}|${digits}`;
  if (!formats.has(key)) {
    const options = { style, minimumFractionDigits: digits, maximumFractionDigits: digits };
    formats.set(key, new Intl.NumberFormat(language, options));
  }
  return formats.get(key).format(value);
}

export const number = (value, digits = 0) => format(value, "decimal", digits);

/** A share in [0, 1] as percent. A share below 1 is never rounded up to certainty, nor one above 0 down to nothing. */
export function percent(share, digits = 1) {
  const edge = 0.1 ** (digits + 2);
  const clipped = share > 0 && share < edge ? edge : share < 1 && share > 1 - edge ? 1 - edge : share;
  const sign = clipped > share ? "< " : clipped < share ? "> " : "";
  return sign + format(clipped, "percent", digits);
}

export function dateTime(date) {
  return new Intl.DateTimeFormat(language, { dateStyle: "long", timeStyle: "short" }).format(date);
}

export const className = (name) => t(`class.${name}`);

/** Fill what index.html marks: `data-i18n` the text, `data-i18n-label` the aria-label. */
export function translatePage(root = document) {
  document.documentElement.lang = language;
  document.title = t("page.title");
  for (const element of root.querySelectorAll("[data-i18n]")) element.textContent = t(element.dataset.i18n);
  for (const element of root.querySelectorAll("[data-i18n-label]")) {
    element.setAttribute("aria-label", t(element.dataset.i18nLabel));
  }
}
