import { chosenTasks, seedsIn, sumOf } from "/static/ui/js/experiment-count.js";
import { numberTable } from "/static/ui/js/experiment-card.js";
import { curveFigure, difficultyFigure, paretoFigure, splitFigure, spread, sweepFigure } from "/static/ui/js/experiment-figures.js";
import { bestOf, interval, measuredCells, measuredHead, methodWords, missing, notes, resultTable, show } from "/static/ui/js/experiment-table.js";
import { difference, effectOf, pWords, testMatrix, testNote } from "/static/ui/js/experiment-tests.js";
import { equal, ok, test } from "./harness.js";

const THEME = new Proxy({}, { get: (_, key) => `#${String(key).length.toString(16).padStart(6, "0")}` });
const frac = { name: "accuracy", title: "Accuracy", unit: "frac", better: "more", digits: 1, meaning: "" };
const times = { name: "speedup", title: "Speedup", unit: "times", better: "more", digits: 2, meaning: "" };
const usd = { name: "cost_usd", title: "Cost", unit: "usd", better: "less", digits: 4, meaning: "" };
const COLUMNS = { accuracy: frac, speedup: times, cost_usd: usd };
const measured = (value, low = null, high = null, n = 10) => ({ value, low, high, n, tasks: n, method: low === null ? "" : "bootstrap" });
const row = (arm, accuracy, speedup, more = {}) => ({ arm, figures: { accuracy, speedup }, trials: 10, finished: 10, failed: 0, cancelled: 0, open: 0, unscored: 0, missing_tasks: 0, ...more });
const ORIGIN = { simulated: true, stand_in: false };

test("tasks are counted by what is ticked, drawn and named", () => {
  const groups = [["easy", "a", 10], ["hard", "a", 5], ["hard", "b", 7]];
  const base = { groups, ids: "", difficulties: [], categories: [], count: "" };
  equal(chosenTasks(base), 22);
  equal(chosenTasks({ ...base, difficulties: ["hard"] }), 12);
  equal(chosenTasks({ ...base, difficulties: ["hard"], categories: ["b"] }), 7);
  equal(chosenTasks({ ...base, count: "4" }), 4);
  equal(chosenTasks({ ...base, count: "400" }), 22);
  equal(chosenTasks({ ...base, count: "x" }), null);
  equal(chosenTasks({ ...base, ids: " t1 \n\nt2\n", count: "1" }), 2);
});

test("seeds are counted by the server's rule", () => {
  equal(["0", "0-4, 7", "0 - 2", "3;3 3", "0-99"].map(seedsIn), [1, 6, 3, 1, 100]);
  equal(["", "a", "4-2", "0-100", "-1", "1.5"].map(seedsIn), [null, null, null, null, null, null]);
});

test("the sum is in words", () => {
  equal(sumOf({ tasks: 60, arms: 6, seeds: 2 }), "60 tasks × 6 arms × 2 seeds = 720 runs");
  equal(sumOf({ tasks: 1, arms: 1, seeds: 1 }), "1 task × 1 arm × 1 seed = 1 run");
  equal(sumOf({ tasks: null, arms: 2, seeds: 1 }), "? tasks × 2 arms × 1 seed = ? runs");
});

test("figures have their unit, intervals have none", () => {
  equal(show(frac, 0.339), "33.9%");
  equal(show(times, 1.357), "1.36×");
  equal(show(usd, null), "–");
  equal(interval(frac, measured(0.339, 0.287, 0.3956)), "28.7–39.6");
  equal(interval(times, measured(1.3, 1.2, 1.4)), "1.20–1.40");
  equal(interval(frac, measured(0.3)), "");
});

test("the best is marked among measured arms, and only where one is better", () => {
  const rows = [row("a", measured(0.3), measured(1)), row("b", measured(0.4), measured(2))];
  equal([bestOf(frac, rows), bestOf({ ...frac, better: "" }, rows)], [0.4, undefined]);
  equal(bestOf(frac, [...rows, row("paper", measured(0.9), measured(null), { published: true })]), 0.4);
  equal(bestOf(frac, rows.slice(0, 1)), undefined);
  equal(bestOf(frac, [rows[0], rows[0]]), undefined);
  equal(bestOf(usd, [{ ...rows[0], figures: { cost_usd: measured(2) } }, { ...rows[1], figures: { cost_usd: measured(1) } }]), 1);
});

