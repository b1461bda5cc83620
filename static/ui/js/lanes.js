// The lanes of the tier timeline and the text in it; a module of its own so that no import goes in a
// circle: hashed file names cannot be worked out around one.
import { place } from "./instances.js";
import { capital, runningSteps, spans } from "./model.js";

/** Escapes what plotly would read as markup in a label: it knows <b>, <i>, <br> and a few more. */
export function plain(text) {
  return String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** Levels from here on share a lane: more lanes would leave no room for the bars. */
const MANY = 5;

/** With more instances than this a lane each would be too thin: they share a lane a tier. */
const MOST_INSTANCES = 8;

/** The lanes of the timeline, bottom first: tier 0, then a lane a level (or a tier without levels). */
export function laneNames(model, placed = place(model)) {
  if (placed.parallel) return instanceLanes(model, placed);
  const lanes = [plain(capital(model.names[0]))];
  const seen = new Map();
  for (const span of allSpans(model)) {
    const name = laneOf(model, span);
    if (name !== lanes[0]) seen.set(name, span.tier * 1000 + span.level);
  }
  return lanes.concat([...seen.entries()].sort((a, b) => a[1] - b[1]).map(([name]) => name));
}

/** Bottom first, so that the instance that began first is on top. */
function instanceLanes(model, placed) {
  const lanes = [...new Set(placed.instances.map((one) => plain(one.lane)))];
  return lanes.length > MOST_INSTANCES ? model.names.map((name) => plain(capital(name))) : lanes.reverse();
}

/** Neighbouring steps of one instance and one tier, as far as they have begun. */
function instanceSpans(model, placed) {
  const few = new Set(placed.instances.map((one) => one.lane)).size <= MOST_INSTANCES;
  const list = [];
  for (const { marks } of placed.instances) {
    let open = null;
    for (const { tier, x, lane } of marks) {
      if (open && open.tier === tier && open.to === x - 1) open.to = x;
      else list.push(open = { tier, level: 0, from: x, to: x, budget: null, left: null, lane: plain(few ? lane : capital(model.names[tier])) });
    }
  }
  return list;
}

export function laneOf(model, span) {
  if (span.lane) return span.lane;
  const tier = plain(capital(model.names[span.tier]));
  if (span.tier === 0 || span.level === 0) return tier;
  const level = span.level >= MANY ? `${MANY}+` : span.level;
  return model.names.length > 2 ? `${tier} ${level}` : `Level ${level}`;
}

/** Finished spans, the running step counted in. */
export function allSpans(model, placed = place(model)) {
  if (placed.parallel) return instanceSpans(model, placed);
  const list = spans(model);
  const now = runningSteps(model)[0]?.started;
  if (!now) return list;
  const last = list[list.length - 1];
  const goesOn = last && last.tier === now.tier && now.step === last.to + 1
    && !(now.budget !== null && now.budget_left === now.budget);
  if (goesOn) return [...list.slice(0, -1), { ...last, to: now.step, left: now.budget_left }];
  return [...list, { tier: now.tier, level: now.tier > 0 ? now.level : 0, from: now.step, to: now.step, budget: now.budget, left: now.budget_left }];
}
