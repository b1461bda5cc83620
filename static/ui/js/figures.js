// Builds plotly figures from the run model and the theme's tokens. Pure: the same input, the same figure.
import { denseShapes, laneTrace, stairs as stairSteps } from "./figures-dense.js";
import { instanceName, place } from "./instances.js";
import { allSpans, laneNames, laneOf, plain } from "./lanes.js";
import { capital, finished, isStall, runningSteps, tierLook, totals } from "./model.js";
import { seconds, verdict } from "./format.js";
import { provenanceNotes } from "./provenance.js";
import { isWrong } from "./review-marks.js";

export { plain };

/** One constant, never another object: a changed config makes plotly rebuild everything. */
export const CONFIG = Object.freeze({
  displayModeBar: false, showSendToCloud: false, plotlyServerURL: "", responsive: true, showTips: false,
});

/** More steps than this are drawn by figures-dense.js, so that the DOM stays small. */
export const DENSE = 300;

const DOMAINS = { y: [0.52, 0.955], y2: [0.285, 0.44], y3: [0, 0.195] };

/** The colours of a tier in this theme. */
export function tierColour(theme, tier, tiers) {
  return theme[tierLook(tier, tiers).key];
}

/**
 * The live page's figure: three panels over one step axis.
 * @param {any} model
 * @param {Record<string, string>} theme
 * @param {{compact?: boolean, title?: string}} [options]
 */
export function runFigure(model, theme, options = {}) {
  const steps = finished(model);
  const sums = totals(model);
  const placed = place(model);
  const shared = { model, theme, steps, sums, placed, marks: placed.marks, tiers: model.names.length, dense: steps.length > DENSE, lanes: laneNames(model, placed) };
  return {
    data: shared.dense
      ? [...laneTrace(shared), ...waits(shared), ...marks(shared), ...runningMark(shared), ...estimate(shared)]
      : [...waits(shared), ...stairs(shared), ...marks(shared), ...stallMarks(shared), ...labelMarks(shared), ...runningMark(shared), ...estimate(shared), ...speed(shared), ...timeline(shared)],
    layout: runLayout(shared, options),
  };
}

function perTier({ tiers }, make) {
  return Array.from({ length: tiers }, (_, tier) => make(tier)).flat();
}

function stairs(shared) {
  return perTier(shared, (tier) => {
    const line = stairLine(shared.marks, tier);
    if (!line.x.length) return [];
    const look = tierLook(tier, shared.tiers);
    return [{
      type: "scatter", mode: "lines", name: capital(shared.model.names[tier]), ...line, connectgaps: false, hoverinfo: "skip",
      line: { shape: "hv", width: look.width, color: shared.theme[look.key] }, xaxis: "x", yaxis: "y",
    }];
  });
}

/** One tier's stairs with null gaps; the riser belongs to the step that caused it. */
export function stairLine(marks, tier) {
  const x = [];
  const y = [];
  for (const [mark, goesOn] of stairSteps(marks, tier)) {
    if (!goesOn) {
      if (x.length || mark.before) { x.push(null); y.push(null); }
      x.push(mark.x - 0.5);
      y.push(mark.from);
    }
    x.push(mark.x - 0.5, mark.x + 0.5);
    y.push(mark.own, mark.own);
  }
  return { x, y };
}

/** While an agent waits for those it set to work: level, and up to where the slowest of them ended. */
export function waitLine(marks) {
  const x = [];
  const y = [];
  for (const mark of marks.filter((one) => one.waits)) {
    const end = Math.max(...marks.filter((one) => one.number > mark.number && (!mark.step || one.from < mark.to)).map((one) => one.x), mark.x) + 0.5;
    x.push(mark.x + 0.5, end, end, null);
    y.push(mark.own, mark.own, mark.step ? mark.to : mark.own, null);
  }
  return { x, y };
}

function waits({ marks: all, theme }) {
  const line = waitLine(all);
  if (!line.x.length) return [];
  return [{
    type: "scatter", mode: "lines", name: "Waiting for other agents", ...line, connectgaps: false, hoverinfo: "skip",
    line: { dash: "2px,3px", width: 1.3, color: theme.text3 }, xaxis: "x", yaxis: "y",
  }];
}

