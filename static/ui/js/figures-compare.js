// The overlay of staircases. Pure: models, theme and options in, a plotly figure out.
import { axis, baseLayout, DENSE, plain, simulatedNote, stairLine, tierColour, yTop } from "./figures.js";
import { stairPath } from "./figures-dense.js";
import { capital, finished, tierLook, totals } from "./model.js";
import { seconds, verdict } from "./format.js";

const DASHES = ["solid", "solid", "solid", "solid", "dash", "dot"];
export const RUN_KEYS = ["runA", "runB", "runC", "runD", "runE", "runF"];
export const LETTERS = "ABCDEF";

/**
 * @param {(any | null)[]} models null = not loaded yet
 * @param {Record<string, string>} theme
 * @param {{colour: "run" | "tier", title?: string, compact?: boolean}} options
 */
export function overlayFigure(models, theme, options) {
  const loaded = models.map((model, index) => ({ model, index, steps: model ? finished(model) : [] })).filter((one) => one.steps.length);
  const ends = endLabels(loaded);
  const data = loaded.flatMap((one) => traces(one, theme, options));
  const lastStep = Math.max(10, ...loaded.map((one) => one.steps.at(-1).step));
  const peak = Math.max(1, ...loaded.map((one) => one.steps.at(-1).cumulative_s));
  return {
    data,
    layout: {
      ...baseLayout(theme, { ...options, height: 330 }),
      xaxis: { ...axis(theme), range: [0.5, lastStep * (options.compact ? 1.55 : 1.26) + 1], showgrid: false, showline: true, linecolor: theme.borderStrong, tickformat: "d", title: { text: "Step", font: { size: 12, color: theme.text3 }, standoff: 6 } },
      yaxis: { ...axis(theme), range: [0, yTop(peak)], ticksuffix: " s", showline: true, linecolor: theme.borderStrong },
      shapes: loaded.filter((one) => one.steps.length > DENSE).flatMap((one) => denseStairs(one, theme, options)),
      annotations: [...ends.flatMap((end) => badge(end, theme)), ...simulatedNote(loaded.some((one) => one.model.run.simulated), theme)],
    },
  };
}

function traces({ model, index, steps }, theme, { colour }) {
  const own = theme[RUN_KEYS[index]];
  const tiers = model.names.length;
  const line = (tier) => ({
    type: "scatter", mode: "lines", ...stairLine(steps, tier), connectgaps: false, hoverinfo: "skip", name: LETTERS[index],
    line: { shape: "hv", width: tier > 0 ? (tier >= tiers - 1 ? 4 : 3) : 1.8, dash: DASHES[index], color: colour === "tier" ? tierColour(theme, tier, tiers) : own },
  });
  const lines = steps.length > DENSE ? [] : Array.from({ length: tiers }, (_, tier) => line(tier)).filter((trace) => trace.x.length);
  return [...lines, {
    type: "scatter", mode: steps.length > DENSE ? "lines" : "markers", name: LETTERS[index], line: { width: 0, color: own },
    x: steps.map((step) => step.step), y: steps.map((step) => step.cumulative_s), marker: { size: 9, opacity: 0, color: own },
    customdata: steps.map((step) => [LETTERS[index], plain(capital(step.tier_name)), plain(step.action || "no tool call"), seconds(step.latency.total_s), seconds(step.cumulative_s), verdict(step.check, step.indicator)]),
    hovertemplate: "%{customdata[0]}, step %{x}, %{customdata[1]}<br>%{customdata[2]}<br>+%{customdata[3]}, total %{customdata[4]}<br>%{customdata[5]}<extra></extra>",
  }];
}

/** The stairs of a long run: one path a tier. */
function denseStairs({ model, index, steps }, theme, { colour }) {
  const tiers = model.names.length;
  return model.names.map((_, tier) => ({
    type: "path", path: stairPath(steps, tier), xref: "x", yref: "y", fillcolor: "rgba(0,0,0,0)",
    line: { width: tier > 0 ? 4 : 1.8, color: colour === "tier" ? tierColour(theme, tier, tiers) : theme[RUN_KEYS[index]] },
  })).filter((shape) => shape.path);
}

/** The ends of the lines, pushed apart where they would cover each other. */
export function endLabels(loaded) {
  const ends = loaded.map(({ model, index, steps }) => ({ index, x: steps.at(-1).step + 0.5, y: steps.at(-1).cumulative_s, words: endWords(model, steps.at(-1)), shift: 0 }));
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
  const time = seconds(last.cumulative_s);
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
    const repeated = step.action !== "" && seen.has(step.action);
    if (step.check === "parsed" && step.indicator === 1 && (step.error || repeated)) n += 1;
    if (step.action) seen.add(step.action);
  }
  return n;
}
