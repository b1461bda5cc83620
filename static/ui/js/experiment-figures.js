// Figures of an experiment. Pure: results and a theme's tokens in, a plotly figure out.
import { axis, baseLayout, hatch, plain } from "./figures.js";
import { interval, show } from "./experiment-table.js";
import { provenanceNotes } from "./provenance.js";

const COLOURS = ["runA", "runB", "runC", "runD", "runE", "runF"];
const DASHES = ["solid", "dash", "dot", "dashdot"];
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon"];
const SUFFIX = { frac: "%", percent: "%", times: "×", s: " s" };

/** The look of the arm at a place: colour, dash and symbol differ, so that none of them stands alone. */
export function armLook(place, theme) {
  return { color: theme[COLOURS[place % COLOURS.length]], dash: DASHES[Math.floor(place / COLOURS.length) % DASHES.length], symbol: SYMBOLS[place % SYMBOLS.length] };
}

/** A figure's value as it is drawn: shares as per cent. */
function drawn(column, value) {
  if (value === null || value === undefined) return null;
  return column.unit === "frac" ? 100 * value : value;
}

function bars(column, measured) {
  const known = (one) => one.low !== null && one.low !== undefined && one.high !== null && one.high !== undefined;
  const value = (one) => drawn(column, one.value);
  return {
    type: "data", symmetric: false,
    array: measured.map((one) => (known(one) ? drawn(column, one.high) - value(one) : 0)),
    arrayminus: measured.map((one) => (known(one) ? value(one) - drawn(column, one.low) : 0)),
  };
}

function words(column, measured) {
  const range = interval(column, measured);
  return `${show(column, measured.value)}${range ? ` (${range})` : ""}`;
}

function named(column, theme) {
  return { ...axis(theme), showline: true, linecolor: theme.borderStrong, ticksuffix: SUFFIX[column.unit] || "", title: { text: column.title, font: { size: 12, color: theme.text3 }, standoff: 8 } };
}

function layout(theme, origin, { title = "", height = 360, ...rest }) {
  return { ...baseLayout(theme, { title, height }), margin: { l: 58, r: 18, t: title ? 58 : 30, b: 48 }, annotations: [...(rest.annotations || []), ...provenanceNotes(origin, theme, { above: true })], ...without(rest, "annotations") };
}

function without(object, key) {
  const { [key]: _, ...rest } = object;
  return rest;
}

// ---- the frontier --------------------------------------------------------------------------------

/**
 * @param {any} frontier one of `results.frontiers`, with two points at least
 * @param {Record<string, any>} columns by name
 */
export function paretoFigure(frontier, columns, theme, origin, { title = "" } = {}) {
  const [across, up] = [columns[frontier.x], columns[frontier.y]];
  const rises = across.better === "less";
  const on = frontier.points.filter((point) => point.on_frontier);
  const off = frontier.points.filter((point) => !point.on_frontier);
  const xs = frontier.points.flatMap((point) => [point.x.low ?? point.x.value, point.x.high ?? point.x.value]).map((x) => drawn(across, x));
  const ys = frontier.points.flatMap((point) => [point.y.low ?? point.y.value, point.y.high ?? point.y.value]).map((y) => drawn(up, y));
  const [left, right] = spread(xs, 0.14);
  const [bottom, top] = spread(ys, 0.1);
  const line = frontier.line.map(([x, y]) => [drawn(across, x), drawn(up, y)]);
  const ends = rises ? [...line, [right, line.at(-1)?.[1]]] : [[left, line[0]?.[1]], ...line];
  const stair = line.length ? [{
    type: "scatter", mode: "lines", name: "Frontier", hoverinfo: "skip", x: ends.map(([x]) => x), y: ends.map(([, y]) => y),
    line: { shape: rises ? "hv" : "vh", width: 1.6, color: theme.text2 }, fill: "tozeroy", fillcolor: faint(theme.text3),
  }] : [];
  const points = (list, marker, pale) => ({
    type: "scatter", mode: "markers", name: pale ? "Beaten in both" : "On the frontier", x: list.map((point) => drawn(across, point.x.value)), y: list.map((point) => drawn(up, point.y.value)),
    error_x: { ...bars(across, list.map((point) => point.x)), thickness: 1.2, width: 4, color: pale ? theme.borderStrong : theme.text2 },
    error_y: { ...bars(up, list.map((point) => point.y)), thickness: 1.2, width: 4, color: pale ? theme.borderStrong : theme.text2 },
    marker, customdata: list.map((point) => [plain(point.arm), words(across, point.x), words(up, point.y)]),
    hovertemplate: `%{customdata[0]}<br>${plain(up.title)} %{customdata[2]}<br>${plain(across.title)} %{customdata[1]}<extra></extra>`,
  });
  return {
    data: [...stair, points(off, { symbol: "circle-open", size: 10, color: theme.text3, line: { width: 1.8 } }, true), points(on, { symbol: "circle", size: 12, color: theme.text }, false)],
    layout: layout(theme, origin, {
      title, height: 380,
      xaxis: { ...named(across, theme), range: [left, right], showgrid: false }, yaxis: { ...named(up, theme), range: [bottom, top], title: { text: up.title, font: { size: 12, color: theme.text3 }, standoff: 4 } },
      annotations: labels(on.map((point) => ({ text: point.arm, x: drawn(across, point.x.value), y: drawn(up, point.y.value) })), [left, right], [bottom, top], theme),
    }),
  };
}

