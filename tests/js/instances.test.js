// Agents side by side: a planner, two seekers at the same time, then a writer.
import { byPlace, firstDifference } from "/static/ui/js/aligned.js";
import { overlayFigure } from "/static/ui/js/figures-compare.js";
import { runFigure, stairLine, waitLine } from "/static/ui/js/figures.js";
import { instanceName, instanceOf, place } from "/static/ui/js/instances.js";
import { allSpans, laneNames } from "/static/ui/js/lanes.js";
import { apply, applyDelta, body, createModel, isParallel, liveText, rows, runningSteps, totals } from "/static/ui/js/model.js";
import { equal, ok, test } from "./harness.js";
import { snapshotAt } from "./model.test.js";

const THEME = new Proxy({}, { get: () => "#123456" });

const team = (data) => ({ ...data, log: data.team });
const whole = (data) => createModel(snapshotAt(team(data), data.team.length - 1));
const round = (value) => Math.round(value * 100) / 100;

/** The model at the first moment at which `test` holds. */
function when(data, holds) {
  const model = createModel(snapshotAt(team(data), 0));
  for (const event of data.team.slice(1)) {
    apply(model, event);
    if (holds(model)) return model;
  }
  throw new Error("that moment never comes");
}

test("a step stands one to the right of the latest one that it waited for", (data) => {
  const { marks, depth, instances, parallel } = place(whole(data));
  const places = {};
  for (const { scope, x } of marks) (places[scope] ??= []).push(x);
  equal(places, { "": [1, 5, 7], "seeker-1.1": [2, 3, 4], "seeker-1.2": [2, 3], "writer-7": [6] });
  equal([depth, parallel, instances.map((one) => one.name)], [7, true, ["Planner", "Seeker 1.1", "Seeker 1.2", "Writer 7"]]);
});

test("an instance's line begins where it was started, and the planner's goes on where the last one ended", (data) => {
  const { marks } = place(whole(data));
  const first = (scope) => marks.find((one) => one.scope === scope);
  const planner = marks.filter((one) => one.scope === "");
  // by hand: the planner thinks 0.5 s; its seekers need 1 + 2 + 0.25 s and 1 + 0.25 s
  equal([first("seeker-1.1"), first("seeker-1.2")].map((one) => round(one.from)), [0.5, 0.5]);
  ok(planner[0].waits && Math.abs(planner[0].own - 0.5) < 0.1, `its own work ends at ${planner[0].own}`);
  ok(planner[0].to >= 3.75 && planner[0].to < 4.5, `it ends at ${planner[0].to}`);
  equal(planner[1].from, planner[0].to);
  equal(planner.map((one) => one.waits), [true, true, false]);
});

test("the wait is drawn, and no tier's line runs through it", (data) => {
  const { marks } = place(whole(data));
  const line = waitLine(marks);
  equal(line.x, [1.5, 4.5, 4.5, null, 5.5, 6.5, 6.5, null]);
  for (const tier of [0, 1]) {
    const { x } = stairLine(marks, tier);
    ok(x.every((one, i) => one === null || i === 0 || x[i - 1] === null || one - x[i - 1] <= 1), `tier ${tier}: ${x}`);
  }
});

