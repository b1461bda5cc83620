// The agent instances of a run, and the place of every step on the path that leads to it. Pure.
import { capital } from "./format.js";

/** Steps that end within this of another's begin lie before it: sums of floats differ in the last digits. */
const NEAR_S = 1e-4;

/** The instance that a scope belongs to: without the "~" part of calls made aside. */
export function instanceOf(scope = "") {
  const at = scope.indexOf("~");
  return at < 0 ? scope : scope.slice(0, at);
}

/** "Seeker 3.2", "Planner"; what an agent that works alone is called is nobody's business. */
export function instanceName(scope, role) {
  if (!scope) return capital((role || "agent").replaceAll("_", " "));
  return capital(scope.replaceAll("/", ", ").replaceAll(/[-_]+/g, " "));
}

/**
 * Put every step on its path. A step stands one to the right of the latest step that it waited for:
 * the one before it in its own instance, the one that started its instance, those whose end it needed.
 * Where nothing runs in parallel that is its number.
 *
 * A mark: {number, scope, role, tier, step (null while it runs), started, x, from, to, own, waits, lane}.
 * `from` and `to` are heights in seconds, `own` is where the step's own work ends and its wait for
 * others begins; `waits` is true if it handed work to others.
 * @returns {{marks: any[], at: Map<number, any>, depth: number, instances: any[], parallel: boolean}}
 */
export function place(model) {
  const marks = begun(model);
  const scopes = new Map();
  for (const mark of marks) {
    if (!scopes.has(mark.scope)) scopes.set(mark.scope, []);
    scopes.get(mark.scope).push(mark);
  }
  const at = new Map(marks.map((mark) => [mark.number, mark]));
  findStarters(scopes);
  const newestFirst = scopes.size > 1 ? [...scopes.values()].reverse() : [];
  let depth = 0;
  for (const mark of marks) {
    stand(model, mark, newestFirst);
    depth = Math.max(depth, mark.x);
  }
  for (const mark of marks) if (mark.waits) mark.own = ownEnd(model, mark);
  return { marks, at, depth, instances: named(scopes), parallel: scopes.size > 1 };
}

/** Every step that was started, in the order they began. */
function begun(model) {
  const marks = model.steps.filter(Boolean).map((step) => mark(step, step));
  for (const { started } of model.running.values()) if (!model.steps[started.step - 1]) marks.push(mark(started, null));
  return marks.sort((a, b) => a.number - b.number);
}

function mark(event, step) {
  return { number: event.step, scope: event.scope || "", role: event.role || "agent", tier: event.tier, started: event, step, x: 0, from: 0, to: null, own: null, waits: false, before: null, starter: null, lane: "" };
}

/**
 * The first step of an instance was started by the step that was under way in the one above it; so was
 * one that goes on in a later step of it, such as the next round of a debate.
 */
function findStarters(scopes) {
  for (const [scope, marks] of scopes) {
    const above = scope ? scopes.get(scope.includes("/") ? scope.slice(0, scope.lastIndexOf("/")) : "") || [] : [];
    let next = 0;
    for (let i = 0; i < marks.length; i += 1) {
      const seen = next;
      while (next < above.length && above[next].number < marks[i].number) next += 1;
      const starter = next > seen ? above[next - 1] : null;
      const started = starter && !(starter.step && starter.step.cumulative_s <= beginOf(marks[i]) + NEAR_S);
      if (started) {
        marks[i].starter = starter;
        starter.waits = true;
      } else marks[i].before = marks[i - 1] || null;
    }
  }
}

function beginOf({ step }) {
  return step ? step.cumulative_s - step.latency.total_s : Infinity;
}

function stand(model, mark, newestFirst) {
  const { before, starter, step } = mark;
  if (before) mark.from = before.to;
  else if (step) mark.from = Math.max(0, beginOf(mark));
  else if (starter) mark.from = ownEnd(model, starter);
  else mark.from = latestEnd(newestFirst, mark);
  mark.to = step ? step.cumulative_s : mark.from;
  mark.own = mark.to;
  mark.x = 1 + Math.max(before?.x || 0, starter?.x || 0);
  for (const marks of begunBefore(newestFirst, mark)) if (waitedFor(mark, marks)) mark.x = Math.max(mark.x, 1 + lastBefore(marks, mark).x);
}

/** The instances that began between this instance's step before and this one (all, before its first). */
function* begunBefore(newestFirst, { number, scope, before }) {
  for (const marks of newestFirst) {
    if (before && marks[0].number < before.number) return;
    if (marks[0].number < number && marks[0].scope !== scope) yield marks;
  }
}

/** An instance begins after those whose work had ended by then; it goes on after those it had started. */
function waitedFor(mark, marks) {
  const last = lastBefore(marks, mark);
  if (!last?.step) return false;
  if (mark.before) return isBelow(last.scope, mark.scope);
  return last === marks.at(-1) && last.step.cumulative_s <= mark.from + NEAR_S;
}

export function isBelow(scope, above) {
  return scope !== above && (above === "" || scope.startsWith(`${above}/`));
}

function lastBefore(marks, { number }) {
  let low = 0;
  let high = marks.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (marks[middle].number < number) low = middle + 1; else high = middle;
  }
  return marks[low - 1];
}

/** Where a step's own work ended: what it waited for others is not its own. */
function ownEnd(model, { from, step, number }) {
  if (step) return Math.max(from, step.cumulative_s - step.latency.tool_s);
  const replies = model.bodies.get(number)?.replies || [];
  return from + replies.reduce((sum, reply) => sum + reply.timing.total_s, 0);
}

function latestEnd(instances, mark) {
  let latest = 0;
  for (const marks of instances) for (const one of marks) if (one.number < mark.number && one.step) latest = Math.max(latest, one.step.cumulative_s);
  return latest;
}

/** The instances in the order they began; those that a lane can share have the same lane. */
function named(scopes) {
  const siblings = new Map();
  for (const [scope, [{ role, starter }]] of scopes) {
    const key = `${starter?.number || 0} ${role}`;
    siblings.set(key, [...(siblings.get(key) || []), scope]);
  }
  return [...scopes].map(([scope, marks]) => {
    const [{ role, starter }] = marks;
    const alike = siblings.get(`${starter?.number || 0} ${role}`);
    const lane = laneName(scope, role, starter, alike);
    for (const one of marks) one.lane = lane;
    return { scope, role, lane, name: instanceName(scope, role), marks };
  });
}

function laneName(scope, role, starter, alike) {
  if (!starter || role === "agent") return instanceName(scope, role);
  const name = capital(role.replaceAll("_", " "));
  // a seeker that works alone shares the lane of the first of several
  return alike.length > 1 || role === "seeker" ? `${name} ${alike.indexOf(scope) + 1}` : name;
}
