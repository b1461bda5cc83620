// One card of the trajectory, built from a step's record and its bodies. All text is hostile: text nodes only.
import { h, icon } from "./dom.js";
import { commentButton } from "./discussion.js";
import { instanceName } from "./instances.js";
import { capital, isParallel, isStall, liveText, runningSteps, thought, tierLook } from "./model.js";
import { count, plural, seconds, usd, verdict } from "./format.js";
import { labelMark } from "./review-marks.js";

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
    ...scoreParts(bodies, long),
    ...draftParts(bodies, check, long),
    ...thoughtParts(step, bodies, check, long),
    ...actionParts(step, bodies, long),
    ...asideParts(bodies, long),
    ...attemptParts(bodies),
  ];
  return h("div", { class: `step rail-${look.key}${isStall(step) ? " step-stall" : ""}` },
    head(model, step, row.step),
    ...parts,
    h("div", { class: "step-foot" },
      verdictChip(step.check, step.indicator),
      check?.rationale ? h("span", { class: `rationale${options.open ? "" : " clip"}` }, check.rationale) : null,
      labelMark(model, row.step),
      h("span", { class: "row-end step-buttons" },
        long.any || options.open ? h("button", { type: "button", class: "btn btn-ghost btn-compact", "aria-expanded": options.open, "aria-label": `${options.open ? "Show less" : "Show all"} of step ${row.step}`, onclick: () => options.onToggle(row.step) }, options.open ? "Show less" : "Show all") : null,
        commentButton(row.step),
        // a fork shares whole steps of the main agent, with all that its helpers did in them
        options.mayRun && !step.scope ? h("button", { type: "button", class: "btn btn-ghost btn-compact", "data-fork": row.step, "aria-label": `Fork after step ${row.step}` }, icon("git-branch"), "Fork") : null)),
    ...(options.open ? details(step, check) : []));
}

function head(model, step, number) {
  const speed = step.tokens_per_s === null || step.tokens_per_s === undefined ? "" : ` · ${Math.round(step.tokens_per_s)} tok/s`;
  return h("div", { class: "step-head" },
    h("a", { class: "step-no", href: `#step-${number}`, "aria-label": `Step ${number}, permalink` }, number),
    tierBadge(model, step.tier),
    agentName(model, step),
    step.level > 0 ? h("span", { class: "small-text soft" }, `level ${step.level}`) : null,
    step.reason === "warm_up" ? h("span", { class: "small-text muted" }, "warm-up") : null,
    h("span", { class: "row-end small-text muted nowrap" }, `${seconds(step.latency.total_s)} · ${count(step.usage.output_tokens)} tok${speed}`));
}

/** Which of several agents a step belongs to, with its role where the name does not say it. */
function agentName(model, step) {
  if (!isParallel(model)) return null;
  const name = instanceName(step.scope, step.role);
  const role = step.scope && step.role && !name.toLowerCase().startsWith(step.role.replaceAll("_", " ")) ? `, ${step.role.replaceAll("_", " ")}` : "";
  return h("span", { class: "agent-name" }, `${name}${role}`);
}

function line(name, label, ...content) {
  return h("div", { class: `line line-${name}` }, icon({ think: "brain", act: "terminal", observe: "eye", retry: "rotate-ccw", note: "info" }[name]), h("span", { class: "sr" }, label), ...content);
}

function clamped(text, className, long) {
  const needs = text.length > CLAMP_CHARS || text.split("\n").length > CLAMP_LINES;
  if (needs) long.any = true;
  return h("div", { class: `${className} text${needs && !long.shown ? " clamp" : ""}`, dir: "auto" }, text);
}

/** A step card shows so many numbers of a scorer before it is opened; whole methods score every role and tier. */
const SCORES_SHOWN = 4;

/** What a learned scorer said, and what it was compared with if the step tells it. */
function scoreParts(bodies, long) {
  return (bodies?.scores || []).map((scored) => {
    const many = scored.values.length > SCORES_SHOWN;
    if (many) long.any = true;
    const values = many && !long.shown ? plural(scored.values.length, "value") : scored.values.map((value) => value.toFixed(3)).join(", ");
    const standIn = scored.stand_in ? ", with the stand-in encoder" : "";
    return note(`Scored ${values} by ${scored.scorer} in ${seconds(scored.duration_s)}${long.shown ? `${standIn} (weights ${scored.digest.slice(0, 12)})` : standIn}`);
  });
}

