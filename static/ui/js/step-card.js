// One card of the trajectory, built from a step's record and its bodies. All text is hostile: text nodes only.
import { h, icon } from "./dom.js";
import { capital, isStall, liveText, thought, tierLook } from "./model.js";
import { count, seconds, verdict } from "./format.js";

const CLAMP_CHARS = 420;
const CLAMP_LINES = 6;

export function tierBadge(model, tier) {
  const look = tierLook(tier, model.names.length);
  return h("span", { class: `tier tier-${look.key}` }, h("span", { class: `glyph glyph-${look.key}` }), capital(model.names[tier] ?? `tier ${tier}`));
}

/** The chip that says a verdict in a word and a shape, never in colour alone. */
export function verdictChip(check, indicator) {
  const words = verdict(check, indicator);
  if (check === "parsed" && indicator === 0) return h("span", { class: "chip chip-bad" }, icon("circle-slash"), words);
  if (check === "parsed") return h("span", { class: "chip chip-good" }, icon("circle-check"), words);
  if (check === "not_asked") return h("span", { class: "chip chip-plain" }, icon("circle-dashed"), words);
  return h("span", { class: "chip chip-warn" }, icon("circle-question-mark"), words);
}

/**
 * @param {any} model
 * @param {{step: number, event: any}} row
 * @param {{open: boolean, mayRun: boolean, onToggle: (step: number) => void}} options
 */
export function stepCard(model, row, options) {
  const step = row.event;
  const bodies = model.bodies.get(row.step);
  const look = tierLook(step.tier, model.names.length);
  const check = bodies?.judged;
  const long = { shown: options.open, any: false };
  const parts = [
    ...thoughtParts(step, bodies, check, long),
    ...actionParts(step, bodies, long),
    ...attemptParts(bodies),
  ];
  return h("div", { class: `step rail-${look.key}${isStall(step) ? " step-stall" : ""}` },
    head(model, step, row.step),
    ...parts,
    h("div", { class: "step-foot" },
      verdictChip(step.check, step.indicator),
      check?.rationale ? h("span", { class: `rationale${options.open ? "" : " clip"}` }, check.rationale) : null,
      h("span", { class: "row-end step-buttons" },
        long.any || options.open ? h("button", { type: "button", class: "btn btn-ghost btn-compact", "aria-expanded": options.open, "aria-label": `${options.open ? "Show less" : "Show all"} of step ${row.step}`, onclick: () => options.onToggle(row.step) }, options.open ? "Show less" : "Show all") : null,
        options.mayRun ? h("button", { type: "button", class: "btn btn-ghost btn-compact", "data-fork": row.step, "aria-label": `Fork after step ${row.step}` }, icon("git-branch"), "Fork") : null)),
    ...(options.open ? details(step, check) : []));
}

function head(model, step, number) {
  const speed = step.tokens_per_s === null || step.tokens_per_s === undefined ? "" : ` · ${Math.round(step.tokens_per_s)} tok/s`;
  return h("div", { class: "step-head" },
    h("a", { class: "step-no", href: `#step-${number}`, "aria-label": `Step ${number}, permalink` }, number),
    tierBadge(model, step.tier),
    step.level > 0 ? h("span", { class: "small-text soft" }, `level ${step.level}`) : null,
    step.reason === "warm_up" ? h("span", { class: "small-text muted" }, "warm-up") : null,
    h("span", { class: "row-end small-text muted nowrap" }, `${seconds(step.latency.total_s)} · ${count(step.usage.output_tokens)} tok${speed}`));
}

function line(name, label, ...content) {
  return h("div", { class: `line line-${name}` }, icon({ think: "brain", act: "terminal", observe: "eye", retry: "rotate-ccw", note: "info" }[name]), h("span", { class: "sr" }, label), ...content);
}

function clamped(text, className, long) {
  const needs = text.length > CLAMP_CHARS || text.split("\n").length > CLAMP_LINES;
  if (needs) long.any = true;
  return h("div", { class: `${className} text${needs && !long.shown ? " clamp" : ""}`, dir: "auto" }, text);
}

function thoughtParts(step, bodies, check, long) {
  if (!bodies?.replies.length) return step.thought ? [line("think", "Thought", clamped(step.thought, "thought", long))] : [];
  return bodies.replies.flatMap((reply) => {
    if (reply.purpose === "progress_check") return [note(`Separate progress check: ${seconds(reply.timing.total_s)}, ${count(reply.usage.output_tokens)} tok`)];
    const parts = [];
    if (reply.reasoning) {
      long.any = true;
      if (long.shown) parts.push(line("note", "Reasoning", h("div", { class: "text soft", dir: "auto" }, reply.reasoning)));
    }
    const said = thought(reply, check);
    if (said) parts.push(line("think", reply.purpose === "final_answer" ? "Forced final answer" : "Thought", clamped(said, "thought", long)));
    if (reply.finish_reason === "length") parts.push(note("Cut at the limit of output tokens."));
    return parts;
  });
}

function note(text) {
  return line("note", "Note", h("span", { class: "small-text muted" }, text));
}

function actionParts(step, bodies, long) {
  if (!bodies?.tools.length) return step.action ? [line("act", "Action", h("code", { class: "act" }, step.action))] : [];
  return bodies.tools.flatMap((tool) => [
    line("act", "Action", clamped(long.shown ? `${tool.tool} ${tool.arguments}` : step.action || `${tool.tool} ${tool.arguments}`, "act mono", long)),
    line("observe", tool.error ? "Tool error" : "Observation",
      h("div", { class: "observed" }, tool.error ? h("span", { class: "chip chip-warn" }, "Tool error") : null, clamped(tool.observation, "observation", long),
        tool.truncated && long.shown ? h("span", { class: "small-text muted" }, "The agent saw it cut here.") : null)),
  ]);
}

