// The overlay of staircases. Pure: models, theme and options in, a plotly figure out.
import { axis, baseLayout, DENSE, plain, stairLine, tierColour, waitLine, yTop } from "./figures.js";
import { stairPath } from "./figures-dense.js";
import { instanceName, place } from "./instances.js";
import { capital, finished, tierLook, totals } from "./model.js";
import { seconds, verdict } from "./format.js";
import { provenanceNotes } from "./provenance.js";

const DASHES = ["solid", "solid", "solid", "solid", "dash", "dot"];
export const RUN_KEYS = ["runA", "runB", "runC", "runD", "runE", "runF"];
export const LETTERS = "ABCDEF";

/**
 * @param {(any | null)[]} models null = not loaded yet
 * @param {Record<string, string>} theme
 * @param {{colour: "run" | "tier", title?: string, compact?: boolean}} options
 */
export function overlayFigure(models, theme, options) {
  const loaded = models.map(onPath).filter((one) => one?.marks.length);
  const ends = endLabels(loaded);
  const data = loaded.flatMap((one) => traces(one, theme, options));
  const lastStep = Math.max(10, ...loaded.map((one) => one.last.x));
  const peak = Math.max(1, ...loaded.map((one) => one.last.to));
  const parallel = loaded.some((one) => one.parallel);
  return {
    data,
    layout: {
      ...baseLayout(theme, { ...options, height: 330 }),
      xaxis: { ...axis(theme), range: [0.5, lastStep * (options.compact ? 1.55 : 1.26) + 1], showgrid: false, showline: true, linecolor: theme.borderStrong, tickformat: "d", title: { text: parallel ? "Step along the path" : "Step", font: { size: 12, color: theme.text3 }, standoff: 6 } },
      yaxis: { ...axis(theme), range: [0, yTop(peak)], ticksuffix: " s", showline: true, linecolor: theme.borderStrong },
      shapes: loaded.filter((one) => one.marks.length > DENSE).flatMap((one) => denseStairs(one, theme, options)),
      annotations: [...ends.flatMap((end) => badge(end, theme)), ...provenanceNotes(originOf(loaded.map((one) => one.model.run)), theme)],
    },
  };
}

/** A run's finished steps on their path; `last` is where it ends: the farthest, and the highest. */
function onPath(model, index) {
  if (!model) return null;
  const placed = place(model);
  const marks = placed.marks.filter((one) => one.step);
  const last = { x: Math.max(0, ...marks.map((one) => one.x)), to: Math.max(0, ...marks.map((one) => one.to)) };
  return { model, index, marks, last, parallel: placed.parallel };
}

function traces({ model, index, marks, parallel }, theme, { colour }) {
  const own = theme[RUN_KEYS[index]];
  const tiers = model.names.length;
  const line = (tier) => ({
    type: "scatter", mode: "lines", ...stairLine(marks, tier), connectgaps: false, hoverinfo: "skip", name: LETTERS[index],
    line: { shape: "hv", width: tier > 0 ? (tier >= tiers - 1 ? 4 : 3) : 1.8, dash: DASHES[index], color: colour === "tier" ? tierColour(theme, tier, tiers) : own },
  });
  const waits = waitLine(marks);
  const waiting = waits.x.length ? [{ type: "scatter", mode: "lines", ...waits, connectgaps: false, hoverinfo: "skip", name: LETTERS[index], line: { width: 1.2, dash: "dot", color: own } }] : [];
  const lines = marks.length > DENSE ? [] : Array.from({ length: tiers }, (_, tier) => line(tier)).filter((trace) => trace.x.length);
  return [...waiting, ...lines, {
    type: "scatter", mode: marks.length > DENSE ? "lines" : "markers", name: LETTERS[index], line: { width: 0, color: own },
    x: marks.map((one) => one.x), y: marks.map((one) => one.own), marker: { size: 9, opacity: 0, color: own },
    customdata: marks.map(({ step, scope, role }) => [LETTERS[index], plain((parallel ? `${instanceName(scope, role)}, ` : "") + capital(step.tier_name)), plain(step.action || "no tool call"), seconds(step.latency.total_s), seconds(step.cumulative_s), verdict(step.check, step.indicator), step.step]),
    hovertemplate: "%{customdata[0]}, step %{customdata[6]}, %{customdata[1]}<br>%{customdata[2]}<br>+%{customdata[3]}, total %{customdata[4]}<br>%{customdata[5]}<extra></extra>",
  }];
}

