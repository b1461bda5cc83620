// Trajectories side by side, aligned by step or by time.
import { fill, h, icon } from "./dom.js";
import { finished, isStall, tierLook } from "./model.js";
import { LETTERS } from "./figures-compare.js";
import { plural, seconds, verdict } from "./format.js";

const ROWS = 60;
const FOLD = 4;

/**
 * @param {HTMLElement} host
 * @param {{models: (any | null)[], baseline: number, align: "step" | "time", onlyDifferences: boolean, runs: any[], shown: number, more: () => void}} view
 */
export function drawAligned(host, view) {
  const runs = view.models.map((model) => (model ? finished(model) : []));
  const first = view.models.map((_, index) => firstDifference(runs, index, view.baseline));
  const rows = (view.align === "time" ? timeRows(runs) : stepRows(runs)).filter((row) => !view.onlyDifferences || differs(row, view.baseline));
  const limit = view.shown || ROWS;
  fill(host, h("table", {},
    h("caption", { class: "sr" }, "Steps of the compared runs next to each other"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "c-row" }, view.align === "time" ? "Time" : "Step"),
      view.runs.map((run, index) => h("th", { scope: "col", class: "c-run" }, h("span", { class: "metrics-name" }, h("span", { class: `badge badge-${LETTERS[index].toLowerCase()}` }, LETTERS[index]), run.title, h("span", { class: "muted small-text" }, plural(runs[index].length, "step"))))))),
    h("tbody", {}, rows.slice(0, limit).map((row) => h("tr", {}, h("th", { scope: "row", class: "c-row" }, row.name),
      row.cells.map((steps, index) => h("td", {}, cell(view, index, steps, first[index], row))))))),
  rows.length > limit ? h("div", { class: "pager" }, h("button", { type: "button", class: "btn btn-compact", onclick: view.more }, `Show ${Math.min(ROWS, rows.length - limit)} more rows`)) : null,
  rows.length ? null : h("p", { class: "empty" }, view.onlyDifferences ? "No difference so far." : "No step yet."));
}

function stepRows(runs) {
  const most = Math.max(0, ...runs.map((steps) => steps.length));
  return Array.from({ length: most }, (_, i) => ({ name: String(i + 1), number: i + 1, cells: runs.map((steps) => (steps[i] ? [steps[i]] : [])) }));
}

/** Equal stretches of time, about a dozen, of a round length. */
export function timeRows(runs) {
  const end = Math.max(0, ...runs.map((steps) => steps.at(-1)?.cumulative_s || 0));
  if (!end) return [];
  const raw = end / 12;
  const power = 10 ** Math.floor(Math.log10(raw));
  const size = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw);
  const rows = Math.ceil(end / size);
  const inRow = (steps, i) => steps.filter((step) => Math.min(rows - 1, Math.floor(step.cumulative_s / size)) === i);
  return Array.from({ length: rows }, (_, i) => ({ name: `${round(i * size)} to ${round((i + 1) * size)} s`, cells: runs.map((steps) => inRow(steps, i)), time: true }));
}

function round(value) {
  return Number(value.toPrecision(4));
}

/** The first step whose action is not the baseline's at the same place; null if there is none. */
export function firstDifference(runs, index, baseline) {
  if (index === baseline) return null;
  const mine = runs[index];
  const theirs = runs[baseline];
  for (let i = 0; i < Math.min(mine.length, theirs.length); i += 1) if (mine[i].action !== theirs[i].action) return mine[i].step;
  return mine.length > theirs.length && theirs.length ? mine[theirs.length].step : null;
}

function differs(row, baseline) {
  const words = row.cells.map((steps) => steps.map((step) => step.action).join("\n"));
  return words.some((one) => one !== words[baseline]);
}

function cell(view, index, steps, first, row) {
  const model = view.models[index];
  if (!steps.length) return model?.terminal && row.number === finished(model).length + 1 ? h("span", { class: "muted small-text" }, `Ended at step ${finished(model).length}`) : null;
  const parts = folded(steps).map((part) => (part.folded ? h("p", { class: "fold" }, `${part.folded} more steps, all without progress`) : entry(model, view.runs[index], part, part.step === first)));
  if (row.time) parts.push(h("p", { class: "cell-foot" }, `${plural(steps.length, "step")}, ${seconds(steps.reduce((sum, step) => sum + step.latency.total_s, 0))}`));
  return parts;
}

/** Long stretches without progress become one line between their first two and their last step. */
export function folded(steps) {
  const out = [];
  for (let i = 0; i < steps.length;) {
    let end = i;
    while (end < steps.length && isStall(steps[end])) end += 1;
    if (end - i > FOLD) {
      out.push(steps[i], steps[i + 1], { folded: end - i - 3 }, steps[end - 1]);
      i = end;
    } else {
      out.push(steps[i]);
      i += 1;
    }
  }
  return out;
}

function entry(model, run, step, diverges) {
  const look = tierLook(step.tier, model.names.length).key;
  const stall = isStall(step);
  const [name, tone] = step.check !== "parsed" ? ["circle-dashed", "plain"] : stall ? ["circle-slash", "bad"] : ["circle-check", "good"];
  return h("div", { class: `entry${stall ? " entry-stall" : ""}${diverges ? " entry-diverges" : ""}` },
    h("a", { class: "n", href: `${run.url}#step-${step.step}`, "aria-label": `Step ${step.step} of ${run.ref}` }, step.step),
    h("span", { class: `glyph glyph-${look}`, title: step.tier_name }),
    h("span", { class: "act-text" }, step.action || "final answer", h("span", { class: "sr" }, `, ${step.tier_name}, ${verdict(step.check, step.indicator)}`), diverges ? h("span", { class: "tag" }, "diverges") : null),
    icon(name, `icon icon-${tone}`));
}
