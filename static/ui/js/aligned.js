// Trajectories side by side, aligned by step or by time.
import { fill, h, icon } from "./dom.js";
import { instanceName, place } from "./instances.js";
import { finished, isStall, tierLook } from "./model.js";
import { LETTERS } from "./figures-compare.js";
import { plural, seconds, verdict } from "./format.js";
import { isWrong, settled } from "./review-marks.js";

const ROWS = 60;
const FOLD = 4;

/**
 * @param {HTMLElement} host
 * @param {{models: (any | null)[], baseline: number, align: "step" | "time", onlyDifferences: boolean, runs: any[], shown: number, more: () => void}} view
 */
export function drawAligned(host, view) {
  const runs = view.models.map((model) => (model ? finished(model) : []));
  const paths = view.models.map((model) => (model ? byPlace(model) : []));
  const first = view.models.map((_, index) => firstDifference(paths, index, view.baseline));
  const rows = (view.align === "time" ? timeRows(runs) : stepRows(paths)).filter((row) => !view.onlyDifferences || differs(row, view.baseline));
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

/** A run's finished steps by their place on the path: where agents work side by side, several. */
export function byPlace(model) {
  const places = [];
  for (const { x, step } of place(model).marks) if (step) (places[x - 1] ??= []).push(step);
  return Array.from(places, (steps) => steps || []);
}

function stepRows(paths) {
  const most = Math.max(0, ...paths.map((places) => places.length));
  return Array.from({ length: most }, (_, i) => ({ name: String(i + 1), number: i + 1, cells: paths.map((places) => places[i] || []) }));
}

/** Equal stretches of time, about a dozen, of a round length. */
export function timeRows(runs) {
  const end = runs.flat().reduce((latest, step) => Math.max(latest, step.cumulative_s), 0);
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

/** The first step whose action is none of the baseline's at the same place; null if there is none. */
export function firstDifference(paths, index, baseline) {
  if (index === baseline) return null;
  const mine = paths[index];
  const theirs = paths[baseline];
  for (let i = 0; i < Math.min(mine.length, theirs.length); i += 1) {
    const other = mine[i].find((step) => !theirs[i].some((one) => one.action === step.action));
    if (other) return other.step;
  }
  return mine.length > theirs.length && theirs.length ? mine[theirs.length][0]?.step ?? null : null;
}

function differs(row, baseline) {
  const words = row.cells.map((steps) => steps.map((step) => step.action).join("\n"));
  return words.some((one) => one !== words[baseline]);
}

function cell(view, index, steps, first, row) {
  const model = view.models[index];
  if (!steps.length) return model?.terminal && row.number === place(model).depth + 1 ? h("span", { class: "muted small-text" }, `Ended at step ${finished(model).at(-1)?.step ?? 0}`) : null;
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
  const who = step.scope ? h("span", { class: "muted" }, `${instanceName(step.scope, step.role)}: `) : null;
  const [name, tone] = step.check !== "parsed" ? ["circle-dashed", "plain"] : stall ? ["circle-slash", "bad"] : ["circle-check", "good"];
  return h("div", { class: `entry${stall ? " entry-stall" : ""}${diverges ? " entry-diverges" : ""}` },
    h("a", { class: "n", href: `${run.url}#step-${step.step}`, "aria-label": `Step ${step.step} of ${run.ref}` }, step.step),
    h("span", { class: `glyph glyph-${look}`, title: step.tier_name }),
    h("span", { class: "act-text" }, who, step.action || "final answer", h("span", { class: "sr" }, `, ${step.tier_name}, ${verdict(step.check, step.indicator)}`), diverges ? h("span", { class: "tag" }, "diverges") : null,
      isWrong(model.labels?.get(step.step)) ? h("span", { class: "tag" }, settled(model.labels.get(step.step)).replace("_", " ")) : null),
    icon(name, `icon icon-${tone}`));
}