test("what is missing is said", () => {
  equal(missing(row("a", null, null, { open: 3, failed: 2, unscored: 1, missing_tasks: 4 })), "3 to come, 2 failed, 1 not scored");
  equal(missing(row("a", null, null, { missing_tasks: 1 })), "1 task missing");
  equal(missing(row("a", null, null)), "");
});

test("the table has a row an arm, published ones apart and marked", () => {
  const table = { rows: [row("a", measured(0.3, 0.2, 0.4), measured(1)), row("b", measured(0.5, 0.4, 0.6), measured(2))], level: 0.95, samples: 2000 };
  const published = [{ ...row("Paper", measured(0.9), measured(1.5)), published: true, source: "Somebody", second_hand: ["speedup"] }];
  const made = resultTable(table, Object.values(COLUMNS), { published, titles: new Map() });
  equal([...made.querySelectorAll("tbody:not(.published) tr")].length, 2);
  equal([...made.querySelectorAll(".published th")].map((one) => one.textContent), ["Published: Somebody", "Paperpublished"]);
  equal([...made.querySelectorAll(".best")].map((one) => one.textContent), ["50.0%", "2.00×"]);
  ok(made.querySelector(".published").textContent.includes("1.50×†"));
  equal([...made.querySelectorAll("thead th")].map((one) => one.textContent), ["Arm", "Runs", "Accuracy", "Speedup"]);
});

test("names of arms are text, whatever they hold", () => {
  const made = resultTable({ rows: [row("<img src=x>", measured(1), measured(1))], level: 0.95 }, [frac], { titles: new Map() });
  equal([made.querySelector("img"), made.querySelector(".arm-name").textContent], [null, "<img src=x>"]);
});

test("methods stand in the notes", () => {
  const words = notes({ rows: [row("a", measured(0.3, 0.2, 0.4), measured(1))], notes: ["A note."], level: 0.9, samples: 500 });
  equal(words, ["Intervals: 90 % bootstrap, whole tasks drawn, 500 samples. Hover a figure for its own.", "A note."]);
  equal(methodWords("definition"), "1 by definition");
});

const EFFECT = { arm: "a", other: "b", difference: 0.1, low: 0.02, high: 0.18, p: 0.01, p_holm: 0.03, test: "mcnemar_exact", interval: "newcombe_paired", pairs: 50, tasks: 50, only_arm: 8, only_other: 3 };

test("an effect turns round with its interval", () => {
  const turned = effectOf([EFFECT], "b", "a");
  equal([turned.difference, turned.low, turned.high, turned.only_arm], [-0.1, -0.18, -0.02, 3]);
  equal(effectOf([EFFECT], "a", "c"), null);
});

test("differences and p in words", () => {
  equal([difference(frac, 0.054), difference(frac, -0.054), difference(frac, 0), difference(times, null)], ["+5.4 pt", "−5.4 pt", "±0.0 pt", "–"]);
  equal([pWords(null), pWords(0.0004), pWords(0.0312)], ["not tested", "p < 0.001", "p 0.031"]);
});

test("the matrix of tests stars what is sure after correction", () => {
  const made = testMatrix({ effects: [EFFECT] }, frac, ["a", "b"]);
  equal(made.querySelectorAll("tbody tr").length, 1);
  ok(made.querySelector(".sure"));
  ok(!testMatrix({ effects: [{ ...EFFECT, p_holm: 0.06 }] }, frac, ["a", "b"]).querySelector(".sure"));
  ok(testNote({ effects: [EFFECT], tests: 1 }).includes("McNemar"));
  ok(testNote({ effects: [{ ...EFFECT, test: "", interval: "" }], tests: 0 }).includes("nothing was tested"));
});

const point = (arm, x, y, on) => ({ arm, x: measured(x, x - 0.1, x + 0.1), y: measured(y, y - 0.05, y + 0.05), on_frontier: on, dominated_by: on ? [] : ["b"] });
const FRONTIER = { x: "speedup", y: "accuracy", points: [point("a", 1, 0.4, true), point("b", 1.5, 0.35, true), point("c", 1.2, 0.3, false)], line: [[1, 0.4], [1.5, 0.35]], left_out: [] };

