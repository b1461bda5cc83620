// The table of an experiment: words and marks of each figure. Pure but for the DOM it makes.
import { h } from "./dom.js";
import { plural, seconds, shortCount, usd } from "./format.js";

/** Shown first; the others come with "All". */
export const MAIN = ["accuracy", "score", "steps", "speedup", "latency_s", "switching_ratio", "large_step_share", "large_token_ratio", "input_tokens", "output_tokens", "cached_share", "cost_usd", "false_progress"];

const METHODS = {
  wilson: "Wilson score interval over runs",
  wilson_by_task: "Wilson score interval with the number of tasks as sample size",
  bootstrap: "bootstrap, whole tasks drawn",
  paired_bootstrap: "paired bootstrap, the same tasks drawn for both arms",
  definition: "1 by definition",
};

/** A figure with its unit. */
export function show(column, value) {
  if (value === null || value === undefined) return "–";
  const { unit, digits } = column;
  if (unit === "frac") return `${(100 * value).toFixed(digits)}%`;
  if (unit === "percent") return `${value.toFixed(digits)}%`;
  if (unit === "times") return `${value.toFixed(digits)}×`;
  if (unit === "s") return seconds(value);
  if (unit === "tokens") return shortCount(value);
  if (unit === "usd") return usd(value);
  return value.toFixed(digits);
}

/** An interval without its unit: "57.1–69.1"; "" = there is none. */
export function interval(column, measured) {
  if (!measured || measured.low === null || measured.low === undefined || measured.high === null || measured.high === undefined) return "";
  const bare = (value) => show(column, value).replace(/^\$|(%|×| s)$/g, "");
  return `${bare(measured.low)}–${bare(measured.high)}`;
}

/** The heads of a figure in a chart's table, and its cells there. */
export function measuredHead(column, of = "") {
  return [of ? `${column.title}, ${of}` : column.title, "Interval", "Runs"];
}

export function measuredCells(column, measured) {
  return [show(column, measured?.value), interval(column, measured) || "–", measured?.n ?? 0];
}

/** The best value of a column among the measured arms; undefined where nothing is better or worse. */
export function bestOf(column, rows) {
  if (!column.better) return undefined;
  const values = rows.filter((row) => !row.published).map((row) => row.figures[column.name]?.value).filter((value) => value !== null && value !== undefined);
  if (values.length < 2 || values.every((value) => value === values[0])) return undefined;
  return column.better === "more" ? Math.max(...values) : Math.min(...values);
}

/** What stands behind an interval, in words. */
export function methodWords(method, { level = 0.95, samples = 2000 } = {}) {
  if (!METHODS[method]) return "";
  const drawn = method.endsWith("bootstrap") ? `, ${samples.toLocaleString("en-US")} samples` : "";
  return method === "definition" ? METHODS[method] : `${Math.round(level * 100)} % ${METHODS[method]}${drawn}`;
}

/** What is missing of an arm, in words; "" = nothing. */
export function missing(row) {
  const parts = [];
  if (row.open) parts.push(`${row.open} to come`);
  if (row.failed) parts.push(`${row.failed} failed`);
  if (row.cancelled) parts.push(`${row.cancelled} stopped`);
  if (row.unscored) parts.push(`${row.unscored} not scored`);
  if (row.missing_tasks && !row.open) parts.push(`${plural(row.missing_tasks, "task")} missing`);
  return parts.join(", ");
}

/**
 * @param {{rows: any[], columns: string[], level: number, samples: number}} table
 * @param {any[]} columns the descriptions of all columns
 * @param {{published?: any[], all?: boolean, titles: Map<string, string>}} options titles: what an arm is, beside its name
 */
export function resultTable(table, columns, { published = [], all = false, titles }) {
  const rows = [...table.rows, ...published];
  const shown = columns.filter((column) => (all || MAIN.includes(column.name)) && rows.some((row) => known(row.figures[column.name])));
  const best = new Map(shown.map((column) => [column.name, bestOf(column, rows)]));
  return h("table", { class: "table results-table" }, h("caption", { class: "sr" }, "Figures of each arm with their intervals"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Arm"), h("th", { scope: "col", class: "num" }, "Runs"), shown.map((column) => h("th", { scope: "col", class: "num", title: column.meaning }, column.title)))),
    h("tbody", {}, table.rows.map((row) => armRow(row, shown, best, table, titles))),
    published.length ? h("tbody", { class: "published" }, h("tr", {}, h("th", { scope: "rowgroup", class: "sources", colspan: shown.length + 2 }, `Published: ${sources(published)}`)), published.map((row) => armRow(row, shown, best, table, titles))) : null);
}

function sources(rows) {
  return [...new Set(rows.map((row) => row.source))].join("; ");
}

function known(measured) {
  return measured && measured.value !== null && measured.value !== undefined;
}

function armRow(row, shown, best, table, titles) {
  const about = row.published ? "" : [row.is_baseline ? "baseline" : "", titles.get(row.arm) || ""].filter(Boolean).join(", ");
  return h("tr", { class: row.published ? "row-published" : null },
    h("th", { scope: "row" }, h("span", { class: "arm-name" }, row.arm, row.published ? h("span", { class: "label-tag" }, "published") : null, row.stand_in ? h("span", { class: "label-tag", title: "A hashed bag of words stood in for a sentence-encoder." }, "stand-in") : null), about ? h("span", { class: "small-text muted block" }, about) : null),
    h("td", { class: "num" }, row.published ? "" : h("span", { class: "figure-cell" }, `${row.finished}/${row.trials}`, missing(row) ? h("span", { class: "interval" }, missing(row)) : null)),
    shown.map((column) => figureCell(column, row, best.get(column.name), table)));
}

function figureCell(column, row, best, table) {
  const measured = row.figures[column.name];
  if (!known(measured)) return h("td", { class: "num" }, h("span", { class: "muted", title: row.published ? "Not published." : "Unknown." }, "–"));
  const range = interval(column, measured);
  const of = column.name === "false_progress" && measured.n ? plural(measured.n, "label") : "";
  const secondHand = (row.second_hand || []).includes(column.name);
  const how = methodWords(measured.method, table);
  return h("td", { class: "num", title: [secondHand ? "second-hand: from a published summary" : "", how, measured.n ? `from ${measured.n}` : ""].filter(Boolean).join(", ") || null },
    h("span", { class: "figure-cell" }, h("span", { class: !row.published && measured.value === best ? "best" : null }, show(column, measured.value), secondHand ? "†" : ""),
      range || of ? h("span", { class: "interval" }, [range, of].filter(Boolean).join(", ")) : null));
}

/** The footnotes: how the intervals were made, and what a reader must know. */
export function notes(table, published = null) {
  const methods = new Set(table.rows.flatMap((row) => Object.values(row.figures).map((measured) => measured.method)).filter((method) => METHODS[method] && method !== "definition"));
  const made = [...methods].map((method) => methodWords(method, table));
  return [...(made.length ? [`Intervals: ${made.join("; ")}. Hover a figure for its own.`] : []), ...table.notes, ...(published ? [`Published rows are from ${sources(published.rows)}: other models, tasks and machines.`, ...published.notes] : []), ...(published?.rows.some((row) => row.second_hand?.length) ? ["† second-hand: from a published summary."] : [])];
}
