// Numbers and words for people. Pure; units always with the number.

/** Seconds: 7.2 s, 93 s, 12 min 4 s. */
export function seconds(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "n/a";
  if (value < 100) return `${value.toFixed(value < 10 ? 2 : 1)} s`;
  if (value < 600) return `${Math.round(value)} s`;
  return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
}

/** US dollars, with as many digits as small prices need. */
export function usd(value) {
  if (value === null || value === undefined) return "unknown";
  if (value === 0) return "$0";
  const digits = value >= 1 ? 2 : Math.min(6, Math.max(4, 2 - Math.floor(Math.log10(value))));
  return `$${value.toFixed(digits)}`;
}

/** Counts with a thin grouping: 12 345. */
export function count(value) {
  return value === null || value === undefined ? "n/a" : Math.round(value).toLocaleString("en-US");
}

/** A share in 0..1 as whole per cent. */
export function percent(share) {
  return share === null || share === undefined ? "n/a" : `${Math.round(share * 100)}%`;
}

export function times(value) {
  return value === null || value === undefined ? "n/a" : `${value.toFixed(2)}×`;
}

export function plural(n, word) {
  return `${n} ${word}${n === 1 ? "" : "s"}`;
}

const VERDICTS = {
  missing: "No verdict", malformed: "Unreadable verdict", not_asked: "Not judged",
};

/** The words for a step's verdict. */
export function verdict(check, indicator) {
  if (check === "parsed") return indicator === 0 ? "No progress" : "Progress";
  return VERDICTS[check] || "Not judged";
}