const PLOT_PX = 300;
const LINE_PX = 17;

/** Names beside their points, on the side with more room; those that would cover each other are pushed up. */
function labels(points, [left, right], [bottom, top], theme) {
  const placed = [];
  for (const point of [...points].sort((one, two) => one.y - two.y)) {
    const toRight = point.x <= (left + right) / 2;
    let px = ((point.y - bottom) / (top - bottom)) * PLOT_PX + 12;
    for (const other of placed) if (Math.abs(px - other.px) < LINE_PX) px = other.px + LINE_PX;
    placed.push({ px });
    placed[placed.length - 1].annotation = {
      text: plain(clipped(point.text)), x: point.x, y: point.y, xref: "x", yref: "y", showarrow: false, xanchor: toRight ? "left" : "right", xshift: toRight ? 12 : -12,
      yshift: px - ((point.y - bottom) / (top - bottom)) * PLOT_PX, font: { size: 12, weight: 600, color: theme.text }, bgcolor: theme.surface, opacity: 0.9, borderpad: 1,
    };
  }
  return placed.map((one) => one.annotation);
}

/** Names often differ at their ends: the middle is left out. */
export function clipped(text, most = 30) {
  const signs = Array.from(text);
  const half = Math.floor((most - 1) / 2);
  return signs.length > most ? `${signs.slice(0, half).join("")}…${signs.slice(-half).join("")}` : text;
}

/** The range of values with some room on both sides. */
export function spread(values, room) {
  const known = values.filter((value) => value !== null && Number.isFinite(value));
  if (!known.length) return [0, 1];
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const gap = (high - low || Math.abs(high) || 1) * room;
  return [low - gap, high + gap];
}

function faint(colour) {
  const found = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(colour);
  return found ? `rgba(${found.slice(1).map((part) => parseInt(part, 16)).join(",")},0.09)` : "rgba(0,0,0,0)";
}

// ---- sweeps --------------------------------------------------------------------------------------

/** One parameter's values from left to right; two figures over each other. */
export function sweepFigure(series, shown, columns, theme, origin, { title = "" } = {}) {
  const domains = shown.length > 1 ? [[0.58, 1], [0, 0.42]] : [[0, 1]];
  const data = shown.map((name, i) => {
    const [column, measured] = [columns[name], series.figures[name]];
    return {
      type: "scatter", mode: "lines+markers", name: column.title, xaxis: "x", yaxis: i ? "y2" : "y", x: series.values, y: measured.map((one) => drawn(column, one.value)),
      error_y: { ...bars(column, measured), thickness: 1.2, width: 4, color: theme.text3 }, line: { width: 2, color: theme.text }, marker: { size: 9, symbol: i ? "square" : "circle", color: theme.text },
      customdata: measured.map((one, k) => [plain(series.arms[k]), words(column, one)]), hovertemplate: `%{customdata[0]}<br>${plain(column.title)} %{customdata[1]}<extra></extra>`,
    };
  });
  const axes = Object.fromEntries(shown.map((name, i) => [i ? "yaxis2" : "yaxis", { ...named(columns[name], theme), domain: domains[i], nticks: 5, title: { text: columns[name].title, font: { size: 12, color: theme.text3 }, standoff: 4 } }]));
  return {
    data,
    layout: layout(theme, origin, { title, ...axes, xaxis: { ...axis(theme), anchor: shown.length > 1 ? "y2" : "y", showgrid: false, showline: true, linecolor: theme.borderStrong, tickvals: series.values, range: spread(series.values, 0.08), title: { text: plain(series.title), font: { size: 12, color: theme.text3 }, standoff: 8 } } }),
  };
}

// ---- unsolved against solved -----------------------------------------------------------------------

