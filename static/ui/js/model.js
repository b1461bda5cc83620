// Folds a run's snapshot and events into what the page shows. Pure: no DOM, no clock, no network.
import { capital } from "./format.js";
import { instanceOf, isBelow, place } from "./instances.js";
import { EVENTS, TERMINAL } from "./vocabulary.js";

export { capital };

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
    running: new Map(),
    terminal: null,
    bodies: new Map(),
    /** What the discarded drafts of a step took, by the step: another tier's tokens and seconds. */
    drafted: new Map((snapshot.drafts || []).map(({ step, ...spent }) => [step, spent])),
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
    for (const running of model.running.values()) running.live = new Map();
  },
  [EVENTS.stepStarted]: (model, event) => { model.running.set(event.scope || "", { started: event, live: new Map() }); },
  [EVENTS.modelReplied]: (model, event) => {
    keep(body(model, event.step), event);
    const running = runningOf(model, event.scope);
    if (running?.started.step === event.step) running.live.delete(callOf(event));
  },
  [EVENTS.scorerReturned]: (model, event) => {
    keep(body(model, event.step), event);
    if (event.stand_in && !model.run.stand_in) model.run = { ...model.run, stand_in: true };
  },
  [EVENTS.draftDiscarded]: (model, event) => {
    const target = body(model, event.step);
    keep(target, event);
    const reply = target.replies[target.drafts.length - 1];
    if (reply) model.drafted.set(event.step, plus(model.drafted.get(event.step), { output_tokens: reply.usage.output_tokens, total_s: reply.timing.total_s }));
  },
  [EVENTS.toolReturned]: (model, event) => { keep(body(model, event.step), event); },
  [EVENTS.progressJudged]: (model, event) => { keep(body(model, event.step), event); },
  [EVENTS.tierSwitched]: (model, event) => { model.switches.set(event.step, event); },
  [EVENTS.stepFinished]: (model, event) => {
    addStep(model, event);
    body(model, event.step).complete = true;
    const running = runningOf(model, event.scope);
    if (running && running.started.step <= event.step) model.running.delete(event.scope || "");
  },
};

/** What an instance is working on; `scope` may be that of a call made aside. */
function runningOf(model, scope) {
  return model.running.get(instanceOf(scope));
}

/** Names one call of a step: its purpose, and for calls made aside which one. */
function callOf(event) {
  return `${event.purpose} ${isAside(event) ? event.scope : ""}`;
}

export function isAside(event) {
  return Boolean(event.scope?.includes("~"));
}

/** Put an event where its step's card looks for it. */
function keep(target, event) {
  const parts = {
    [EVENTS.modelReplied]: isAside(event) ? target.asides : target.replies,
    [EVENTS.toolReturned]: target.tools, [EVENTS.scorerReturned]: target.scores, [EVENTS.draftDiscarded]: target.drafts,
  };
  if (event.type === EVENTS.progressJudged) target.judged = event;
  else parts[event.type]?.push(event);
}

/** The running steps in the order they began, those that wait for other instances last. */
export function runningSteps(model) {
  const all = [...model.running.values()].sort((a, b) => a.started.step - b.started.step);
  const waiting = ({ started }) => all.some((other) => isBelow(other.started.scope || "", started.scope || "") && other.started.step > started.step);
  return [...all.filter((one) => !waiting(one)), ...all.filter(waiting).map((one) => ({ ...one, waits: true }))];
}


function plus(sum, more) {
  return { output_tokens: (sum?.output_tokens || 0) + more.output_tokens, total_s: (sum?.total_s || 0) + more.total_s };
}

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
    found = empty(false);
    model.bodies.set(step, found);
  }
  return found;
}

function empty(complete) {
  return { replies: [], asides: [], scores: [], drafts: [], tools: [], judged: null, complete };
}

