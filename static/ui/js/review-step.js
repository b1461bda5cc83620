// One step of a trajectory as a reviewer sees it: what was thought, done and observed, and the rest only
// where the server has sent it. All text is hostile: text nodes only.
import { h, icon } from "./dom.js";
import { count, seconds } from "./format.js";
import { instanceName } from "./instances.js";
import { capital, tierLook } from "./model.js";
import { verdictChip } from "./step-card.js";

const CLAMP_CHARS = 420;
const CLAMP_LINES = 6;

/**
 * @param {any} step a step of the server's context
 * @param {{judged?: boolean, open?: boolean, parallel?: boolean, onToggle?: () => void}} options
 */
export function reviewStep(step, { judged = false, open = false, parallel = false, onToggle } = {}) {
  const long = { any: false, shown: judged || open };
  const look = step.seen ? tierLook(step.seen.tier, step.seen.tiers) : null;
  const parts = [
    ...step.thoughts.map((text) => line("brain", "Thought", clamped(text, "thought", long))),
    ...step.actions.flatMap((action) => [
      line("terminal", "Action", clamped(`${action.tool} ${action.arguments}`, "act mono", long)),
      line("eye", action.error ? "Tool error" : "Observation", h("div", { class: "observed" }, action.error ? h("span", { class: "chip chip-warn" }, "Tool error") : null, clamped(action.observation, "observation", long))),
    ]),
  ];
  return h("div", { class: `step${look ? ` rail-${look.key}` : " rail-none"}` },
    head(step, look, { judged, parallel }),
    ...(parts.length ? parts : [line("info", "Note", h("span", { class: "small-text muted" }, "Nothing was said or done in this step."))]),
    step.seen || (long.any && !judged) ? foot(step, long, { judged, open, onToggle }) : null);
}

function head(step, look, { judged, parallel }) {
  const { seen } = step;
  const speed = seen?.tokens_per_s === null || seen?.tokens_per_s === undefined ? "" : ` · ${Math.round(seen.tokens_per_s)} tok/s`;
  return h("div", { class: "step-head" },
    h("span", { class: "step-no" }, step.step),
    seen ? h("span", { class: `tier tier-${look.key}` }, h("span", { class: `glyph glyph-${look.key}` }), capital(seen.tier_name)) : null,
    parallel ? h("span", { class: "agent-name" }, instanceName(step.scope, step.role)) : null,
    judged ? h("span", { class: "judged-tag" }, "This step") : null,
    seen ? h("span", { class: "row-end small-text muted nowrap" }, `${seconds(seen.latency_s)} · ${count(seen.output_tokens)} tok${speed}`) : null);
}

function foot(step, long, { judged, open, onToggle }) {
  return h("div", { class: "step-foot" },
    step.seen ? verdictChip(step.seen.check, step.seen.indicator) : null,
    step.seen?.rationale ? h("span", { class: "rationale" }, step.seen.rationale) : null,
    long.any && !judged ? h("button", { type: "button", class: "btn btn-ghost btn-compact row-end", "aria-expanded": open, "aria-label": `${open ? "Show less" : "Show all"} of step ${step.step}`, onclick: onToggle }, open ? "Show less" : "Show all") : null);
}

function line(name, label, ...content) {
  return h("div", { class: "line" }, icon(name), h("span", { class: "sr" }, label), ...content);
}

function clamped(text, className, long) {
  const needs = text.length > CLAMP_CHARS || text.split("\n").length > CLAMP_LINES;
  if (needs) long.any = true;
  return h("div", { class: `${className} text${needs && !long.shown ? " clamp" : ""}`, dir: "auto" }, text);
}
