// Paired tests: what each arm does better than each other one, and how sure that is.
import { h } from "./dom.js";
import { show } from "./experiment-table.js";

/** @type {Record<string, string>} */
const TESTS = { mcnemar_exact: "McNemar's exact test", permutation_exact: "exact sign-flip permutation test by task", permutation: "sign-flip permutation test by task" };
/** @type {Record<string, string>} */
const INTERVALS = { newcombe_paired: "Newcombe's interval of paired shares", paired_bootstrap: "paired bootstrap by task" };
const SURE = 0.05;

/** A difference with its sign and unit; shares in points. */
export function difference(column, value) {
  if (value === null || value === undefined) return "–";
  const sign = value > 0 ? "+" : value < 0 ? "−" : "±";
  const size = Math.abs(value);
  return sign + (column.unit === "frac" ? `${(100 * size).toFixed(column.digits)} pt` : show(column, size));
}

export function pWords(p) {
  if (p === null || p === undefined) return "not tested";
  return p < 0.001 ? "p < 0.001" : `p ${p >= 0.9995 ? "1" : p.toFixed(3)}`;
}

/** The effect of `arm` against `other`, whichever way round it was computed. */
export function effectOf(effects, arm, other) {
  const found = effects.find((one) => one.arm === arm && one.other === other);
  if (found) return found;
  const turned = effects.find((one) => one.arm === other && one.other === arm);
  if (!turned) return null;
  const minus = (value) => (value === null || value === undefined ? null : -value);
  return { ...turned, arm, other, difference: minus(turned.difference), low: minus(turned.high), high: minus(turned.low), only_arm: turned.only_other, only_other: turned.only_arm };
}

/** @param {{measure: string, effects: any[]}} comparison @param {string[]} arms */
export function testMatrix(comparison, column, arms) {
  const cell = (row, other) => {
    if (row === other) return h("td", { class: "diagonal" }, h("span", { class: "sr" }, "the same arm"));
    const effect = effectOf(comparison.effects, row, other);
    if (!effect || effect.difference === null) return h("td", {}, h("span", { class: "muted" }, "no pairs"));
    const sure = effect.p_holm !== null && effect.p_holm < SURE;
    const range = effect.low === null ? "" : `${difference(column, effect.low)} to ${difference(column, effect.high)}`;
    return h("td", { title: about(effect) },
      h("span", { class: sure ? "strong" : "soft" }, difference(column, effect.difference), sure ? h("span", { class: "sure" }, "*", h("span", { class: "sr" }, "significant")) : null),
      h("span", { class: "interval" }, range), h("span", { class: "interval" }, pWords(effect.p_holm)));
  };
  return h("table", { class: "table tests-table" }, h("caption", { class: "sr" }, `${column.title}: the row's arm less the column's`),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Row less column"), arms.slice(0, -1).map((arm) => h("th", { scope: "col" }, arm)))),
    h("tbody", {}, arms.slice(1).map((row, i) => h("tr", {}, h("th", { scope: "row" }, row), arms.slice(0, -1).map((other, j) => (j > i ? h("td", { class: "diagonal" }) : cell(row, other)))))));
}

function about(effect) {
  const only = effect.only_arm === null ? "" : `; only ${effect.arm} right on ${effect.only_arm}, only ${effect.other} on ${effect.only_other}`;
  return `${effect.pairs} pairs on ${effect.tasks} tasks${only}`;
}

/** What was tested and how, in a sentence. */
export function testNote(comparison) {
  const tests = [...new Set(comparison.effects.map((one) => TESTS[one.test]).filter(Boolean))];
  const intervals = [...new Set(comparison.effects.map((one) => INTERVALS[one.interval]).filter(Boolean))];
  if (!tests.length) return "Too few tasks that both arms have finished: nothing was tested.";
  return `On common tasks and seeds: ${tests.join(", ")}, p corrected for ${comparison.tests} ${comparison.tests === 1 ? "test" : "tests"} after Holm; ${intervals.join(", ")}. A star: p below ${SURE}.`;
}
