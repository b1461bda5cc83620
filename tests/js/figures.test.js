import { budgetSchedule, mostOnTop } from "/static/ui/js/budgets.js";
import { CONFIG, plain, runFigure, stairLine } from "/static/ui/js/figures.js";
import { stairPath } from "/static/ui/js/figures-dense.js";
import { doubtful, metrics, overlayFigure } from "/static/ui/js/figures-compare.js";
import { firstDifference, folded, timeRows } from "/static/ui/js/aligned.js";
import { csvCell, moment, seconds, usd, verdict } from "/static/ui/js/format.js";
import { backoff } from "/static/ui/js/live.js";
import { createModel } from "/static/ui/js/model.js";
import { place } from "/static/ui/js/instances.js";
import { indexAt } from "/static/ui/js/trajectory.js";
import { equal, ok, test } from "./harness.js";
import { snapshotAt } from "./model.test.js";

const THEME = new Proxy({}, { get: () => "#123456" });

const step = (number, tier, total, extra = {}) => ({ step: number, tier, tier_name: `t${tier}`, cumulative_s: total, action: `a${number}`, check: "parsed", indicator: 1, error: false, level: 0, budget: null, budget_left: null, latency: { total_s: 1 }, usage: { output_tokens: 1, input_tokens: 1 }, tokens_per_s: 10, tool: "", ...extra });

/** The steps' marks, as the figures get them. */
const marks = (steps) => place({ steps, running: new Map(), bodies: new Map() }).marks;

test("nothing can be sent to a plot service and nothing needs a tool bar", () => {
  equal([CONFIG.showSendToCloud, CONFIG.plotlyServerURL, CONFIG.displayModeBar], [false, "", false]);
  ok(Object.isFrozen(CONFIG));
});

test("stairs are one line a tier with gaps; the riser belongs to the step that caused it", () => {
  const steps = [step(1, 0, 1), step(2, 1, 4), step(3, 1, 7), step(4, 0, 8)];
  equal(stairLine(marks(steps), 0), { x: [0.5, 0.5, 1.5, null, 3.5, 3.5, 4.5], y: [0, 1, 1, null, 7, 8, 8] });
  equal(stairLine(marks(steps), 1), { x: [null, 1.5, 1.5, 2.5, 2.5, 3.5], y: [null, 1, 4, 4, 7, 7] });
  equal(stairPath(marks(steps), 1), "M1.5,1V4H2.5V7H3.5");
});

test("the figure has a point for each step and no markup from the run", (data) => {
  const { data: traces } = runFigure(createModel(snapshotAt(data, data.log.length - 1)), THEME);
  const points = traces.filter((trace) => trace.yaxis === "y" && trace.customdata).flatMap((trace) => trace.x);
  equal(points.sort((a, b) => a - b), Array.from({ length: 12 }, (_, i) => i + 1));
  ok(!JSON.stringify(traces.map((trace) => trace.customdata)).includes("<"), "customdata holds markup");
  ok(traces.every((trace) => trace.type !== "scattergl"));
  equal(plain("<b>&"), "&lt;b&gt;&amp;");
});

test("a long run is a handful of traces and shapes", (data) => {
  const run = { ...data.run, simulated: true };
  const steps = Array.from({ length: 5000 }, (_, i) => step(i + 1, Math.floor(i / 4) % 2, i + 1, { indicator: i % 2 }));
  const figure = runFigure(createModel({ run, steps, switches: [], tail: [], head: 1 }), THEME);
  ok(figure.data.length + figure.layout.shapes.length < 20, `${figure.data.length} traces, ${figure.layout.shapes.length} shapes`);
  ok(figure.layout.annotations.some((note) => note.text === "Simulated"));
  const both = runFigure(createModel({ run: { ...run, stand_in: true }, steps, switches: [], tail: [], head: 1 }), THEME);
  ok(both.layout.annotations.some((note) => note.text === "Simulated, stand-in encoder"));
});

test("the budget schedule is that of collab_core", (data) => {
  ok(data.budgets.length > 200);
  for (const { parameters, level, budget } of data.budgets) equal(budgetSchedule(parameters)(level), budget, JSON.stringify([parameters, level]));
});

test("the summary's most steps above the lowest tier", () => {
  equal(mostOnTop({ steps: 10, warmUp: 2, budget: () => 2 }), 2 + 2 + 2 + 1);
  equal(mostOnTop({ steps: 1, warmUp: 2, budget: () => 2 }), 1);
  equal(mostOnTop({ steps: 40, warmUp: 0, budget: () => 100 }), 39);
});

test("speed-up needs a solved run and a baseline", (data) => {
  const model = createModel(snapshotAt(data, data.log.length - 1));
  equal(metrics(model, 36).speedupOver, 2);
  equal(metrics(model, null).speedupOver, null);
  model.run.outcome = "incorrect";
  equal(metrics(model, 36).speedupOver, null);
});

test("progress claimed on a failed or repeated call is doubtful", () => {
  equal(doubtful([step(1, 0, 1, { action: "x" }), step(2, 0, 2, { action: "x" }), step(3, 0, 3, { action: "y", error: true }), step(4, 0, 4, { action: "x", indicator: 0 })]), 2);
});

test("the overlay copes with runs that are not loaded yet", () => {
  equal(overlayFigure([null, null], THEME, { colour: "run" }).data, []);
});

test("alignment: folds, differences and rows of time", () => {
  const stalls = Array.from({ length: 8 }, (_, i) => step(i + 1, 0, i + 1, { indicator: 0 }));
  equal(folded(stalls).map((part) => part.folded || part.step), [1, 2, 5, 8]);
  equal(folded(stalls.slice(0, 4)).length, 4);
  const base = [[step(1, 0, 1)], [step(2, 0, 2)]];
  equal(firstDifference([base, [[step(1, 0, 1)], [step(2, 0, 2, { action: "other" })]]], 1, 0), 2);
  equal(firstDifference([base, base], 1, 0), null);
  equal(timeRows([stalls]).flatMap((row) => row.cells[0]).length, 8);
});

test("words for numbers", () => {
  equal([7.2, 93.14, 120, 724, 8000].map(seconds), ["7.20 s", "93.1 s", "120 s", "12 min 4 s", "2 h 13 min"]);
  equal([null, 0, 0.0041, 12.5].map(usd), ["unknown", "$0", "$0.00410", "$12.50"]);
  equal([verdict("parsed", 0), verdict("missing", null), verdict("malformed", null)], ["No progress", "No verdict", "Unreadable verdict"]);
});

test("no cell of a CSV is a formula", () => {
  equal([csvCell("=1+1"), csvCell(" @x"), csvCell("a\"b"), csvCell(-3), csvCell(null)], ["\"'=1+1\"", "\"' @x\"", "\"a\"\"b\"", "\"-3\"", "\"\""]);
});

test("reconnecting backs off to 15 s at most and never at once", () => {
  equal([0, 1, 10].map((n) => backoff(n, () => 1)), [500, 1000, 15000]);
  ok(backoff(0, () => 0) >= 150);
});

test("the row at a height is found in any list", () => {
  const tops = Float64Array.of(0, 10, 30, 60);
  equal([-5, 0, 9, 10, 59, 60, 999].map((y) => indexAt(tops, y)), [0, 0, 0, 1, 2, 2, 2]);
});

test("a moment is told in UTC and in 24 hours, wherever it was noted", () => {
  equal(moment("2026-11-29T00:42:59Z"), "2026-11-29 00:42 UTC");
  equal(moment("2026-11-29T00:42:59+02:00"), "2026-11-28 22:42 UTC");
});
