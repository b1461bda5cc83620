// The words of labels, the same on every page that shows them.
import { h, icon } from "./dom.js";

export const ANSWERS = { yes: "yes", no: "no", unsure: "cannot tell" };

const KINDS = {
  correct: ["chip-good", "circle-check", "Correct"], false_progress: ["chip-bad", "circle-x", "False progress"],
  missed_progress: ["chip-bad", "circle-x", "Missed progress"], unsure: ["chip-plain", "circle-question-mark", "Cannot tell"],
  no_verdict: ["chip-plain", "circle-dashed", "No verdict"],
};

/** What a label says of the agent's verdict, in a word and a shape. */
export function kindChip(kind) {
  const known = KINDS[kind];
  return known ? h("span", { class: `chip ${known[0]}` }, icon(known[1]), known[2]) : null;
}