function hoverData(shared, { step, scope, role, waits: waited, to, own }) {
  const action = step.action || (step.tool ? step.tool : "no tool call");
  const who = shared.placed.parallel ? `${plain(instanceName(scope, role))}, ` : "";
  const wait = waited ? `, ${seconds(to - own)} of it waiting` : "";
  return [plain(capital(step.tier_name)), plain(action), `${seconds(step.latency.total_s)}${wait}`, seconds(step.cumulative_s), plain(verdict(step.check, step.indicator)), step.step, who];
}

const HOVER = "Step %{customdata[5]}, %{customdata[6]}%{customdata[0]}<br>%{customdata[1]}<br>+%{customdata[2]}, total %{customdata[3]}<br>%{customdata[4]}<extra></extra>";

function marks(shared) {
  return perTier(shared, (tier) => {
    const mine = shared.marks.filter(({ step }) => step?.tier === tier);
    if (!mine.length) return [];
    const look = tierLook(tier, shared.tiers);
    const colour = shared.theme[look.key];
    return [{
      type: "scatter", mode: shared.dense ? "lines" : "markers", name: capital(shared.model.names[tier]), xaxis: "x", yaxis: "y",
      x: mine.map((one) => one.x), y: mine.map((one) => one.own), line: { width: 0, color: colour },
      marker: { symbol: look.symbol, size: look.key === "small" ? 7 : 9, color: colour },
      customdata: mine.map((one) => hoverData(shared, one)), hovertemplate: HOVER,
    }];
  });
}

/** Steps whose verdict people found wrong. */
function labelMarks({ marks: all, theme, model }) {
  const wrong = all.filter(({ step }) => step && isWrong(model.labels?.get(step.step)));
  if (!wrong.length) return [];
  return [{
    type: "scatter", mode: "markers", name: "Verdict wrong by a label", hoverinfo: "skip", xaxis: "x", yaxis: "y", x: wrong.map((one) => one.x), y: wrong.map((one) => one.own),
    marker: { symbol: "x-thin", size: 11, color: theme.text, line: { width: 2, color: theme.text } },
  }];
}

function stallMarks({ marks: all, theme }) {
  const stalls = all.filter(({ step }) => step && isStall(step));
  if (!stalls.length) return [];
  return [{
    type: "scatter", mode: "markers", name: "No progress", hoverinfo: "skip", xaxis: "x", yaxis: "y", x: stalls.map((one) => one.x), y: stalls.map((one) => one.own),
    marker: { symbol: "circle-open", size: 15, color: theme.bad, line: { width: 1.8, color: theme.bad } },
  }];
}

function runningMark({ marks: all, theme, tiers }) {
  return all.filter((one) => !one.step && !one.waits).map(({ x, from, tier }) => {
    const look = tierLook(tier, tiers);
    return {
      type: "scatter", mode: "markers", name: "Running step", x: [x], y: [from], hoverinfo: "skip", xaxis: "x", yaxis: "y",
      marker: { symbol: `${look.symbol}-open`, size: 10, color: theme[look.key], line: { width: 2, color: theme[look.key] } },
    };
  });
}

function estimate({ steps, sums, placed, theme }) {
  if (sums.topMean === null || steps.length < 2) return [];
  const last = lastPlace(placed);
  return [{
    type: "scatter", mode: "lines", name: "Top tier only, est.", x: [0.5, last + 0.5], y: [0, (sums.estimate / sums.depth) * last], hoverinfo: "skip",
    line: { dash: "dot", width: 1.5, color: theme.text3 }, xaxis: "x", yaxis: "y",
  }];
}

/** The place of the last finished step on the longest path. */
function lastPlace({ marks: all }) {
  return all.reduce((most, one) => (one.step ? Math.max(most, one.x) : most), 0);
}

/** The label of the estimate is about this many places wide on the shortest axis. */
const LABEL_PLACES = 6;
const BAR = 0.62;

/** Where the bar of each step stands: those of one place share its width. */
function bars({ marks: all }) {
  const places = new Map();
  for (const one of all) places.set(one.x, [...(places.get(one.x) || []), one.number]);
  return (one) => {
    const here = places.get(one.x);
    const width = BAR / here.length;
    return { x: one.x + (here.indexOf(one.number) - (here.length - 1) / 2) * width, width };
  };
}

