// Long runs: every mark of a tier is one path shape. As traces, each stair, bar and span between two
// gaps would be a DOM node of its own: tens of thousands for a run of 5,000 steps.
import { allSpans, laneOf } from "./lanes.js";
import { isStall, tierLook } from "./model.js";

const LANE = 0.3;

/** @param {{model: any, theme: Record<string, string>, steps: any[], tiers: number, lanes: string[]}} shared */
export function denseShapes(shared) {
  const { steps, theme, tiers } = shared;
  const shapes = [];
  for (let tier = 0; tier < tiers; tier += 1) {
    const look = tierLook(tier, tiers);
    const colour = theme[look.key];
    shapes.push(stroke(stairPath(steps, tier), "y", colour, look.width));
    shapes.push(stroke(speedPath(steps, tier), "y2", colour, 1));
    shapes.push(area(lanePath(shared, tier), colour));
  }
  shapes.push(stroke(stallPath(steps), "y", theme.bad, 5));
  return shapes.filter((shape) => shape.path);
}

function stroke(path, yref, color, width) {
  return { type: "path", path, xref: "x", yref, line: { color, width }, fillcolor: "rgba(0,0,0,0)" };
}

function area(path, fillcolor) {
  return { type: "path", path, xref: "x", yref: "y3", line: { width: 0 }, fillcolor };
}

/** The stairs of one tier; the riser belongs to the step that caused it. */
export function stairPath(steps, tier) {
  let path = "";
  let before = null;
  let height = 0;
  for (const step of steps) {
    if (step.tier === tier) path += `${before === tier ? "" : `M${step.step - 0.5},${round(height)}`}V${round(step.cumulative_s)}H${step.step + 0.5}`;
    before = step.tier;
    height = step.cumulative_s;
  }
  return path;
}

function speedPath(steps, tier) {
  return steps.filter((step) => step.tier === tier && step.tokens_per_s).map((step) => `M${step.step},0V${round(step.tokens_per_s)}`).join("");
}

function stallPath(steps) {
  return steps.filter(isStall).map((step) => `M${step.step - 0.4},${round(step.cumulative_s)}H${step.step + 0.4}`).join("");
}

function lanePath({ model, lanes }, tier) {
  return allSpans(model).filter((span) => span.tier === tier).map((span) => {
    const lane = lanes.indexOf(laneOf(model, span));
    return `M${span.from - 0.5},${lane - LANE}V${lane + LANE}H${span.to + 0.5}V${lane - LANE}Z`;
  }).join("");
}

/** Gives the timeline's axis its categories: shapes alone do not. */
export function laneTrace({ lanes }) {
  return [{ type: "scatter", mode: "lines", name: "Lanes", x: lanes.map(() => 0.5), y: lanes, line: { width: 0 }, hoverinfo: "skip", xaxis: "x", yaxis: "y3" }];
}

function round(value) {
  return Math.round(value * 1000) / 1000;
}
