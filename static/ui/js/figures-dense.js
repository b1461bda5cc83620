// Long runs: every mark of a tier is one path shape. As traces, each stair, bar and span between two
// gaps would be a DOM node of its own: tens of thousands for a run of 5,000 steps.
import { allSpans, laneOf } from "./lanes.js";
import { isStall, tierLook } from "./model.js";

const LANE = 0.3;

/** @param {{model: any, theme: Record<string, string>, marks: any[], tiers: number, lanes: string[]}} shared */
export function denseShapes(shared) {
  const { marks, theme, tiers } = shared;
  const shapes = [];
  for (let tier = 0; tier < tiers; tier += 1) {
    const look = tierLook(tier, tiers);
    const colour = theme[look.key];
    shapes.push(stroke(stairPath(marks, tier), "y", colour, look.width));
    shapes.push(stroke(speedPath(marks, tier), "y2", colour, 1));
    shapes.push(area(lanePath(shared, tier), colour));
  }
  shapes.push(stroke(stallPath(marks), "y", theme.bad, 5));
  return shapes.filter((shape) => shape.path);
}

function stroke(path, yref, color, width) {
  return { type: "path", path, xref: "x", yref, line: { color, width }, fillcolor: "rgba(0,0,0,0)" };
}

function area(path, fillcolor) {
  return { type: "path", path, xref: "x", yref: "y3", line: { width: 0 }, fillcolor };
}

/** The stairs of one tier; the riser belongs to the step that caused it. */
export function stairPath(marks, tier) {
  let path = "";
  for (const [mark, goesOn] of stairs(marks, tier)) path += `${goesOn ? "" : `M${mark.x - 0.5},${round(mark.from)}`}V${round(mark.own)}H${mark.x + 0.5}`;
  return path;
}

/** The finished steps of a tier, instance by instance, and whether one goes on where the last one ended. */
export function stairs(marks, tier) {
  const byScope = new Map();
  for (const mark of marks) {
    if (!byScope.has(mark.scope)) byScope.set(mark.scope, []);
    if (mark.step) byScope.get(mark.scope).push(mark);
  }
  return [...byScope.values()].flatMap((own) => own
    .map((mark) => [mark, mark.before?.step && mark.before.tier === tier && !mark.before.waits])
    .filter(([mark]) => mark.tier === tier));
}

function speedPath(marks, tier) {
  return marks.filter(({ step }) => step?.tier === tier && step.tokens_per_s).map(({ x, step }) => `M${x},0V${round(step.tokens_per_s)}`).join("");
}

function stallPath(marks) {
  return marks.filter(({ step }) => step && isStall(step)).map(({ x, own }) => `M${x - 0.4},${round(own)}H${x + 0.4}`).join("");
}

function lanePath({ model, lanes, placed }, tier) {
  return allSpans(model, placed).filter((span) => span.tier === tier).map((span) => {
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
