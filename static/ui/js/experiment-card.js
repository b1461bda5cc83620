// A card with a figure: chart or table, a picture and the numbers to take away, words for who does not see it.
import { fill, h } from "./dom.js";
import { csvCell } from "./format.js";
import { plot, savePng } from "./plots.js";

/**
 * @typedef {{head: string[], rows: (string | number | null)[][], text?: number}} Numbers what the chart shows, as a table; ``text``: so many columns are words, all others figures
 * @param {HTMLElement} root a section of `_figure.html`
 * @param {{build: (theme: Record<string, string>, options?: {title?: string}) => any, numbers: () => Numbers, shown?: () => Numbers, describe: () => string, file: string}} what ``numbers`` are for machines, ``shown`` the same for readers
 */
export function figureCard(root, { build, numbers, shown = numbers, describe, file }) {
  const box = /** @type {HTMLElement} */ (root.querySelector("[data-chart]"));
  const picture = /** @type {HTMLElement} */ (root.querySelector(".figure-plot"));
  const table = /** @type {HTMLElement} */ (root.querySelector("[data-table]"));
  const legend = /** @type {HTMLElement} */ (root.querySelector("[data-legend]"));
  const title = root.querySelector("h2")?.textContent || "";
  const chart = plot(picture, (theme) => {
    const figure = build(theme);
    // through the CSSOM, which the CSP allows: the card is as high as the figure
    picture.style.height = `${figure.layout.height}px`;
    return figure;
  });
  let asTable = false;

  for (const button of root.querySelectorAll("[data-show]")) {
    button.addEventListener("click", () => {
      asTable = /** @type {HTMLElement} */ (button).dataset.show === "table";
      for (const one of root.querySelectorAll("[data-show]")) one.setAttribute("aria-pressed", String(one === button));
      box.hidden = asTable;
      legend.hidden = asTable || !legend.childElementCount;
      table.hidden = !asTable;
      update();
    });
  }
  root.querySelector("[data-save=png]")?.addEventListener("click", () => savePng((theme) => build(theme, { title }), file));
  root.querySelector("[data-save=csv]")?.addEventListener("click", () => {
    const { head, rows } = numbers();
    save([head, ...rows].map((row) => row.map(csvCell).join(",")).join("\r\n"), `${file}.csv`);
  });

  function update() {
    picture.setAttribute("aria-label", describe());
    if (asTable) fill(table, numberTable(shown(), title));
    else chart.update();
  }
  return { update };
}

/** @param {Numbers} numbers */
export function numberTable({ head, rows, text }, caption) {
  const numeric = head.map((_, i) => (text === undefined ? rows.some((row) => typeof row[i] === "number") : i >= text));
  return h("table", { class: "table" }, h("caption", { class: "sr" }, caption),
    h("thead", {}, h("tr", {}, head.map((name, i) => h("th", { scope: "col", class: numeric[i] ? "num" : null }, name)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((value, i) => (i ? h("td", { class: numeric[i] ? "num" : null }, words(value)) : h("th", { scope: "row" }, words(value))))))));
}

function words(value) {
  if (value === null || value === undefined) return "–";
  return typeof value === "number" && !Number.isInteger(value) ? String(Number(value.toPrecision(5))) : String(value);
}

function save(text, name) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  const link = h("a", { href: url, download: name });
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