/** Rejected drafts: why, and, folded, what they said. Their tools never ran. */
function draftParts(bodies, check, long) {
  return (bodies?.drafts || []).flatMap((draft, index) => {
    const reply = bodies.replies[index];
    // the policy's own words hold the numbers already; opened, the card gives them exactly
    const against = draft.score === null || draft.score === undefined || (draft.why && !long.shown) ? "" : ` Score ${draft.score.toFixed(3)}${draft.threshold === null || draft.threshold === undefined ? "" : `, threshold ${draft.threshold.toFixed(3)}`}.`;
    const would = draft.action ? ` It would have made the call "${draft.action}"; its tool never ran.` : " Nothing of it was done.";
    const spent = reply ? ` ${seconds(reply.timing.total_s)}, ${count(reply.usage.output_tokens)} tok.` : "";
    long.any = true;
    const said = long.shown && reply ? [line("think", "Discarded draft", h("div", { class: "text soft draft", dir: "auto" }, thought(reply, check)))] : [];
    return [line("retry", "Discarded draft", h("span", { class: "small-text soft wrap" }, `Draft of ${capital(draft.tier_name)} discarded, written anew by ${capital(draft.to_name)}.${against}${would}${spent}${draft.why ? ` ${draft.why}` : ""}`)), ...said];
  });
}

const ASIDES = { warm_prefill: "Warm-up of the next tier's cache", sample: "Sample", plan: "Plan" };

/** Calls made side by side within the step: one line each, what they said when it is open. */
function asideParts(bodies, long) {
  const asides = bodies?.asides || [];
  if (!asides.length) return [];
  if (asides.length > 1) long.any = true;
  const line_ = (reply) => note(`${ASIDES[reply.purpose] || capital(reply.purpose.replaceAll("_", " "))} on ${capital(reply.tier_name)}: ${seconds(reply.timing.total_s)}, ${count(reply.usage.input_tokens)} in, ${count(reply.usage.output_tokens)} out${reply.cost_usd === null || reply.cost_usd === undefined ? "" : `, ${usd(reply.cost_usd)}`}`);
  const said = (reply) => (long.shown && reply.purpose !== "warm_prefill" && reply.text ? [line("think", "Text of the call", h("div", { class: "text soft", dir: "auto" }, reply.text))] : []);
  if (asides.length > 1 && !long.shown) return [note(`${plural(asides.length, "call")} side by side, ${count(asides.reduce((sum, reply) => sum + reply.usage.output_tokens, 0))} tok: ${[...new Set(asides.map((reply) => reply.purpose.replaceAll("_", " ")))].join(", ")}`)];
  return asides.flatMap((reply) => { if (reply.purpose !== "warm_prefill") long.any = true; return [line_(reply), ...said(reply)]; });
}

function thoughtParts(step, bodies, check, long) {
  const discarded = bodies?.drafts.length || 0;
  if (!bodies?.replies.length) return step.thought ? [line("think", "Thought", clamped(step.thought, "thought", long))] : [];
  return bodies.replies.slice(discarded).flatMap((reply) => {
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
    ...(tool.delegated ? tasks(tool) : []).map((task, index, all) => line("act", "Task for another agent", h("span", { class: "wrap" }, all.length > 1 ? h("span", { class: "muted" }, `${index + 1} `) : null, task))),
    tool.delegated && !long.shown && tasks(tool).length ? null : line("act", "Action", clamped(long.shown ? `${tool.tool} ${tool.arguments}` : step.action || `${tool.tool} ${tool.arguments}`, "act mono", long)),
    line("observe", tool.error ? "Tool error" : "Observation",
      h("div", { class: "observed" }, tool.error ? h("span", { class: "chip chip-warn" }, "Tool error") : null, clamped(tool.observation, "observation", long),
        tool.truncated && long.shown ? h("span", { class: "small-text muted" }, "The agent saw it cut here.") : null)),
  ]);
}

/** The tasks that a call hands to other agents; [] if its arguments are not as they should be. */
function tasks(tool) {
  try {
    const given = JSON.parse(tool.arguments);
    const list = Array.isArray(given.tasks) ? given.tasks.map((one) => one?.task ?? one) : [given.task];
    return list.filter((task) => typeof task === "string" && task);
  } catch {
    return [];
  }
}

