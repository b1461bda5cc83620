// The lanes of the tier timeline and the text in it; a module of its own so that no import goes in a
// circle: hashed file names cannot be worked out around one.
import { capital, spans } from "./model.js";

/** Escapes what plotly would read as markup in a label: it knows <b>, <i>, <br> and a few more. */
export function plain(text) {
  return String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** Levels from here on share a lane: more lanes would leave no room for the bars. */
const MANY = 5;

/** The lanes of the timeline, bottom first: tier 0, then a lane a level (or a tier without levels). */
export function laneNames(model) {
  const lanes = [plain(capital(model.names[0]))];
  const seen = new Map();
  for (const span of allSpans(model)) {
    const name = laneOf(model, span);
    if (name !== lanes[0]) seen.set(name, span.tier * 1000 + span.level);
  }
  return lanes.concat([...seen.entries()].sort((a, b) => a[1] - b[1]).map(([name]) => name));
}

export function laneOf(model, span) {
  const tier = plain(capital(model.names[span.tier]));
  if (span.tier === 0 || span.level === 0) return tier;
  const level = span.level >= MANY ? `${MANY}+` : span.level;
  return model.names.length > 2 ? `${tier} ${level}` : `Level ${level}`;
}

/** Finished spans, the running step counted in. */
export function allSpans(model) {
  const list = spans(model);
  const now = model.current?.started;
  if (!now) return list;
  const last = list[list.length - 1];
  const goesOn = last && last.tier === now.tier && now.step === last.to + 1
    && !(now.budget !== null && now.budget_left === now.budget);
  if (goesOn) return [...list.slice(0, -1), { ...last, to: now.step, left: now.budget_left }];
  return [...list, { tier: now.tier, level: now.tier > 0 ? now.level : 0, from: now.step, to: now.step, budget: now.budget, left: now.budget_left }];
}