/** Take in `steps.json`: replaces what was known of these steps. */
export function addBodies(model, events, first, last) {
  for (let step = first; step <= last; step += 1) {
    if (model.steps[step - 1]) model.bodies.set(step, empty(true));
  }
  for (const event of events) {
    const target = body(model, event.step);
    if (target.complete) keep(target, event);
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
  const running = runningOf(model, delta.scope);
  if (!running || running.started.step !== delta.step) return false;
  const call = callOf(delta);
  const old = running.live.get(call);
  if (old && old.attempt > delta.attempt) return false;
  const live = old && old.attempt === delta.attempt ? old : { attempt: delta.attempt, parts: {}, aside: isAside(delta) };
  running.live.set(call, live);
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

/** What a running step has said so far; of calls made side by side, the first one. */
export function liveText(running, kind = "text") {
  if (!running) return "";
  const calls = [...running.live.values()];
  const own = calls.filter((live) => !live.aside);
  return (own.length ? own : calls.slice(0, 1)).map((live) => {
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
  const sums = { output: 0, input: 0, cached: 0, topOutput: 0, cost: 0, known: true, stalls: 0, missing: 0, malformed: 0, topSteps: 0, topWritten: 0, topLatency: 0, silent: 0, silentLatency: 0, switches: 0, mainSteps: 0, latest: 0 };
  const before = new Map();
  const placed = isParallel(model) ? place(model) : null;
  for (const step of steps) {
    const scope = step.scope || "";
    sums.output += step.usage.output_tokens;
    sums.input += step.usage.input_tokens;
    sums.cached += step.usage.cached_tokens || 0;
    if (step.cost_usd === null) sums.known = false; else sums.cost += step.cost_usd;
    if (step.check === "missing") sums.missing += 1;
    if (step.check === "malformed") sums.malformed += 1;
    if (isStall(step)) sums.stalls += 1;
    if (step.tier === top) {
      const drafts = model.drafted.get(step.step);
      sums.topSteps += 1;
      sums.topOutput += step.usage.output_tokens - (drafts?.output_tokens || 0);
      // a step in which the tier wrote nothing (a conductor's choice) says nothing of its speed
      if (step.usage.output_tokens) {
        sums.topWritten += 1;
        sums.topLatency += step.latency.total_s - (drafts?.total_s || 0) - (placed ? waited(placed.at.get(step.step)) : 0);
      }
    }
    if (before.has(scope) && before.get(scope) !== step.tier) sums.switches += 1;
    before.set(scope, step.tier);
    if (!scope) sums.mainSteps += 1;
    if (!scope && !step.usage.output_tokens) {
      sums.silent += 1;
      sums.silentLatency += step.latency.total_s - (placed ? waited(placed.at.get(step.step)) : 0);
    }
    sums.latest = Math.max(sums.latest, step.cumulative_s);
  }
  return derived(model, steps, sums, { instances: before.size, depth: placed ? placed.depth : steps.length });
}

/** What a step waited for other instances: their time, not its tier's. */
function waited({ waits, to, own }) {
  return waits ? to - own : 0;
}

/** True once more than one agent instance has begun. */
export function isParallel(model) {
  return [...model.running.keys()].some(Boolean) || model.steps.some((step) => step?.scope);
}

/** `instances`: each counts its switches from its own second step on (Eq. 5). */
function derived(model, steps, sums, { instances, depth }) {
  const latency = sums.latest + (model.terminal?.totals?.unfinished_s || 0);
  const topMean = sums.topWritten ? sums.topLatency / sums.topWritten : null;
  // steps of the run's own agent in which no model wrote take as long on any tier
  const estimate = topMean === null ? null : topMean * (depth - sums.silent) + sums.silentLatency;
  const moves = steps.length - instances;
  return {
    ...sums,
    steps: steps.length,
    latency,
    cost: sums.known ? sums.cost : null,
    topMean,
    estimate,
    speedup: estimate !== null && latency > 0 ? estimate / latency : null,
    instances,
    depth,
    switchingRatio: moves > 0 ? sums.switches / moves : null,
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
export function rows(model, filter = "all", scope = null) {
  const list = [];
  const wanted = (event) => scope === null || (event.scope || "") === scope;
  const open = [...model.running.values()].map(({ started }) => started).filter((started) => !model.steps[started.step - 1]);
  const all = [...finished(model).map((step) => [step, step]), ...open.map((started) => [started, null])];
  for (const [event, step] of all.sort((a, b) => a[0].step - b[0].step)) if (wanted(event)) pushRows(list, model, event.step, step, filter);
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
