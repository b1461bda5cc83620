// The cards of the result page: which figures there are, what can be chosen in each, what each says.
import { fill, h, setText, svg } from "./dom.js";
import { figureCard } from "./experiment-card.js";
import { armLook, curveFigure, difficultyFigure, levelName, paretoFigure, splitFigure, sweepFigure } from "./experiment-figures.js";
import { interval, measuredCells, measuredHead, show } from "./experiment-table.js";
import { plural } from "./format.js";

const $ = (id) => /** @type {any} */ (document.getElementById(id));
const MOST_LINES = 6;
const SPLIT_BY = ["steps", "latency_s", "large_step_share", "large_token_ratio", "switching_ratio", "stall_share", "escalations", "output_tokens", "cost_usd"];
const DIFFICULTY_OF = ["speedup", "accuracy", "score", "latency_s", "steps", "large_step_share", "switching_ratio"];
const BY = { label: "By label", latency_s: "By the baseline's latency", steps: "By the baseline's steps" };
const SWEPT = ["accuracy", "score", "speedup", "steps", "large_step_share", "large_token_ratio", "switching_ratio", "cost_usd", "latency_s"];

let results = null;
let arms = [];
const cards = {};
const chosen = { pareto: "", sweep: "0", sweepOf: "", split: "", difficulty: "", difficultyBy: "", along: "step", hidden: new Set() };

/** @param {any} found what `results.json` said @param {any} payload the page's own data */
export function drawFigures(found, payload) {
  results = found;
  if (!arms.length) {
    arms = payload.arms.map((arm) => arm.label);
    for (const arm of arms.slice(MOST_LINES)) chosen.hidden.add(arm);
    for (const [id, make] of Object.entries(MAKERS)) cards[id] = figureCard($(id), { file: `${payload.ref}-${id}`, ...make });
  }
  for (const [id, { there, settle }] of Object.entries(CARDS)) {
    const any = there();
    $(id).hidden = !any;
    if (!any) continue;
    settle();
    cards[id].update();
  }
}

const columns = () => Object.fromEntries(results.columns.map((column) => [column.name, column]));
const origin = () => ({ simulated: results.table.simulated, stand_in: results.table.stand_in });
const lines = () => arms.map((arm, place) => ({ arm, place })).filter(({ arm }) => !chosen.hidden.has(arm));
const values = (column, measured) => (measured && measured.value !== null ? [measured.value, measured.low ?? null, measured.high ?? null, measured.n] : [null, null, null, 0]);
const HEAD = ["value", "low", "high", "n"];

// ---- what is chosen now --------------------------------------------------------------------------

const frontiers = () => Object.values(results.frontiers || {}).filter((one) => one.points.length > 1);
const frontier = () => frontiers().find((one) => one.x === chosen.pareto) || frontiers()[0];
const series = () => results.sweeps[Number(chosen.sweep)] || results.sweeps[0];
const sweptNames = () => SWEPT.filter((name) => series().figures[name]);
function sweptPair() {
  const names = sweptNames();
  const first = names.includes(chosen.sweepOf) ? chosen.sweepOf : names[0];
  const second = names.find((name) => name === "speedup" && name !== first) || names.find((name) => name !== first);
  return second ? [first, second] : [first];
}
const splitNames = () => SPLIT_BY.filter((name) => results.splits.some((split) => known(split.solved.figures[name]) || known(split.unsolved.figures[name])));
const splitBy = () => (splitNames().includes(chosen.split) ? chosen.split : splitNames()[0]);
const difficulties = () => Object.values(results.difficulty || {}).filter((one) => one.levels.length > 1);
const difficulty = () => difficulties().find((one) => one.by === chosen.difficultyBy) || difficulties()[0];
const curves = () => results.curves?.[chosen.along] || [];
const difficultyNames = () => DIFFICULTY_OF.filter((name) => difficulty().levels.some((level) => level.table.rows.some((row) => known(row.figures[name]))));
const difficultyOf = () => (difficultyNames().includes(chosen.difficulty) ? chosen.difficulty : difficultyNames()[0]);

function known(measured) {
  return measured && measured.value !== null && measured.value !== undefined;
}

