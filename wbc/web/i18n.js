/** Localization: texts from catalogue.json, numbers in the format of the language. */

import { preferences } from "./remember.js";

let catalogue = {};
let language = "en";

export const currentLanguage = () => language;

/** Load the catalogue and select the stored language, or else the browser's. */
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

/** Return the text of a key with `{names}` replaced from `values`; an unknown key returns itself. */
export function t(key, values = {}) {
  const text = catalogue[language]?.[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/** Return `key.one` or `key.other` by the plural rule of the language, with `{count}` replaced. */
export function plural(key, count, values = {}) {
  const form = new Intl.PluralRules(language).select(count) === "one" ? "one" : "other";
  return t(`${key}.${form}`, { count: number(count), ...values });
}

/** Return true if the key exists. */
export const has = (key) => key in (catalogue[language] ?? {});

const formats = new Map();

/** Formatters are cached: creating one takes a hundred times as long as using it. */
function format(value, style, digits) {
  const key = `${language}|${style}|${digits}`;
  if (!formats.has(key)) {
    const options = { style, minimumFractionDigits: digits, maximumFractionDigits: digits };
    formats.set(key, new Intl.NumberFormat(language, options));
  }
  return formats.get(key).format(value);
}

export const number = (value, digits = 0) => format(value, "decimal", digits);

/** Format a share in [0, 1] as a percentage; values other than 0 and 1 are never rounded to 0% or 100%. */
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

/** Set the text of elements with `data-i18n` and the aria-label of those with `data-i18n-label`. */
export function translatePage(root = document) {
  document.documentElement.lang = language;
  document.title = t("page.title");
  for (const element of root.querySelectorAll("[data-i18n]")) element.textContent = t(element.dataset.i18n);
  for (const element of root.querySelectorAll("[data-i18n-label]")) {
    element.setAttribute("aria-label", t(element.dataset.i18nLabel));
  }
}
