// How many runs an experiment is, from what the form says. Pure; the server has the last word.

const MOST_SEEDS = 100;

/**
 * Tasks that the selection leaves; null = not to be told.
 * @param {{groups: [string, string, number][], ids: string, difficulties: string[], categories: string[], count: string}} chosen
 */
export function chosenTasks({ groups, ids, difficulties, categories, count }) {
  const named = ids.split("\n").map((line) => line.trim()).filter(Boolean);
  if (named.length) return named.length;
  const fitting = groups
    .filter(([difficulty, category]) => (!difficulties.length || difficulties.includes(difficulty)) && (!categories.length || categories.includes(category)))
    .reduce((sum, [, , tasks]) => sum + tasks, 0);
  if (count.trim() === "") return fitting;
  const wanted = Number(count);
  return Number.isInteger(wanted) && wanted > 0 ? Math.min(wanted, fitting) : null;
}

/** Different seeds in "0-4, 7"; null = it is no list of seeds. */
export function seedsIn(text) {
  const seeds = new Set();
  for (const part of text.replace(/\s*-\s*/g, "-").split(/[,;\s]+/).filter(Boolean)) {
    const found = /^(\d{1,10})(?:-(\d{1,10}))?$/.exec(part);
    if (!found) return null;
    const first = Number(found[1]);
    const last = Number(found[2] ?? found[1]);
    if (last < first || last - first >= MOST_SEEDS) return null;
    for (let seed = first; seed <= last; seed += 1) seeds.add(seed);
  }
  return seeds.size && seeds.size <= MOST_SEEDS ? seeds.size : null;
}

/** "60 tasks × 6 arms × 2 seeds = 720 runs". */
export function sumOf({ tasks, arms, seeds }) {
  const part = (n, word) => (n === null ? `? ${word}s` : `${n.toLocaleString("en-US")} ${word}${n === 1 ? "" : "s"}`);
  const known = tasks !== null && seeds !== null;
  return `${part(tasks, "task")} × ${part(arms, "arm")} × ${part(seeds, "seed")} = ${known ? part(tasks * arms * seeds, "run") : "? runs"}`;
}