function speed(shared) {
  const bar = bars(shared);
  return perTier(shared, (tier) => {
    const mine = shared.marks.filter(({ step }) => step?.tier === tier && step.tokens_per_s !== null);
    if (!mine.length) return [];
    const look = tierLook(tier, shared.tiers);
    const hover = { customdata: mine.map(({ step }) => [plain(capital(step.tier_name)), "", "", "", "", step.step]), hovertemplate: "Step %{customdata[5]}, %{customdata[0]}<br>%{y:.0f} tokens/s<extra></extra>" };
    const common = { name: `${capital(shared.model.names[tier])} tokens/s`, xaxis: "x", yaxis: "y2" };
    return [{
      type: "bar", ...common, ...hover, x: mine.map((one) => bar(one).x), y: mine.map(({ step }) => step.tokens_per_s), width: mine.map((one) => bar(one).width),
      marker: { color: shared.theme[look.key], cornerradius: 2, ...(look.key === "small" ? {} : { pattern: hatch(shared.theme, look) }) },
    }];
  });
}

/** The pattern that says "large" without colour; middle tiers lean the other way. */
export function hatch(theme, look) {
  return { shape: look.key === "large" ? "/" : "\\", fillmode: "overlay", fgcolor: theme.surface, fgopacity: 0.45, size: 6, solidity: 0.22 };
}

function timeline(shared) {
  const list = allSpans(shared.model, shared.placed);
  const bars = perTier(shared, (tier) => {
    const mine = list.filter((span) => span.tier === tier);
    if (!mine.length) return [];
    return [laneBars(shared, tier, mine)];
  });
  return [...bars, ...unusedBudget(shared, list)];
}

function laneBars({ model, theme, tiers }, tier, mine) {
  const look = tierLook(tier, tiers);
  return {
    type: "bar", orientation: "h", name: capital(model.names[tier]), hoverinfo: "skip", xaxis: "x", yaxis: "y3", width: 0.72,
    base: mine.map((span) => span.from - 0.5), x: mine.map((span) => span.to - span.from + 1), y: mine.map((span) => laneOf(model, span)),
    marker: { color: theme[look.key], cornerradius: 3, ...(look.key === "small" ? {} : { pattern: hatch(theme, look) }) },
  };
}

function unusedBudget({ model, theme, tiers }, list) {
  const last = list[list.length - 1];
  if (!last || !model.running.size || last.budget === null || !(last.left > 1)) return [];
  const colour = tierColour(theme, last.tier, tiers);
  return [{
    type: "bar", orientation: "h", name: "Budget left", hoverinfo: "skip", xaxis: "x", yaxis: "y3", width: 0.72,
    base: [last.to + 0.5], x: [last.left - 1], y: [laneOf(model, last)],
    marker: { color: "rgba(0,0,0,0)", cornerradius: 3, line: { width: 1.5, color: colour } },
  }];
}

/** One path for all escalated spans: a single DOM node however many there are. */
export function bands(model, theme, placed = place(model)) {
  const path = allSpans(model, placed).filter((span) => span.tier > 0 && span.level > 0)
    .map((span) => `M${span.from - 0.5},0V1H${span.to + 0.5}V0Z`).join("");
  return path ? [{ type: "path", path, xref: "x", yref: "paper", layer: "below", line: { width: 0 }, fillcolor: theme.band }] : [];
}

function grown(value, chunk, least) {
  return Math.max(least, Math.ceil(value / chunk) * chunk);
}

function runLayout(shared, { compact = false, title = "" }) {
  const { theme, steps, sums, model, lanes, placed } = shared;
  const ahead = placed.parallel ? 0 : Math.max(0, (runningSteps(model)[0]?.started.budget_left || 1) - 1);
  const last = placed.depth + ahead;
  const peak = Math.max(sums.latency, sums.estimate || 0);
  const fastest = steps.reduce((best, step) => Math.max(best, step.tokens_per_s || 0), 0);
  return {
    ...baseLayout(theme, { compact, title, height: compact ? 500 : 556 }),
    barmode: "overlay",
    shapes: [...bands(model, theme, placed), ...(shared.dense ? denseShapes(shared) : [])],
    annotations: [...panelTitles(theme, placed.parallel), ...notes(shared), ...provenanceNotes(model.run, theme)],
    xaxis: { ...axis(theme), anchor: "y3", range: [0.5, grown(last + 3, 5, 16) + 0.5], showgrid: false, title: { text: placed.parallel ? "Step along the path" : "Step", font: { size: 12, color: theme.text3 }, standoff: 6 }, tickformat: "d", ...stepTicks(grown(last + 3, 5, 16)), showspikes: true, spikemode: "across", spikecolor: theme.borderStrong, spikethickness: -2, spikedash: "solid", showline: true, linecolor: theme.borderStrong },
    yaxis: { ...axis(theme), domain: DOMAINS.y, range: [0, yTop(peak)], ...left(theme) },
    yaxis2: { ...axis(theme), domain: DOMAINS.y2, range: [0, grown(fastest, 20, 20) * 1.1], nticks: 4, ...left(theme) },
    yaxis3: { ...axis(theme), domain: DOMAINS.y3, type: "category", categoryorder: "array", categoryarray: lanes, range: [-0.5, Math.max(lanes.length, 2) - 0.5], ...left(theme) },
  };
}