test("the frontier falls with speedup, only its points are named", () => {
  const { data, layout } = paretoFigure(FRONTIER, COLUMNS, THEME, ORIGIN);
  equal(data[0].line.shape, "vh");
  equal(data[0].y, [40, 40, 35]);
  equal([data[1].x, data[2].x], [[1.2], [1, 1.5]]);
  ok(Math.abs(data[2].error_y.array[0] - 5) < 1e-9);
  const texts = layout.annotations.map((one) => one.text);
  ok(texts.includes("a") && texts.includes("b") && !texts.includes("c") && texts.includes("Simulated"));
});

test("the frontier rises with cost", () => {
  const cost = { ...FRONTIER, x: "cost_usd", line: [[0.1, 0.3], [0.2, 0.4]] };
  const [stair] = paretoFigure(cost, COLUMNS, THEME, ORIGIN).data;
  equal([stair.line.shape, stair.y], ["hv", [30, 40, 40]]);
});

test("names that would cover each other are pushed apart", () => {
  const near = { ...FRONTIER, points: [point("a", 1, 0.4, true), point("b", 1.01, 0.4, true)], line: [[1, 0.4]] };
  const shifts = paretoFigure(near, COLUMNS, THEME, ORIGIN).layout.annotations.slice(0, 2).map((one) => one.yshift);
  ok(Math.abs(shifts[1] - shifts[0]) >= 17);
});

test("a sweep shows two figures over one parameter", () => {
  const series = { title: "Growth", parameter: "growth", strategy: "agentcollab", values: [0, 1], arms: ["a", "b"], figures: { accuracy: [measured(0.3), measured(0.4)], speedup: [measured(1), measured(1.2)] } };
  const { data, layout } = sweepFigure(series, ["accuracy", "speedup"], COLUMNS, THEME, ORIGIN);
  equal(data.map((one) => [one.yaxis, one.y]), [["y", [30, 40]], ["y2", [1, 1.2]]]);
  equal(layout.xaxis.tickvals, [0, 1]);
});

test("solved and unsolved runs lie under each other, unsolved ones hatched", () => {
  const splits = [{ arm: "a", solved: row("a", null, measured(1.2)), unsolved: row("a", null, measured(0.8)) }];
  const { data } = splitFigure(splits, "speedup", COLUMNS, THEME, ORIGIN);
  equal(data.map((one) => [one.name, one.x, Boolean(one.marker.pattern)]), [["unsolved", [0.8], true], ["solved", [1.2], false]]);
});

test("difficulty and curves have a line an arm", () => {
  const level = (name) => ({ name, tasks: 3, low: null, high: null, table: { rows: [row("a", measured(0.3), measured(1)), row("b", measured(0.4), measured(1.1))] } });
  const lines = [{ arm: "a", place: 0 }, { arm: "b", place: 1 }];
  const made = difficultyFigure({ by: "label", levels: [level("easy"), level("hard")] }, "accuracy", lines, COLUMNS, THEME, ORIGIN);
  equal(made.data.map((one) => one.y), [[30, 30], [40, 40]]);
  ok(made.data[0].marker.symbol !== made.data[1].marker.symbol);
  const at = [measured(1), measured(3)];
  const curve = { arm: "b", positions: [1, 2], latency_s: at, tokens_per_s: at, large_share: at, stall_share: at };
  equal(curveFigure([curve], lines, THEME, ORIGIN).data.map((one) => [one.name, one.yaxis, one.y]), [["b", "y", [1, 3]], ["b", "y2", [1, 3]]]);
});

test("a range leaves room, also around nothing", () => {
  equal(spread([10, 20], 0.1), [9, 21]);
  equal(spread([null], 0.1), [0, 1]);
});

test("numbers of a figure become a table", () => {
  const made = numberTable({ head: ["arm", "value"], rows: [["a", 1.23456789], ["b", null]] }, "x");
  equal([...made.querySelectorAll("tbody td")].map((one) => one.textContent), ["1.2346", "–"]);
});

test("a figure in a chart's table reads as in the table of results", () => {
  equal(measuredHead(frac, "solved"), ["Accuracy, solved", "Interval", "Runs"]);
  equal(measuredCells(frac, measured(0.60549, 0.5, 0.7)), ["60.5%", "50.0–70.0", 10]);
  equal(measuredCells(times, undefined), ["–", "–", 0]);
  const made = numberTable({ text: 1, head: ["Arm", ...measuredHead(frac)], rows: [["a", ...measuredCells(frac, measured(0.6))]] }, "x");
  equal([...made.querySelectorAll("tbody td")].map((one) => [one.textContent, one.className]), [["60.0%", "num"], ["–", "num"], ["10", "num"]]);
});