function attemptParts(bodies) {
  const failed = (bodies?.replies || []).flatMap((reply) => reply.attempts || []);
  return failed.map((attempt, index) => line("retry", "Failed try", h("span", { class: "small-text soft wrap" }, `Try ${index + 1} failed after ${seconds(attempt.duration_s)} and was repeated: ${attempt.message}`)));
}

function details(step, check) {
  const split = [["queue", step.latency.queue_s], ["prefill", step.latency.prefill_s], ["decode", step.latency.decode_s], [step.tool?.startsWith("assign_") ? "other agents" : "tool", step.latency.tool_s], ...(step.latency.route_s ? [["scorer", step.latency.route_s]] : []), ["overhead", step.latency.overhead_s]];
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
  const running = runningSteps(model).find((one) => one.started.step === row.step);
  if (!running) return h("div", { class: "step" });
  const { started } = running;
  const ended = Boolean(model.terminal);
  const look = tierLook(started.tier, model.names.length);
  const bodies = model.bodies.get(row.step);
  const long = { shown: true, any: false };
  const pending = pendingCall(bodies);
  return h("div", { class: `step step-running rail-${look.key} tint-${look.key}` },
    h("div", { class: "step-head" },
      h("a", { class: "step-no", href: `#step-${row.step}`, "aria-label": `Step ${row.step}, ${ended ? "not finished" : "running"}` }, row.step), tierBadge(model, started.tier),
      agentName(model, started),
      started.level > 0 ? h("span", { class: "small-text soft" }, `level ${started.level}`) : null,
      h("span", { class: "row-end small-text soft nowrap", "data-live-meta": true })),
    ...(bodies ? [...scoreParts(bodies, long), ...draftParts(bodies, bodies.judged, long), ...thoughtParts(started, bodies, bodies.judged, long), ...asideParts(bodies, { shown: false }), ...attemptParts(bodies)] : []),
    h("div", { class: "line line-think", "data-live-line": true }, icon("brain"), h("div", { class: `text thought${ended ? "" : " live"}`, dir: "auto", "data-live": true }), h("span", { class: "sr" }, ended ? "Text of the unfinished step" : "Text of the running step")),
    pending ? line("act", "Action", h("code", { class: "act" }, pending), ended ? null : h("span", { class: "small-text soft" }, running.waits ? waitWords(model, started) : "running")) : null,
    ...actionParts({ action: "" }, bodies, { shown: false, any: false }),
    h("div", { class: "step-foot" }, h("span", { class: "chip chip-plain" }, icon("circle-dashed"), bodies?.judged ? verdict(bodies.judged.status, bodies.judged.indicator)
        : ended ? "Not finished" : "Judged when the step ends")));
}

/** How many agents a step waits for. */
function waitWords(model, started) {
  const busy = runningSteps(model).filter((one) => !one.waits && one.started.step > started.step);
  return `waiting for ${busy.length === 1 ? instanceName(busy[0].started.scope, busy[0].started.role).toLowerCase() : plural(busy.length, "agent")}`;
}

function pendingCall(bodies) {
  // a reply that may still be discarded calls nothing yet
  if (!bodies || bodies.replies.length <= bodies.drafts.length) return "";
  const calls = bodies.replies.at(-1).tool_calls || [];
  const call = calls[bodies.tools.length];
  return call ? `${call.name} ${call.arguments}`.slice(0, 300) : "";
}

/** Put the streaming text into a running card: one text node (the caret is CSS), nothing rebuilt. */
export function updateLive(model, node) {
  const number = Number(node.dataset.step);
  const running = runningSteps(model).find((one) => one.started.step === number);
  const target = node.querySelector("[data-live]");
  const row = node.querySelector("[data-live-line]");
  if (!target || !row) return;
  const said = [liveText(running, "reasoning"), liveText(running), liveText(running, "tool_call")].filter(Boolean).join("\n");
  const waiting = !said && !model.terminal && !(model.bodies.get(number)?.replies.length);
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
  const who = event.scope ? `${instanceName(event.scope, "")}: ` : "";
  const title = who + (up ? `Escalated to ${to}${event.level ? `, level ${event.level}` : ""}` : `Back to ${to}`);
  return h("div", { class: "switch-row" },
    h("span", { class: `switch-icon bg-${look.key}` }, icon(up ? "arrow-up" : "arrow-down")),
    h("div", {}, h("div", { class: "strong" }, title), h("div", { class: "small-text soft" }, event.why || capital(event.reason.replaceAll("_", " ")))));
}
