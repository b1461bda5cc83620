// Numbers and words for people. Pure; units always with the number.

export function capital(text) {
  const letters = Array.from(text || "");
  return letters.length ? letters[0].toUpperCase() + letters.slice(1).join("") : "";
}

/** Seconds: 7.20 s, 93.1 s, 120 s, 12 min 4 s, 2 h 13 min; the same words as ui.py. */
export function seconds(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "n/a";
  if (value < 100) return `${value.toFixed(value < 10 ? 2 : 1)} s`;
  if (value < 600) return `${Math.round(value)} s`;
  const whole = Math.round(value);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** A moment as everywhere in the product: 2026-11-29 00:42 UTC. */
export function moment(iso) {
  return `${new Date(iso).toISOString().slice(0, 16).replace("T", " ")} UTC`;
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

/** Large counts in short: 950, 15.3k, 505.1M. */
export function shortCount(value) {
  if (value < 10_000) return count(value);
  return value < 1e6 ? `${(value / 1e3).toFixed(1)}k` : `${(value / 1e6).toFixed(1)}M`;
}

/** Text cells that a spreadsheet would run get an apostrophe in front; everything is quoted. */
export function csvCell(value) {
  const text = value === null || value === undefined ? "" : String(value);
  const risky = typeof value === "string" && /^\s*[=+\-@\t\r＝＋－＠]/u.test(text);
  return `"${(risky ? `'${text}` : text).replaceAll("\"", "\"\"")}"`;
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