/** A tick at every step while they fit, else at round numbers. */
export function stepTicks(most) {
  return most <= 21 ? { tickmode: "linear", tick0: 1, dtick: 1 } : { tickmode: "auto", nticks: 12 };
}

/** The y range grows in chunks, so that updates do not rescale each step. */
export function yTop(peak) {
  const chunk = peak > 1000 ? 250 : peak > 200 ? 50 : peak > 40 ? 25 : 10;
  return grown(peak * 1.02, chunk, 10) * 1.06;
}

function left(theme) {
  return { showline: true, linecolor: theme.borderStrong };
}

export function axis(theme) {
  return { fixedrange: true, zeroline: false, gridcolor: theme.grid, tickfont: { size: 12, color: theme.text3 }, automargin: false };
}

export function baseLayout(theme, { compact = false, title = "", height }) {
  return {
    height, autosize: true, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false,
    font: { family: theme.font, size: 12, color: theme.text2 }, uirevision: "keep", dragmode: false, hovermode: "closest",
    margin: compact ? { l: 46, r: 10, t: title ? 44 : 6, b: 34 } : { l: 62, r: 18, t: title ? 44 : 6, b: 34 },
    hoverlabel: { bgcolor: theme.overlay, bordercolor: theme.borderStrong, align: "left", font: { family: theme.font, size: 12.5, color: theme.text } },
    ...(title ? { title: { text: plain(title), x: 0.02, xanchor: "left", y: 0.98, yanchor: "top", font: { size: 15, color: theme.text } } } : {}),
  };
}

function panelTitles(theme, parallel) {
  // no <b>: plotly would set a style attribute for it, which the CSP refuses
  const titles = [["Cumulative latency, s", DOMAINS.y[1]], ["Tokens per second", DOMAINS.y2[1]], [parallel ? "Agent and tier" : "Tier, level and budget", DOMAINS.y3[1]]];
  return titles.map(([text, y]) => ({
    text, xref: "paper", yref: "paper", x: 0, y: y + 0.008, xanchor: "left", yanchor: "bottom", xshift: -36, showarrow: false, font: { size: 12, weight: 600, color: theme.text2 },
  }));
}

function notes(shared) {
  const { model, sums, steps, theme, placed } = shared;
  const list = [];
  const last = allSpans(model, placed).at(-1);
  if (last && !placed.parallel && last.budget !== null && last.tier > 0) {
    const used = last.budget - (last.left ?? last.budget) + 1;
    list.push({ text: `${used} of ${last.budget}`, x: last.to + 0.5 + Math.max(0, model.running.size ? last.left - 1 : 0), y: laneOf(model, last), xref: "x", yref: "y3", xanchor: "left", xshift: 6, showarrow: false, font: { size: 12, color: theme.text2 } });
  }
  if (sums.estimate !== null && steps.length > 1 && Math.abs(sums.estimate - sums.latency) >= 0.05) {
    const saved = sums.estimate - sums.latency;
    const last = lastPlace(placed);
    // on the side of the estimate where the staircase is not, and in a young run to the right of both
    const young = last <= LABEL_PLACES;
    list.push({ text: `${seconds(Math.abs(saved))} ${saved >= 0 ? "saved" : "lost"}, est.`, x: last + 0.5, y: (sums.estimate / sums.depth) * last, xref: "x", yref: "y", xanchor: young ? "left" : "right", xshift: young ? 6 : -6, yshift: saved >= 0 ? 12 : -36, showarrow: false, font: { size: 12, weight: 600, color: theme.text } });
  }
  return list;
}

/** One sentence for people who do not see the plot. */
export function describe(model) {
  const sums = totals(model);
  if (!sums.steps) return "No finished step yet.";
  const top = capital(model.names.at(-1));
  const agents = sums.instances > 1 ? ` of ${sums.instances} agents` : "";
  return `${sums.steps} steps${agents} in ${seconds(sums.latency)}; ${sums.topSteps} on ${top}, ${sums.switches} switches, ${sums.stalls} steps without progress.`;
}