export function splitFigure(splits, name, columns, theme, origin, { title = "" } = {}) {
  const column = columns[name];
  const known = splits.filter((split) => [split.solved, split.unsolved].some((row) => row.figures[name]?.value !== null && row.figures[name]?.value !== undefined)).reverse();
  const part = (key, label, colour, pattern) => {
    const measured = known.map((split) => split[key].figures[name] || { value: null });
    return {
      type: "bar", orientation: "h", name: label, y: known.map((_, i) => i), x: measured.map((one) => drawn(column, one.value)),
      error_x: { ...bars(column, measured), thickness: 1.2, width: 4, color: theme.text2 }, marker: { color: colour, cornerradius: 2, ...(pattern ? { pattern } : {}) },
      customdata: measured.map((one, i) => [plain(known[i].arm), words(column, one), one.n || 0]), hovertemplate: `%{customdata[0]}, ${label}<br>${plain(column.title)} %{customdata[1]}<br>%{customdata[2]} runs<extra></extra>`,
    };
  };
  return {
    data: [part("unsolved", "unsolved", theme.bad, hatch(theme, { key: "large" })), part("solved", "solved", theme.good, null)],
    layout: layout(theme, origin, { title, height: Math.max(260, 90 + 54 * known.length), margin: { l: 168, r: 18, t: title ? 58 : 30, b: 48 }, barmode: "group", bargap: 0.35, xaxis: { ...named(column, theme), rangemode: "tozero" }, yaxis: { ...axis(theme), showgrid: false, tickvals: known.map((_, i) => i), ticktext: known.map((split) => plain(clipped(split.arm, 24))), tickfont: { size: 12, color: theme.text2 } } }),
  };
}

// ---- by difficulty -------------------------------------------------------------------------------

export function difficultyFigure(difficulty, name, chosen, columns, theme, origin, { title = "" } = {}) {
  const column = columns[name];
  const names = difficulty.levels.map((level) => `${plain(levelName(difficulty, level))}<br>${level.tasks} tasks`);
  const data = chosen.map(({ arm, place }) => {
    const look = armLook(place, theme);
    const measured = difficulty.levels.map((level) => level.table.rows.find((row) => row.arm === arm)?.figures[name] || { value: null });
    return {
      type: "scatter", mode: "lines+markers", name: plain(arm), x: names, y: measured.map((one) => drawn(column, one.value)), connectgaps: false,
      error_y: { ...bars(column, measured), thickness: 1, width: 3, color: look.color }, line: { width: 2, color: look.color, dash: look.dash }, marker: { size: 9, symbol: look.symbol, color: look.color },
      customdata: measured.map((one) => [plain(arm), words(column, one), one.n || 0]), hovertemplate: `%{customdata[0]}<br>${plain(column.title)} %{customdata[1]}<br>%{customdata[2]} runs<extra></extra>`,
    };
  });
  return { data, layout: layout(theme, origin, { title, margin: { l: 58, r: 18, t: title ? 58 : 30, b: 56 }, xaxis: { ...axis(theme), type: "category", showgrid: false, showline: true, linecolor: theme.borderStrong }, yaxis: { ...named(column, theme), title: { text: column.title, font: { size: 12, color: theme.text3 }, standoff: 4 } } }) };
}

export function levelName(difficulty, level) {
  if (difficulty.by === "label") return level.name;
  const unit = difficulty.by === "latency_s" ? " s" : " steps";
  return `${level.low.toFixed(1)} to ${level.high.toFixed(1)}${unit}`;
}

// ---- along the trajectory ------------------------------------------------------------------------

const PANELS = [["latency_s", "Seconds since the run began", [0.58, 1]], ["tokens_per_s", "Tokens per second", [0, 0.42]]];

export function curveFigure(curves, chosen, theme, origin, { title = "" } = {}) {
  const bySteps = curves.every((curve) => curve.positions.every(Number.isInteger));
  const data = chosen.flatMap(({ arm, place }) => {
    const curve = curves.find((one) => one.arm === arm);
    if (!curve) return [];
    const look = armLook(place, theme);
    return PANELS.map(([key], i) => ({
      type: "scatter", mode: "lines", name: plain(arm), xaxis: "x", yaxis: i ? "y2" : "y", x: curve.positions, y: curve[key].map((one) => one.value), connectgaps: false, line: { width: 2, color: look.color, dash: look.dash },
      customdata: curve[key].map((one) => [plain(arm), one.value === null ? "" : one.value.toFixed(1), one.n]), hovertemplate: `%{customdata[0]}, ${bySteps ? "step" : "part"} %{x}<br>${i ? "%{customdata[1]} tokens/s" : "%{customdata[1]} s"}<br>%{customdata[2]} runs<extra></extra>`,
    }));
  });
  const axes = Object.fromEntries(PANELS.map(([, , domain], i) => [i ? "yaxis2" : "yaxis", { ...axis(theme), domain, rangemode: "tozero", showline: true, linecolor: theme.borderStrong, nticks: 5 }]));
  const titles = PANELS.map(([, text, domain]) => ({ text, xref: "paper", yref: "paper", x: 0, y: domain[1] + 0.01, xanchor: "left", yanchor: "bottom", xshift: -40, showarrow: false, font: { size: 12, weight: 600, color: theme.text2 } }));
  return {
    data,
    layout: layout(theme, origin, { title, height: 420, ...axes, annotations: titles, xaxis: { ...axis(theme), anchor: "y2", showgrid: false, showline: true, linecolor: theme.borderStrong, ...(bySteps ? {} : { tickformat: ".0%" }), title: { text: bySteps ? "Step" : "Part of the run's steps", font: { size: 12, color: theme.text3 }, standoff: 8 } } }),
  };
}