// ---- controls ------------------------------------------------------------------------------------

/** A select in the head of a card; it is made once, its options follow what there is. */
function pick(id, key, label, options, value, redraw) {
  const host = $(id).querySelector("[data-controls]");
  let select = host.querySelector(`[data-key="${key}"]`);
  if (!select) {
    select = h("select", { class: "input-inline", "data-key": key, "aria-label": label, onchange: (event) => { chosen[key] = event.target.value; redraw(); } });
    host.append(select, " ");
  }
  const now = [...select.options].map((option) => `${option.value}\n${option.text}`).join("\r");
  if (now !== options.map(([name, words]) => `${name}\n${words}`).join("\r")) fill(select, options.map(([name, words]) => h("option", { value: name }, words)));
  select.value = value;
  select.hidden = options.length < 2;
}

const THEME = { runA: "var(--run-a)", runB: "var(--run-b)", runC: "var(--run-c)", runD: "var(--run-d)", runE: "var(--run-e)", runF: "var(--run-f)" };

/** The legend of lines: each arm is a button that shows or hides it in every figure. */
function armLegend(id, redraw) {
  const host = $(id).querySelector("[data-legend]");
  if (host.childElementCount === arms.length) {
    for (const button of host.querySelectorAll("button")) button.setAttribute("aria-pressed", String(!chosen.hidden.has(button.dataset.arm)));
    return;
  }
  fill(host, arms.map((arm, place) => {
    const key = Object.keys(THEME)[place % MOST_LINES].slice(3).toLowerCase();
    const look = armLook(place, THEME);
    const toggle = () => { if (chosen.hidden.has(arm)) chosen.hidden.delete(arm); else chosen.hidden.add(arm); redraw(); };
    return h("li", {}, h("button", { type: "button", class: "legend-arm", "data-arm": arm, "aria-pressed": String(!chosen.hidden.has(arm)), onclick: toggle },
      svg("svg", { viewBox: "0 0 22 12", class: `line-${key}`, "aria-hidden": "true" }, svg("path", { d: "M1 6h20", "stroke-width": 2.4, "stroke-dasharray": { solid: null, dash: "5 3", dot: "2 2", dashdot: "5 2 1 2" }[look.dash] })), arm));
  }));
  host.hidden = false;
}

/** The legend of the two kinds of runs; it never changes. */
function splitLegend(id) {
  const host = $(id).querySelector("[data-legend]");
  if (host.childElementCount) return;
  const bar = (key, hatched) => svg("svg", { viewBox: "0 0 22 12", class: `key-${key}`, "aria-hidden": "true" }, svg("rect", { x: 1, y: 1, width: 20, height: 10, rx: 2 }), hatched ? svg("path", { d: "M2 11l6-10M8 11l6-10M14 11l6-10" }) : null);
  fill(host, h("li", {}, bar("unsolved", true), "Unsolved: finished, answered wrongly"), h("li", {}, bar("solved", false), "Solved"));
  host.hidden = false;
}

const again = (id) => () => { CARDS[id].settle(); cards[id].update(); };
function redrawLines() {
  for (const id of ["by-difficulty", "trajectory"]) if (CARDS[id].there()) again(id)();
}

function note(id, words) {
  const node = $(id).querySelector("[data-note]");
  node.hidden = !words;
  setText(node, words);
}

function subtitle(id, words) {
  setText($(id).querySelector("[data-subtitle]"), words);
}

// ---- the cards -----------------------------------------------------------------------------------