test("figures have a point for each step, lanes for the agents, and no band across all of them", (data) => {
  const model = whole(data);
  const figure = runFigure(model, THEME);
  const points = figure.data.filter((trace) => trace.yaxis === "y" && trace.customdata).flatMap((trace) => trace.customdata.map((one) => one[5]));
  equal(points.sort((a, b) => a - b), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
  equal(laneNames(model), ["Writer", "Seeker 2", "Seeker 1", "Planner"]);
  equal(figure.layout.shapes, []);
  equal(allSpans(model).reduce((sum, span) => sum + span.to - span.from + 1, 0), 9);
  equal(figure.layout.xaxis.title.text, "Step along the path");
});

test("figures count switches within each instance and time along the longest path", (data) => {
  const model = whole(data);
  const sums = totals(model);
  const byScope = Map.groupBy(model.steps, (step) => step.scope);
  const switches = [...byScope.values()].reduce((sum, steps) => sum + steps.slice(1).filter((step, i) => step.tier !== steps[i].tier).length, 0);
  equal([sums.instances, sums.steps, sums.mainSteps], [4, 9, 3]);
  equal([sums.switches, sums.switchingRatio], [switches, switches / (9 - 4)]);
  equal(sums.switches, model.terminal.totals.switches);
  ok(Math.abs(sums.latency - model.terminal.totals.latency_s - model.terminal.totals.unfinished_s) < 1e-9);
  ok(sums.topMean < 2.1, `waiting is nobody's speed: ${sums.topMean}`);
});

test("a snapshot at any place plus the events after it gives the same agents", (data) => {
  const picture = (model) => [rows(model).map((row) => row.key), place(model).marks.map((one) => [one.number, one.x]), [...model.running.keys()]];
  const end = picture(whole(data));
  for (let head = 0; head < data.team.length; head += 1) {
    const model = createModel(snapshotAt(team(data), head));
    for (const event of data.team.slice(head + 1)) equal(apply(model, event), event.type);
    equal(picture(model), end, `from ${head}`);
  }
});

test("several steps run at once, and who waits for them comes last", (data) => {
  const model = when(data, (now) => now.running.size === 3);
  equal(runningSteps(model).map((one) => [one.started.scope, Boolean(one.waits)]), [["seeker-1.1", false], ["seeker-1.2", false], ["", true]]);
  equal(rows(model).filter((row) => row.kind === "running").length, 3);
  equal(rows(model, "all", "seeker-1.2").map((row) => row.step), [model.running.get("seeker-1.2").started.step]);
  const { marks } = place(model);
  equal(marks.filter((one) => !one.step && !one.waits).map((one) => [one.x, round(one.from)]), [[2, 0.5], [2, 0.5]]);
});

test("streams of several agents do not mix; calls made aside stay out of the step's own text", (data) => {
  const model = when(data, (now) => now.running.size === 3);
  const delta = (scope, text, purpose = "think") => ({ type: "model.delta", scope, step: model.running.get(instanceOf(scope)).started.step, purpose, attempt: 0, offset: 0, text, kind: "text" });
  for (const scope of ["seeker-1.1", "seeker-1.2"]) ok(applyDelta(model, delta(scope, `I am ${scope}`)));
  ok(applyDelta(model, delta("seeker-1.2~sample-1", "aside", "sample")));
  equal(["seeker-1.1", "seeker-1.2", ""].map((scope) => liveText(model.running.get(scope))), ["I am seeker-1.1", "I am seeker-1.2", ""]);
});

test("replies made aside, scores and discarded drafts are kept apart", (data) => {
  const model = when(data, (now) => now.running.size === 1);
  const [{ started }] = model.running.values();
  const event = (type, more) => apply(model, { type, seq: model.head + 1, step: started.step, scope: "", ...more });
  event("model.replied", { purpose: "warm_prefill", scope: "~warm-1" });
  event("scorer.returned", { values: [0.2] });
  event("draft.discarded", { tier: 0 });
  const kept = body(model, started.step);
  equal([kept.asides.length, kept.scores.length, kept.drafts.length, kept.replies.length], [1, 1, 1, 0]);
});

test("runs with and without helpers stand side by side by their place", (data) => {
  const alone = createModel(snapshotAt(data, data.log.length - 1));
  equal(byPlace(whole(data)).map((steps) => steps.length), [1, 2, 2, 1, 1, 1, 1]);
  equal(byPlace(alone).map((steps) => steps.map((step) => step.step)), Array.from({ length: 12 }, (_, i) => [i + 1]));
  equal(firstDifference([byPlace(whole(data)), byPlace(whole(data))], 1, 0), null);
  const { layout } = overlayFigure([whole(data), alone], THEME, { colour: "run" });
  ok(layout.xaxis.range[1] > 12);
});

test("an agent alone is as it was", (data) => {
  const model = createModel(snapshotAt(data, data.log.length - 1));
  const { marks, depth, parallel } = place(model);
  equal([marks.map((one) => one.x), depth, parallel, isParallel(model)], [Array.from({ length: 12 }, (_, i) => i + 1), 12, false, false]);
  equal(marks.some((one) => one.waits), false);
});

test("names of instances", () => {
  equal([instanceName("seeker-3.2", "seeker"), instanceName("", "planner"), instanceName("", ""), instanceName("a/b_c-1", "x")], ["Seeker 3.2", "Planner", "Agent", "A, b c 1"]);
});

test("an instance that goes on in a later round waits for the round", () => {
  const step = (number, scope, from, to, tool_s = 0) => ({ step: number, scope, role: scope ? "debater" : "debate", tier: 0, cumulative_s: to, latency: { total_s: to - from, tool_s }, tool: "" });
  const steps = [step(1, "", 0, 5, 5), step(2, "d-1", 0, 1), step(3, "d-2", 0, 3), step(4, "d-2", 3, 5), step(5, "", 5, 6, 1), step(6, "d-1", 5, 6)];
  const placed = place({ steps, running: new Map(), bodies: new Map() });
  equal(placed.marks.map((one) => [one.scope, one.x, one.from]), [["", 1, 0], ["d-1", 2, 0], ["d-2", 2, 0], ["d-2", 3, 3], ["", 4, 5], ["d-1", 5, 5]]);
  equal(placed.instances.map((one) => one.lane), ["Debate", "Debater 1", "Debater 2"]);
  ok(!stairLine(placed.marks, 0).x.some((x, i, all) => i && x !== null && all[i - 1] !== null && x - all[i - 1] > 1));
});

test("instances that need another's end stand behind it", () => {
  const step = (number, scope, from, to) => ({ step: number, scope, role: "agent", tier: 0, cumulative_s: to, latency: { total_s: to - from, tool_s: 0 }, tool: "" });
  const steps = [step(1, "a", 0, 1), step(2, "b", 0, 2), step(3, "a", 1, 3), step(4, "c", 3, 5)];
  const { marks } = place({ steps, running: new Map(), bodies: new Map() });
  equal(marks.map((one) => [one.scope, one.x]), [["a", 1], ["b", 1], ["a", 2], ["c", 3]]);
});
