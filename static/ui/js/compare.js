// The comparison: one feed a run, all views drawn from the models, live while any run is.
import { drawAligned } from "./aligned.js";
import { fill, h, icon, readJson, setText, svg } from "./dom.js";
import { LETTERS, metrics, overlayFigure, ribbonSpans } from "./figures-compare.js";
import { count, csvCell, percent, plural, seconds, shortCount, times, usd, verdict } from "./format.js";
import { tierKey } from "./legend.js";
import { follow } from "./live.js";
import { capital, finished, isStall, tierLook } from "./model.js";
import { plot, savePng } from "./plots.js";
import { readMarks } from "./review-marks.js";

const $ = (id) => /** @type {any} */ (document.getElementById(id));
const payload = readJson("compare-payload");
const { runs, baseline } = payload;
const feeds = [];
const states = runs.map(() => "loading");
const phone = matchMedia("(max-width: 760px)");
const view = { colour: "run", align: "step", onlyDifferences: false, shown: 60, table: false };

const models = () => feeds.map((feed) => feed?.model || null);
const figure = (theme, title = "") => overlayFigure(models(), theme, { colour: view.colour, title, compact: phone.matches });
const chart = plot($("overlay"), (theme) => figure(theme));

function badge(index) {
  return h("span", { class: `badge badge-${LETTERS[index].toLowerCase()}` }, LETTERS[index]);
}

// ---- metrics -------------------------------------------------------------------------------------

const OUTCOMES = { correct: ["chip-good", "circle-check", "Correct"], incorrect: ["chip-bad", "circle-x", "Incorrect"], unscored: ["chip-plain", "circle-dashed", "Not scored"] };
const ENDS = { failed: ["chip-bad", "circle-x", "Failed"], cancelled: ["chip-plain", "square", "Stopped"], queued: ["chip-plain", "circle-dashed", "Queued"], running: ["chip-plain", "loader-circle", "Running"] };

function outcomeChip(model) {
  if (!model) return h("span", { class: "muted" }, "Loading");
  const [className, name, words] = model.run.status === "finished" ? OUTCOMES[model.run.outcome] || OUTCOMES.unscored : ENDS[model.run.status];
  return h("span", { class: `chip ${className}` }, icon(name), words);
}

function delta(value, base) {
  if (base === null || base === undefined || value === base) return "";
  return value > base ? ` +${value - base}` : ` −${base - value}`;
}

const COLUMNS = [
  { name: "Steps", best: "low", of: (m) => m.steps, show: (m, base) => [String(m.steps), h("span", { class: "muted" }, delta(m.steps, base?.steps))] },
  { name: "Latency", best: "low", of: (m) => m.latency, show: (m) => [seconds(m.latency)] },
  { name: "Speed-up", best: "high", of: (m) => m.speedupOver, show: (m) => [times(m.speedupOver)] },
  { name: "Switching", of: (m) => m.switchingRatio, show: (m) => [percent(m.switchingRatio)] },
  { name: "Top-tier steps", of: (m) => m.topStepShare, show: (m) => [percent(m.topStepShare)] },
  { name: "Top-tier tokens", best: "low", of: (m) => m.topTokenShare, show: (m) => [percent(m.topTokenShare), h("progress", { class: "meter meter-large", max: 1, value: m.topTokenShare || 0, "aria-label": "Share of output tokens from the top tier" })], bar: true },
  { name: "Tokens", best: "low", of: (m) => m.input + m.output, show: (m) => [shortCount(m.input + m.output)] },
  { name: "Cost", best: "low", of: (m) => m.cost, show: (m) => [usd(m.cost)] },
  { name: "No progress", of: (m) => m.stalls, show: (m) => [String(m.stalls)] },
  { name: "False progress ≥", title: "Judged progress although the call failed or repeated an earlier one word for word", of: (m) => m.doubtful, show: (m) => [String(m.doubtful)] },
  { name: "Verdicts missing", title: "Missing plus unreadable verdicts", of: (m) => m.missing + m.malformed, show: (m) => [String(m.missing + m.malformed)] },
];

/** The best value of a column among the solved runs. */
function best(column, figures) {
  const values = figures.filter((m) => m?.solved).map(column.of).filter((value) => value !== null);
  if (!column.best || values.length < 2) return undefined;
  return column.best === "low" ? Math.min(...values) : Math.max(...values);
}

function drawMetrics() {
  const all = models();
  const base = all[baseline] ? metrics(all[baseline], null) : null;
  const figures = all.map((model) => (model ? metrics(model, base?.latency || null) : null));
  const value = (column, index) => {
    const m = figures[index];
    if (!m) return "–";
    const own = column.of(m);
    const isBest = m.solved && own !== null && own === best(column, figures);
    return h("span", { class: `${column.bar ? "bar-cell " : ""}${isBest ? "best" : ""}` }, column.show(m, index === baseline ? null : base));
  };
  fill($("metrics"), phone.matches ? transposed(all, value) : upright(all, value));
}

