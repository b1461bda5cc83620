// Folds a run's snapshot and events into what the page shows. Pure: no DOM, no clock, no network.
import { EVENTS, TERMINAL } from "./vocabulary.js";

/**
 * The look of a tier: tier 0 is small, the top tier large, the ones between them take turns.
 * @returns {{key: "small"|"mid"|"mid-2"|"large", symbol: string, width: number}}
 */
export function tierLook(tier, tiers) {
  if (tier <= 0) return { key: "small", symbol: "circle", width: 2 };
  if (tier >= tiers - 1) return { key: "large", symbol: "square", width: 3.5 };
  return tier % 2 === 1
    ? { key: "mid", symbol: "diamond", width: 2.6 }
    : { key: "mid-2", symbol: "triangle-up", width: 3 };
}

/** One letter a tier: its initial where the initials differ, else its number from 1. */
export function tierLetters(names) {
  const initials = names.map((name) => (Array.from(name.trim())[0] || "?").toUpperCase());
  return new Set(initials).size === names.length ? initials : names.map((_, i) => String(i + 1));
}

export function capital(text) {
  const letters = Array.from(text || "");
  return letters.length ? letters[0].toUpperCase() + letters.slice(1).join("") : "";
}

/**
 * Start a model from `snapshot.json`.
 * @param {any} snapshot
 */
export function createModel(snapshot) {
  const names = snapshot.run.tiers.map((tier) => tier.name);
  const model = {
    run: snapshot.run,
    names,
    letters: tierLetters(names),
    steps: [],
    switches: new Map(),
    current: null,
    terminal: null,
    bodies: new Map(),
    head: -1,
    resumed: 0,
  };
  for (const event of snapshot.steps) addStep(model, event);
  for (const event of snapshot.switches) model.switches.set(event.step, event);
  for (const event of snapshot.tail) fold(model, event);
  model.head = snapshot.head;
  return model;
}

/**
 * Fold one numbered event. Answers what happened, so that a caller redraws no more than it must:
 * "gap" (an event is missing: read the snapshot again), "old" (already known), or the event's type.
 */
export function apply(model, event) {
  if (event.seq <= model.head) return "old";
  if (event.seq !== model.head + 1) return "gap";
  model.head = event.seq;
  fold(model, event);
  return event.type;
}

function fold(model, event) {
  const handler = HANDLERS[event.type];
  if (handler) handler(model, event);
  if (TERMINAL.has(event.type)) endRun(model, event);
}

const HANDLERS = {
  [EVENTS.runStarted]: (model) => { model.run = { ...model.run, status: "running", queue_position: null }; },
  [EVENTS.runResumed]: (model) => {
    model.resumed += 1;
    model.run = { ...model.run, status: "running" };
    if (model.current) model.current.live = new Map();
  },
  [EVENTS.stepStarted]: (model, event) => { model.current = { started: event, live: new Map() }; },
  [EVENTS.modelReplied]: (model, event) => {
    body(model, event.step).replies.push(event);
    if (model.current?.started.step === event.step) model.current.live.delete(event.purpose);
  },
  [EVENTS.toolReturned]: (model, event) => { body(model, event.step).tools.push(event); },
  [EVENTS.progressJudged]: (model, event) => { body(model, event.step).judged = event; },
  [EVENTS.tierSwitched]: (model, event) => { model.switches.set(event.step, event); },
  [EVENTS.stepFinished]: (model, event) => {
    addStep(model, event);
    body(model, event.step).complete = true;
    if (model.current && model.current.started.step <= event.step) model.current = null;
  },
};

function addStep(model, event) {
  model.steps[event.step - 1] = event;
}

function endRun(model, event) {
  model.terminal = event;
  const status = { [EVENTS.runFinished]: "finished", [EVENTS.runFailed]: "failed" }[event.type] || "cancelled";
  model.run = { ...model.run, status, finished_at: event.at, cancel_requested: false, queue_position: null };
  if (event.type === EVENTS.runFinished) {
    Object.assign(model.run, { answer: event.answer, outcome: event.outcome, ended_by: event.ended_by });
  }
  if (event.type === EVENTS.runFailed) {
    model.run.error = { code: event.code, message: event.message, hint: event.hint, where: event.where };
  }
}

/** The replies, tool results and verdict of a step, as far as they are known here. */
export function body(model, step) {
  let found = model.bodies.get(step);
  if (!found) {
    found = { replies: [], tools: [], judged: null, complete: false };
    model.bodies.set(step, found);
  }
  return found;
}

/** Take in `steps.json`: replaces what was known of these steps. */
export function addBodies(model, events, first, last) {
  for (let step = first; step <= last; step += 1) {
    if (model.steps[step - 1]) model.bodies.set(step, { replies: [], tools: [], judged: null, complete: true });
  }
  for (const event of events) {
    const target = body(model, event.step);
    if (!target.complete) continue;
    if (event.type === EVENTS.modelReplied) target.replies.push(event);
    else if (event.type === EVENTS.toolReturned) target.tools.push(event);
    else if (event.type === EVENTS.progressJudged) target.judged = event;
  }
}

/** Forget the bodies that are farthest from `step`, keeping at most `keep`. */
export function trimBodies(model, step, keep = 400) {
  if (model.bodies.size <= keep) return;
  const far = [...model.bodies.keys()].filter((key) => model.bodies.get(key).complete)
    .sort((a, b) => Math.abs(b - step) - Math.abs(a - step));
  for (const key of far.slice(0, model.bodies.size - keep)) model.bodies.delete(key);
}

/**
 * Take in streaming text. `offset` counts code points of the call's text; a higher attempt replaces
 * what an earlier one showed; a part that was missed shows as an ellipsis.
 * @returns {boolean} whether anything changed
 */
