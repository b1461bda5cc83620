// The list of runs: picking runs to compare, clean addresses, fresh rows while runs are under way.

const MOST = 6;
const REFRESH_MS = 4000;
const bar = /** @type {HTMLFormElement} */ (document.getElementById("selection"));
const results = /** @type {HTMLElement} */ (document.getElementById("results"));
const chosen = new Set();

function boxes() {
  return /** @type {HTMLInputElement[]} */ ([...results.querySelectorAll("[data-select]")]);
}

function draw() {
  for (const box of boxes()) {
    box.checked = chosen.has(box.value);
    box.disabled = !box.checked && chosen.size >= MOST;
  }
  bar.hidden = chosen.size === 0;
  /** @type {any} */ (bar.elements.namedItem("runs")).value = [...chosen].join(",");
  const words = chosen.size >= MOST ? `${chosen.size} selected, the most that fit` : `${chosen.size} selected`;
  const label = document.getElementById("selection-words");
  if (label && label.textContent !== words) label.textContent = words;
  /** @type {any} */ (document.getElementById("selection-go")).disabled = chosen.size < 2;
}

results.addEventListener("change", (event) => {
  const box = /** @type {HTMLInputElement} */ (event.target);
  if (!box.matches("[data-select]")) return;
  if (box.checked) chosen.add(box.value); else chosen.delete(box.value);
  draw();
});
document.body.addEventListener("htmx:configRequest", (event) => {
  const { parameters } = /** @type {CustomEvent} */ (event).detail;
  for (const key of Object.keys(parameters)) if (!parameters[key]) delete parameters[key];
});
document.body.addEventListener("htmx:afterSwap", draw);
window.setInterval(() => {
  const idle = !document.hidden && !results.contains(document.activeElement) && results.querySelector("[data-active]");
  if (idle) window.htmx.ajax("GET", location.pathname + location.search, { target: "#results", swap: "innerHTML" });
}, REFRESH_MS);
document.querySelector("[data-review]")?.addEventListener("click", (event) => { event.currentTarget.search = location.search; });
draw();
if (matchMedia("(max-width: 760px)").matches && !location.search) document.getElementById("filters-box")?.removeAttribute("open");