/** The stairs of a long run: one path a tier. */
function denseStairs({ model, index, marks }, theme, { colour }) {
  const tiers = model.names.length;
  return model.names.map((_, tier) => ({
    type: "path", path: stairPath(marks, tier), xref: "x", yref: "y", fillcolor: "rgba(0,0,0,0)",
    line: { width: tier > 0 ? 4 : 1.8, color: colour === "tier" ? tierColour(theme, tier, tiers) : theme[RUN_KEYS[index]] },
  })).filter((shape) => shape.path);
}

/** The ends of the lines, pushed apart where they would cover each other. */
export function endLabels(loaded) {
  const ends = loaded.map(({ model, index, last }) => ({ index, x: last.x + 0.5, y: last.to, words: endWords(model, last), shift: 0 }));
  ends.sort((a, b) => a.y - b.y);
  const peak = Math.max(1, ...ends.map((end) => end.y));
  const widest = Math.max(1, ...ends.map((end) => end.x));
  for (let i = 1; i < ends.length; i += 1) {
    const below = ends[i - 1];
    const gap = ((ends[i].y - below.y) / peak) * 260 + ends[i].shift - below.shift;
    const near = Math.abs(ends[i].x - below.x) / widest < 0.3;
    if (near && gap < 19) ends[i].shift = below.shift + 19 - ((ends[i].y - below.y) / peak) * 260;
  }
  return ends;
}

function endWords(model, last) {
  const time = seconds(last.to);
  if (!model.terminal) return `${time}, running`;
  if (model.run.status === "failed") return `${time}, failed`;
  if (model.run.status === "cancelled") return `${time}, stopped`;
  return model.run.outcome === "incorrect" ? `${time}, unsolved` : time;
}

function badge(end, theme) {
  const common = { x: end.x, y: end.y, xref: "x", yref: "y", showarrow: false, yshift: end.shift, xanchor: "left" };
  return [
    { ...common, text: LETTERS[end.index], xshift: 4, width: 13, height: 14, bgcolor: theme[RUN_KEYS[end.index]], borderpad: 2, align: "center", font: { size: 12, weight: 700, color: theme.onRun } },
    { ...common, text: end.words, xshift: 28, bgcolor: theme.surface, opacity: 0.9, borderpad: 1, font: { size: 12, color: theme.text } },
  ];
}

/** Spans of neighbouring steps of one look, for the ribbons. */
export function ribbonSpans(model) {
  const spans = [];
  for (const step of finished(model)) {
    const look = tierLook(step.tier, model.names.length).key;
    const open = spans.at(-1);
    if (open && open.look === look && open.to === step.step - 1) open.to = step.step;
    else spans.push({ look, from: step.step, to: step.step });
  }
  return spans;
}

/** One run's figures for the metrics table. `base` is the baseline's latency, null while unknown. */
export function metrics(model, base) {
  const sums = totals(model);
  const unsolved = !model.terminal || model.run.status !== "finished" || model.run.outcome === "incorrect";
  return { ...sums, solved: model.terminal && model.run.outcome === "correct", speedupOver: unsolved || base === null || !sums.latency ? null : base / sums.latency, doubtful: doubtful(finished(model)) };
}

/** Steps judged progress although their call failed or repeated an earlier one word for word. */
export function doubtful(steps) {
  const seen = new Set();
  let n = 0;
  for (const step of steps) {
    // two agents that make the same call do not repeat each other
    const call = `${step.scope || ""} ${step.action}`;
    const repeated = step.action !== "" && seen.has(call);
    if (step.check === "parsed" && step.indicator === 1 && (step.error || repeated)) n += 1;
    if (step.action) seen.add(call);
  }
  return n;
}

/** What holds for a picture of several runs: whatever holds for one of them. */
function originOf(runs) {
  return { simulated: runs.some((run) => run.simulated), stand_in: runs.some((run) => run.stand_in) };
}