function attemptParts(bodies) {
  const failed = (bodies?.replies || []).flatMap((reply) => reply.attempts || []);
  return failed.map((attempt, index) => line("retry", "Failed try", h("span", { class: "small-text soft wrap" }, `Try ${index + 1} failed after ${seconds(attempt.duration_s)} and was repeated: ${attempt.message}`)));
}

function details(step, check) {
  const split = [["queue", step.latency.queue_s], ["prefill", step.latency.prefill_s], ["decode", step.latency.decode_s], ["tool", step.latency.tool_s], ["overhead", step.latency.overhead_s]];
  const cached = step.usage.cached_tokens === null || step.usage.cached_tokens === undefined ? "cached unknown" : `${count(step.usage.cached_tokens)} cached`;
  return [h("dl", { class: "step-details small-text" },
    h("div", {}, h("dt", {}, "Time"), h("dd", {}, split.map(([name, value]) => `${name} ${seconds(value)}`).join(" · "))),
    h("div", {}, h("dt", {}, "Tokens"), h("dd", {}, `${count(step.usage.input_tokens)} in (${cached}) · ${count(step.usage.output_tokens)} out${step.usage.estimated ? ", estimated" : ""}`)),
    h("div", {}, h("dt", {}, "Decision"), h("dd", {}, decisionWords(step))),
    check?.raw ? h("div", {}, h("dt", {}, "Verdict as written"), h("dd", {}, h("code", { class: "raw" }, check.raw))) : null)];
}

function decisionWords(step) {
  const budget = step.budget === null || step.budget === undefined ? "" : `, budget ${step.budget}, ${step.budget_left} left`;
  return `${capital(step.reason.replaceAll("_", " "))}, level ${step.level}${budget}`;
}

/** The step that is being worked on, with the text as it comes in; or the one a run broke off in. */
export function runningCard(model, row) {
  const { started } = model.current;
  const ended = Boolean(model.terminal);
  const look = tierLook(started.tier, model.names.length);
  const bodies = model.bodies.get(row.step);
  const long = { shown: true, any: false };
  const pending = pendingCall(bodies);
  return h("div", { class: `step step-running rail-${look.key} tint-${look.key}` },
    h("div", { class: "step-head" },
      h("a", { class: "step-no", href: `#step-${row.step}`, "aria-label": `Step ${row.step}, ${ended ? "not finished" : "running"}` }, row.step), tierBadge(model, started.tier),
      started.level > 0 ? h("span", { class: "small-text soft" }, `level ${started.level}`) : null,
      h("span", { class: "row-end small-text soft nowrap", "data-live-meta": true })),
    ...(bodies ? [...thoughtParts(started, { replies: bodies.replies }, bodies.judged, long), ...attemptParts(bodies)] : []),
    h("div", { class: "line line-think", "data-live-line": true }, icon("brain"), h("div", { class: `text thought${ended ? "" : " live"}`, dir: "auto", "data-live": true }), h("span", { class: "sr" }, ended ? "Text of the unfinished step" : "Text of the running step")),
    pending ? line("act", "Action", h("code", { class: "act" }, pending), ended ? null : h("span", { class: "small-text soft" }, "running")) : null,
    ...actionParts({ action: "" }, bodies, { shown: false, any: false }),
    h("div", { class: "step-foot" }, h("span", { class: "chip chip-plain" }, icon("circle-dashed"), bodies?.judged ? verdict(bodies.judged.status, bodies.judged.indicator)
        : ended ? "Not finished" : "Judged when the step ends")));
}

function pendingCall(bodies) {
  const calls = bodies?.replies.at(-1)?.tool_calls || [];
  const call = calls[bodies?.tools.length || 0];
  return call ? `${call.name} ${call.arguments}`.slice(0, 300) : "";
}

/** Put the streaming text into a running card: one text node (the caret is CSS), nothing rebuilt. */
export function updateLive(model, node) {
  const target = node.querySelector("[data-live]");
  const row = node.querySelector("[data-live-line]");
  if (!target || !row) return;
  const said = [liveText(model, "reasoning"), liveText(model), liveText(model, "tool_call")].filter(Boolean).join("\n");
  const waiting = !said && !model.terminal && !(model.bodies.get(model.current?.started.step)?.replies.length);
  row.hidden = !said && !waiting;
  const text = said || "Waiting for the first token";
  if (target.firstChild) target.firstChild.nodeValue = text;
  else target.append(text);
}

/** A full-width row that says why the tier changed. */
export function switchRow(model, event) {
  const up = event.to_tier > event.from_tier;
  const look = tierLook(event.to_tier, model.names.length);
  const to = capital(event.to_name);
  const title = up ? `Escalated to ${to}${event.level ? `, level ${event.level}` : ""}` : `Back to ${to}`;
  return h("div", { class: "switch-row" },
    h("span", { class: `switch-icon bg-${look.key}` }, icon(up ? "arrow-up" : "arrow-down")),
    h("div", {}, h("div", { class: "strong" }, title), h("div", { class: "small-text soft" }, event.why || capital(event.reason.replaceAll("_", " ")))));
}