export function applyDelta(model, delta) {
  const current = model.current;
  if (!current || current.started.step !== delta.step) return false;
  const old = current.live.get(delta.purpose);
  if (old && old.attempt > delta.attempt) return false;
  const live = old && old.attempt === delta.attempt ? old : { attempt: delta.attempt, parts: {} };
  current.live.set(delta.purpose, live);
  live.parts[delta.kind] = joinPart(live.parts[delta.kind], delta.offset, delta.text);
  return true;
}

function joinPart(part, offset, text) {
  if (!part) return { from: offset, end: offset + codePoints(text), text };
  const known = part.end;
  if (offset > known) return { from: offset, end: offset + codePoints(text), text };
  const incoming = Array.from(text).slice(known - offset).join("");
  return { from: part.from, end: known + codePoints(incoming), text: part.text + incoming };
}

function codePoints(text) {
  let n = 0;
  for (const _ of text) n += 1; // eslint-disable-line no-unused-vars
  return n;
}

/** The verdict block is shown as a chip when the step ends; half of it in the text would only confuse. */
function withoutBlock(text) {
  const start = text.indexOf("<progress");
  if (start < 0) return text;
  const end = text.indexOf("</progress>", start);
  return text.slice(0, start).trimEnd() + (end < 0 ? "" : text.slice(end + "</progress>".length));
}

/** What the running step has said so far. */
export function liveText(model, kind = "text") {
  if (!model.current) return "";
  return [...model.current.live.values()].map((live) => {
    const part = live.parts[kind];
    return part ? (part.from > 0 ? "… " : "") + withoutBlock(part.text) : "";
  }).filter(Boolean).join("\n");
}

/** Steps that are there, in order, as an array without holes. */
export function finished(model) {
  return model.steps.filter(Boolean);
}

/** The figures of the page and of the comparison; `null` where a figure has no meaning yet. */
export function totals(model) {
  const steps = finished(model);
  const top = model.names.length - 1;
  const sums = { output: 0, input: 0, cached: 0, topOutput: 0, cost: 0, known: true, stalls: 0, missing: 0, malformed: 0, topSteps: 0, topLatency: 0, switches: 0 };
  let before = null;
  for (const step of steps) {
    sums.output += step.usage.output_tokens;
    sums.input += step.usage.input_tokens;
    sums.cached += step.usage.cached_tokens || 0;
    if (step.cost_usd === null) sums.known = false; else sums.cost += step.cost_usd;
    if (step.check === "missing") sums.missing += 1;
    if (step.check === "malformed") sums.malformed += 1;
    if (isStall(step)) sums.stalls += 1;
    if (step.tier === top) {
      sums.topSteps += 1;
      sums.topOutput += step.usage.output_tokens;
      sums.topLatency += step.latency.total_s;
    }
    if (before !== null && before !== step.tier) sums.switches += 1;
    before = step.tier;
  }
  return derived(model, steps, sums);
}

function derived(model, steps, sums) {
  const latency = (steps.length ? steps[steps.length - 1].cumulative_s : 0) + (model.terminal?.totals?.unfinished_s || 0);
  const topMean = sums.topSteps ? sums.topLatency / sums.topSteps : null;
  const estimate = topMean === null ? null : topMean * steps.length;
  return {
    ...sums,
    steps: steps.length,
    latency,
    cost: sums.known ? sums.cost : null,
    topMean,
    estimate,
    speedup: estimate !== null && latency > 0 ? estimate / latency : null,
    switchingRatio: steps.length > 1 ? sums.switches / (steps.length - 1) : null,
    topStepShare: steps.length ? sums.topSteps / steps.length : null,
    topTokenShare: sums.output ? sums.topOutput / sums.output : null,
  };
}

export function isStall(step) {
  return step.check === "parsed" && step.indicator === 0;
}

/**
 * Neighbouring steps of one tier and one budget: the spans of the timeline and the escalated bands.
 * A span's level is that of its first step, at which it was granted.
 */
export function spans(model) {
  const all = [];
  let open = null;
  for (const step of finished(model)) {
    const fresh = !open || open.tier !== step.tier || startsBudget(open, step) || step.step !== open.to + 1;
    if (fresh) {
      open = { tier: step.tier, level: step.tier > 0 ? step.level : 0, from: step.step, to: step.step, budget: step.budget, left: step.budget_left };
      all.push(open);
    } else {
      open.to = step.step;
      open.left = step.budget_left;
    }
  }
  return all;
}

function startsBudget(open, step) {
  return step.budget !== null && step.budget_left === step.budget && open.budget !== null;
}

/** What the list of the page holds, oldest first: steps with the switch rows before them. */
export function rows(model, filter = "all") {
  const list = [];
  for (const step of finished(model)) pushRows(list, model, step.step, step, filter);
  if (model.current) pushRows(list, model, model.current.started.step, null, filter);
  return list;
}

function pushRows(list, model, number, step, filter) {
  const change = model.switches.get(number);
  if (change && filter !== "stalls") list.push({ key: `switch-${number}`, kind: "switch", step: number, event: change });
  const wanted = filter === "all" || (filter === "stalls" && step && isStall(step));
  if (wanted) list.push({ key: `step-${number}`, kind: step ? "step" : "running", step: number, event: step });
}

/** Replies' text without the verdict block that is shown on its own. */
export function thought(reply, judged) {
  const raw = judged?.raw || "";
  const text = reply.text || "";
  if (!raw) return text.trim();
  const at = text.indexOf(raw);
  if (at < 0) return text.trim();
  return `${text.slice(0, at).trimEnd()}\n${text.slice(at + raw.length).trimStart()}`.trim();
}