function heading(column) {
  return h("th", { scope: "col", class: "num", title: column.title }, column.name);
}

function upright(all, value) {
  return h("table", { class: "table metrics-table" }, h("caption", { class: "sr" }, "Metrics of the compared runs"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Run"), h("th", { scope: "col" }, "Outcome"), COLUMNS.map(heading))),
    h("tbody", {}, runs.map((run, index) => h("tr", {},
      h("th", { scope: "row" }, h("span", { class: "metrics-name" }, badge(index), run.title, h("span", { class: "muted small-text" }, index === baseline ? "baseline" : run.ref))),
      h("td", {}, outcomeChip(all[index])), COLUMNS.map((column) => h("td", { class: "num" }, value(column, index)))))));
}

function transposed(all, value) {
  return h("table", { class: "table" }, h("caption", { class: "sr" }, "Metrics of the compared runs"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Metric"), runs.map((run, index) => h("th", { scope: "col", class: "num" }, badge(index), h("span", { class: "sr" }, run.title))))),
    h("tbody", {},
      h("tr", {}, h("th", { scope: "row" }, "Outcome"), runs.map((_, index) => h("td", { class: "num" }, outcomeChip(all[index])))),
      COLUMNS.map((column) => h("tr", {}, h("th", { scope: "row" }, column.name), runs.map((_, index) => h("td", { class: "num" }, value(column, index)))))));
}

// ---- ribbons -------------------------------------------------------------------------------------

const UNITS = 600;

function ribbon(model, limit) {
  const unit = UNITS / limit;
  const gap = limit > 120 ? 0 : Math.min(1.4, unit * 0.12);
  const heights = { small: [5, 11], mid: [3, 13], "mid-2": [3, 13], large: [1, 15] };
  const paths = {};
  for (const span of ribbonSpans(model)) {
    const [y, height] = heights[span.look];
    const cells = gap ? Array.from({ length: span.to - span.from + 1 }, (_, i) => [span.from + i, 1]) : [[span.from, span.to - span.from + 1]];
    paths[span.look] = (paths[span.look] || "") + cells.map(([from, length]) => `M${((from - 1) * unit).toFixed(2)},${y}h${(length * unit - gap).toFixed(2)}v${height}h-${(length * unit - gap).toFixed(2)}z`).join("");
  }
  const dots = finished(model).filter(isStall).map((step) => `M${((step.step - 0.5) * unit - 1.5).toFixed(2)},20h3v3h-3z`).join("");
  return svg("svg", { viewBox: `0 0 ${UNITS} 26`, preserveAspectRatio: "none", role: "img", "aria-label": ribbonWords(model) },
    Object.entries(paths).map(([look, d]) => [svg("path", { d, class: `fill-${look}` }), look === "small" ? null : svg("path", { d, fill: "url(#hatch)" })]),
    dots ? svg("path", { d: dots, class: "fill-bad" }) : null);
}

function ribbonWords(model) {
  const steps = finished(model);
  return `${steps.length} steps, ${steps.filter((step) => step.tier === model.names.length - 1).length} on the top tier, ${steps.filter(isStall).length} without progress`;
}

function drawRibbons() {
  const all = models();
  const limit = Math.max(1, ...all.map((model) => (model ? Math.min(model.run.limits.max_steps, Math.max(40, finished(model).length)) : 1)));
  fill($("ribbons"),
    svg("svg", { class: "sprite", "aria-hidden": "true" }, svg("defs", {}, svg("pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, svg("path", { d: "M0 0V6", class: "hatch-line" })))),
    runs.map((run, index) => h("div", { class: "ribbon-row" },
      h("div", { class: "ribbon-head" }, badge(index), run.title, h("span", { class: "muted small-text" }, all[index] ? `${plural(finished(all[index]).length, "step")}, ${plural(metrics(all[index], null).switches, "switch")}`.replace("switchs", "switches") : "loading")),
      all[index] ? ribbon(all[index], limit) : null)),
    h("div", { class: "ribbon-axis", "aria-hidden": "true" }, h("span", {}, "1"), h("span", {}, Math.round(limit / 2)), h("span", {}, limit)));
}

function drawLegends() {
  const model = models().find(Boolean);
  if (!model) return;
  const tiers = model.names.map((name, tier) => h("li", {}, tierKey(tierLook(tier, model.names.length).key), capital(name)));
  fill($("overlay-legend"), view.colour === "tier" ? tiers : model.names.map((name, tier) => h("li", {}, svg("svg", { viewBox: "0 0 22 12", class: "key-est", "aria-hidden": "true" }, svg("path", { d: "M1 6h20", "stroke-width": tier ? 4 : 1.8 })), `${capital(name)} step`)));
  fill($("ribbon-legend"), model.names.map((name, tier) => h("li", {}, h("span", { class: `glyph glyph-${tierLook(tier, model.names.length).key}` }), capital(name))), h("li", {}, svg("svg", { viewBox: "0 0 6 12", class: "fill-bad dot-key", "aria-hidden": "true" }, svg("rect", { x: 1, y: 4, width: 4, height: 4 })), "No progress"));
}

// ---- the rest ------------------------------------------------------------------------------------

function drawTable() {
  if (!view.table) return;
  const all = models();
  const most = Math.max(0, ...all.map((model) => (model ? finished(model).length : 0)));
  fill($("overlay-table"), h("table", { class: "table" }, h("caption", { class: "sr" }, "Cumulative latency in seconds by step"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Step"), runs.map((_, index) => h("th", { scope: "col", class: "num" }, badge(index))))),
    h("tbody", {}, Array.from({ length: Math.min(most, 500) }, (_, i) => h("tr", {}, h("th", { scope: "row" }, i + 1), all.map((model) => h("td", { class: "num" }, model?.steps[i] ? model.steps[i].cumulative_s.toFixed(2) : "–"))))),
  ), most > 500 ? h("p", { class: "pager small-text" }, "The first 500 steps; all of them are in the CSV.") : null);
}

function drawAlignment() {
  drawAligned($("aligned"), { ...view, models: models(), baseline, runs, align: view.align, more: () => { view.shown += 60; drawAlignment(); } });
}

let timer = 0;
function update() {
  if (timer) return;
  timer = window.setTimeout(() => { timer = 0; drawAll(); }, 250);
}

/** What people said of verdicts, by run and step. */
let labels = new Map();

function drawAll() {
  models().forEach((model, index) => { if (model) model.labels = labels.get(runs[index].uuid); });
  drawMetrics();
  drawRibbons();
  drawLegends();
  drawTable();
  drawAlignment();
  chart.update();
  setText($("baseline-letter"), LETTERS[baseline]);
  $("compare").dataset.loaded = String(models().filter(Boolean).length);
  $("overlay").setAttribute("aria-label", runs.map((run, index) => `${LETTERS[index]}: ${run.title}, ${models()[index] ? seconds(metrics(models()[index], null).latency) : "loading"}`).join("; "));
}

function saveCsv() {
  const lines = [["run", "ref", "strategy", "step", "tier", "level", "latency_s", "total_s", "output_tokens", "judgement", "action", "simulated", "scope", "role", "stand_in"]];
  models().forEach((model, index) => {
    if (!model) return;
    for (const step of finished(model)) lines.push([LETTERS[index], runs[index].ref, model.run.strategy, step.step, step.tier_name, step.level, step.latency.total_s, step.cumulative_s, step.usage.output_tokens, verdict(step.check, step.indicator), step.action, model.run.simulated, step.scope || "", step.role, Boolean(model.run.stand_in)]);
  });
  const blob = new Blob([lines.map((line) => line.map(csvCell).join(",")).join("\r\n")], { type: "text/csv" });
  const url = URL.createObjectURL(blob);
  const link = h("a", { href: url, download: "comparison.csv" });
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

function press(selector, button) {
  for (const one of document.querySelectorAll(selector)) one.setAttribute("aria-pressed", String(one === button));
}

function wire(selector, handler) {
  for (const button of document.querySelectorAll(selector)) button.addEventListener("click", () => { press(selector, button); handler(/** @type {any} */ (button).dataset); });
}

function onState(index, state) {
  states[index] = state;
  const lost = states.includes("reconnecting");
  const gone = states.findIndex((one) => ["signed-out", "gone", "removed"].includes(one));
  $("connection").hidden = !lost && gone < 0;
  setText($("connection"), gone >= 0 ? `Run ${LETTERS[gone]} can no longer be read; sign in again or remove it.` : "Reconnecting to the running runs.");
}

wire("[data-colour]", ({ colour }) => { view.colour = colour; drawLegends(); chart.update(); });
wire("[data-align]", ({ align }) => { view.align = align; drawAlignment(); });
wire("[data-show]", ({ show }) => {
  view.table = show === "table";
  $("overlay-box").hidden = view.table;
  $("overlay-legend").hidden = view.table;
  $("overlay-table").hidden = !view.table;
  drawTable();
  if (!view.table) chart.update();
});
$("differences").addEventListener("change", (event) => { view.onlyDifferences = event.target.checked; drawAlignment(); });
$("save-csv").addEventListener("click", saveCsv);
$("save-png").addEventListener("click", () => savePng((theme) => figure(theme, `Compare: ${models().find(Boolean)?.run.question.slice(0, 90) || ""}`), "comparison"));
phone.addEventListener("change", update);
readMarks(runs.map((run) => run.uuid)).then((found) => { labels = found; if (found.size) update(); });
runs.forEach((run, index) => {
  feeds[index] = follow(run.url, run.socket, { onModel: update, onEvent: update, onState: (state) => onState(index, state) });
});