const CARDS = {
  pareto: {
    there: () => frontiers().length > 0,
    settle() {
      const all = columns();
      pick("pareto", "pareto", "Against", frontiers().map((one) => [one.x, `${all[one.y].title} against ${all[one.x].title.toLowerCase()}`]), frontier().x, again("pareto"));
      subtitle("pareto", `${Math.round(100 * results.table.level)} % intervals`);
      note("pareto", frontier().left_out.length ? `Without both figures: ${frontier().left_out.join(", ")}.` : "");
    },
  },
  sweep: {
    there: () => (results.sweeps || []).some((one) => Object.keys(one.figures).length),
    settle() {
      const all = columns();
      pick("sweep", "sweep", "Sweep", results.sweeps.map((one, i) => [String(i), `${one.title}, ${one.strategy}`]), String(Math.max(0, results.sweeps.indexOf(series()))), again("sweep"));
      pick("sweep", "sweepOf", "Figure", sweptNames().map((name) => [name, all[name].title]), sweptPair()[0], again("sweep"));
      subtitle("sweep", `${series().title}, all else equal`);
    },
  },
  "unsolved-solved": {
    there: () => (results.splits || []).some((split) => split.solved.finished || split.unsolved.finished) && splitNames().length > 0,
    settle() {
      const all = columns();
      pick("unsolved-solved", "split", "Figure", splitNames().map((name) => [name, all[name].title]), splitBy(), again("unsolved-solved"));
      splitLegend("unsolved-solved");
      subtitle("unsolved-solved", "finished runs, by their answers");
    },
  },
  "by-difficulty": {
    there: () => difficulties().length > 0 && difficultyNames().length > 0,
    settle() {
      const all = columns();
      pick("by-difficulty", "difficultyBy", "Difficulty by", difficulties().map((one) => [one.by, BY[one.by]]), difficulty().by, again("by-difficulty"));
      pick("by-difficulty", "difficulty", "Figure", difficultyNames().map((name) => [name, all[name].title]), difficultyOf(), again("by-difficulty"));
      armLegend("by-difficulty", redrawLines);
      note("by-difficulty", difficulty().how);
    },
  },
  trajectory: {
    there: () => curves().length > 0,
    settle() {
      pick("trajectory", "along", "Along", [["step", "By step"], ["share", "By share of the run"]], chosen.along, again("trajectory"));
      armLegend("trajectory", redrawLines);
      subtitle("trajectory", "means over finished runs");
      note("trajectory", chosen.along === "step" ? "Later steps are of fewer runs: only those that came so far." : "");
    },
  },
};

