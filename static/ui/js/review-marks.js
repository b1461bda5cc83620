// What people said of verdicts, for pages that show runs: marks on step cards, stairs and comparisons.
import { h } from "./dom.js";
import { kindChip } from "./review-words.js";

const WRONG = new Set(["false_progress", "missed_progress"]);

/**
 * Read the labels of runs that this person may see; a page goes on without them.
 * @param {string[]} uuids
 * @returns {Promise<Map<string, Map<number, any[]>>>}
 */
export async function readMarks(uuids) {
  try {
    const response = await fetch(`/review/marks.json?runs=${uuids.join(",")}`);
    if (!response.ok || response.redirected) return new Map();
    const told = await response.json();
    return new Map(Object.entries(told.runs).map(([uuid, steps]) => [uuid, new Map(Object.entries(steps).map(([step, labels]) => [Number(step), labels]))]));
  } catch (error) {
    console.info("The labels could not be read.", String(error));
    return new Map();
  }
}

/** What stands of several labels: a decision, else what most of those who could tell say; "" if split. */
export function settled(labels) {
  const decision = labels.findLast((label) => label.decision);
  if (decision) return decision.kind;
  const clear = labels.filter((label) => label.answer !== "unsure");
  const yes = clear.filter((label) => label.answer === "yes");
  const no = clear.filter((label) => label.answer === "no");
  if (yes.length === no.length) return "";
  return (yes.length > no.length ? yes : no)[0].kind;
}

export function isWrong(labels) {
  return Boolean(labels?.length) && WRONG.has(settled(labels));
}

/** The labels of a step in its card: what stands, how many, and the way to all of them. */
export function labelMark(model, step) {
  const labels = model.labels?.get(step);
  if (!labels?.length) return null;
  const kind = settled(labels);
  const words = labels.length === 1 ? `by ${labels[0].reviewer}` : `${labels.length} labels`;
  return h("a", { class: "label-mark", href: `/review/runs/${model.run.uuid}/#step-${step}` }, kind ? kindChip(kind) : h("span", { class: "chip chip-plain" }, "Labels split"), h("span", { class: "small-text" }, words));
}
