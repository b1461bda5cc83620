// Small DOM helpers. Text goes in through text nodes only: data is never parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an element. Attributes set to null, undefined or false are left out; `true` becomes "".
 * @param {string} tag
 * @param {Record<string, unknown>} [attributes] `class`, `on…` handlers and plain attributes
 * @param {...(Node | string | number | null | undefined)} children
 */
export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), /** @type {any} */ (value));
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  append(node, children);
  return node;
}

/** @param {Node} node @param {unknown[]} children */
function append(node, children) {
  for (const child of children.flat(2)) {
    if (child === null || child === undefined || child === false) continue;
    node.appendChild(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** Make an SVG element. */
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) node.setAttribute(name, String(value));
  }
  append(node, children);
  return node;
}

/** An icon of the sprite in the page (`icon_sprite` of webapp/runs/templatetags/ui.py). */
export function icon(name, className = "icon") {
  return svg("svg", { class: className, viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("use", { href: `#i-${name}` }));
}

/** Replace everything in `parent`. */
export function fill(parent, ...children) {
  parent.replaceChildren();
  append(parent, children);
}

/** Read the data of a `json_script` element. */
export function readJson(id) {
  const node = document.getElementById(id);
  return node ? JSON.parse(node.textContent || "null") : null;
}

/** Set text only if it changed: no needless layout, no needless announcement. */
export function setText(node, text) {
  if (node && node.textContent !== text) node.textContent = text;
}

/** Show a short message at the bottom; errors stay until they are dismissed. */
export function toast(message, { error = false } = {}) {
  const host = document.getElementById("toasts");
  if (!host) return;
  const node = h("div", { class: "toast", role: error ? "alert" : "status" }, message);
  host.replaceChildren(node);
  if (error) {
    node.append(" ", h("button", { class: "btn btn-compact btn-ghost", type: "button", onclick: () => node.remove() }, "Dismiss"));
    return;
  }
  let timer = setTimeout(() => node.remove(), 6000);
  node.addEventListener("pointerenter", () => clearTimeout(timer));
  node.addEventListener("pointerleave", () => { timer = setTimeout(() => node.remove(), 3000); });
}

/** True while the focus is somewhere that takes typed text: single-key shortcuts are off there. */
export function typing() {
  const node = document.activeElement;
  return Boolean(node && (node.closest("input, textarea, select, [contenteditable]") || document.querySelector("dialog[open]")));
}