const MAKERS = {
  pareto: {
    build: (theme, options) => paretoFigure(frontier(), columns(), theme, origin(), options),
    numbers() {
      const all = columns();
      const [x, y] = [all[frontier().x], all[frontier().y]];
      return { head: ["arm", ...HEAD.map((word) => `${y.name} ${word}`), ...HEAD.map((word) => `${x.name} ${word}`), "on frontier"], rows: frontier().points.map((point) => [point.arm, ...values(y, point.y), ...values(x, point.x), point.on_frontier ? "yes" : "no"]) };
    },
    shown() {
      const all = columns();
      const [x, y] = [all[frontier().x], all[frontier().y]];
      return { text: 2, head: ["Arm", "On the frontier", ...measuredHead(y), ...measuredHead(x)], rows: frontier().points.map((point) => [point.arm, point.on_frontier ? "yes" : "no", ...measuredCells(y, point.y), ...measuredCells(x, point.x)]) };
    },
    describe() {
      const all = columns();
      const on = frontier().points.filter((point) => point.on_frontier);
      return `${all[frontier().y].title} against ${all[frontier().x].title.toLowerCase()} of ${plural(frontier().points.length, "arm")}. Not beaten in both: ${on.map((point) => `${point.arm}, ${show(all[frontier().y], point.y.value)} at ${show(all[frontier().x], point.x.value)}`).join("; ")}.`;
    },
  },
  sweep: {
    build: (theme, options) => sweepFigure(series(), sweptPair(), columns(), theme, origin(), options),
    numbers() {
      const names = sweptNames();
      return { head: [series().parameter, "arm", ...names.flatMap((name) => HEAD.map((word) => `${name} ${word}`))], rows: series().values.map((value, i) => [value, series().arms[i], ...names.flatMap((name) => values(null, series().figures[name][i]))]) };
    },
    shown() {
      const made = sweptNames().map((name) => columns()[name]);
      return { text: 2, head: [series().title, "Arm", ...made.flatMap((column) => measuredHead(column))], rows: series().values.map((value, i) => [value, series().arms[i], ...made.flatMap((column) => measuredCells(column, series().figures[column.name][i]))]) };
    },
    describe() {
      const column = columns()[sweptPair()[0]];
      return `${column.title} by ${series().title.toLowerCase()}: ${series().values.map((value, i) => `${value}: ${show(column, series().figures[column.name][i].value)}`).join(", ")}.`;
    },
  },
  "unsolved-solved": {
    build: (theme, options) => splitFigure(results.splits, splitBy(), columns(), theme, origin(), options),
    numbers: () => ({ head: ["arm", ...HEAD.map((word) => `solved ${word}`), ...HEAD.map((word) => `unsolved ${word}`)], rows: results.splits.map((split) => [split.arm, ...values(null, split.solved.figures[splitBy()]), ...values(null, split.unsolved.figures[splitBy()])]) }),
    shown() {
      const column = columns()[splitBy()];
      return { text: 1, head: ["Arm", ...measuredHead(column, "unsolved"), ...measuredHead(column, "solved")], rows: results.splits.map((split) => [split.arm, ...measuredCells(column, split.unsolved.figures[column.name]), ...measuredCells(column, split.solved.figures[column.name])]) };
    },
    describe() {
      const column = columns()[splitBy()];
      return `${column.title} of solved and unsolved runs: ${results.splits.map((split) => `${split.arm} ${show(column, split.solved.figures[column.name]?.value)} and ${show(column, split.unsolved.figures[column.name]?.value)}`).join("; ")}.`;
    },
  },
  "by-difficulty": {
    build: (theme, options) => difficultyFigure(difficulty(), difficultyOf(), lines(), columns(), theme, origin(), options),
    numbers() {
      const name = difficultyOf();
      return { head: ["arm", "difficulty", "tasks", ...HEAD.map((word) => `${name} ${word}`)], rows: difficulty().levels.flatMap((level) => level.table.rows.map((row) => [row.arm, levelName(difficulty(), level), level.tasks, ...values(null, row.figures[name])])) };
    },
    shown() {
      const column = columns()[difficultyOf()];
      return { text: 2, head: ["Arm", "Difficulty", "Tasks", ...measuredHead(column)], rows: difficulty().levels.flatMap((level) => level.table.rows.map((row) => [row.arm, levelName(difficulty(), level), level.tasks, ...measuredCells(column, row.figures[column.name])])) };
    },
    describe() {
      const column = columns()[difficultyOf()];
      return `${column.title} by difficulty. ${difficulty().levels.map((level) => `${levelName(difficulty(), level)}: ${level.table.rows.map((row) => `${row.arm} ${show(column, row.figures[column.name]?.value)}${interval(column, row.figures[column.name]) ? ` (${interval(column, row.figures[column.name])})` : ""}`).join(", ")}`).join("; ")}.`;
    },
  },
  trajectory: {
    build: (theme, options) => curveFigure(curves(), lines(), theme, origin(), options),
    numbers: () => ({ head: ["arm", "position", "runs", "latency_s", "tokens_per_s", "large_share", "stall_share"], rows: curves().flatMap((curve) => curve.positions.map((position, i) => [curve.arm, position, curve.latency_s[i].n, curve.latency_s[i].value, curve.tokens_per_s[i].value, curve.large_share[i].value, curve.stall_share[i].value])) }),
    shown() {
      const { latency_s: latency, large_step_share: large, stall_share: stalls } = columns();
      const speed = { unit: "count", digits: 1 };
      const bySteps = chosen.along === "step";
      return {
        text: 1, head: ["Arm", bySteps ? "Step" : "Part of the run", "Runs", latency.title, "Tokens per second", large.title, stalls.title],
        rows: curves().flatMap((curve) => curve.positions.map((position, i) => [curve.arm, bySteps ? position : `${Math.round(100 * position)}%`, curve.latency_s[i].n, show(latency, curve.latency_s[i].value), show(speed, curve.tokens_per_s[i].value), show(large, curve.large_share[i].value), show(stalls, curve.stall_share[i].value)])),
      };
    },
    describe: () => `Mean seconds and tokens per second along the runs. ${curves().map((curve) => `${curve.arm}: ${curve.positions.length} positions, ${(curve.latency_s.at(-1)?.value ?? 0).toFixed(0)} s at the last`).join("; ")}.`,
  },
};
