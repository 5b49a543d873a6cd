/** DOM helpers; text is set as text, so that file names and messages are never parsed as HTML. */

/** Return the element with an id; throw if index.html lacks it. */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`index.html has no element #${id}`);
  return element;
}

/**
 * Build an element: `h("li", {class: "bar", dataset: {class: name}, text: name}, child)`.
 * `text` sets the text, `dataset` data attributes, `on` listeners; every other key is an attribute.
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "text") element.textContent = value;
    else if (key === "dataset") Object.assign(element.dataset, value);
    else if (key === "on")
      for (const [type, listener] of Object.entries(value)) element.addEventListener(type, listener);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Set the text only if it differs, so that a screen reader does not repeat a live region. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Set custom properties through the CSSOM, since the content security policy forbids style attributes. */
export function setVariables(element, variables) {
  for (const [name, value] of Object.entries(variables)) element.style.setProperty(`--${name}`, value);
}
