// The budget schedule of AgentCollab, Eq. 2-4: the same formula as collab_core/budgets.py (a test compares them).

/**
 * Steps granted at escalation level >= 1, at least one; halves round up.
 * @param {{budget_base: number, growth: number, budget_max: number, schedule: string, sigmoid_midpoint: number, level_offset: number}} parameters
 * @returns {(level: number) => number}
 */
export function budgetSchedule(parameters) {
  const { budget_base: base, growth, budget_max: most, schedule, sigmoid_midpoint: midpoint, level_offset: offset } = parameters;
  return (level) => {
    const n = level - offset;
    const granted = schedule === "linear" ? Math.min(base + growth * n, most) : most * sigmoid(growth * (n - midpoint));
    return Math.max(1, Math.floor(granted + 0.5));
  };
}

function sigmoid(x) {
  return x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
}

/**
 * The most steps that can fall on higher tiers within a limit: after the warm-up every lower step
 * stalls at once and every granted budget is used up. The level grows with each stall, so that the
 * larger of the level by one and by the whole budget is taken at each escalation.
 */
export function mostOnTop({ steps, warmUp, budget }) {
  let left = steps - Math.min(steps, warmUp);
  let high = steps - left;
  let level = 0;
  while (left > 1) {
    left -= 1; // a step of the lowest tier that stalls
    level += 1;
    const granted = Math.min(left, budget(level));
    high += granted;
    left -= granted;
    level += granted; // the higher tier stalled too
  }
  return high;
}
