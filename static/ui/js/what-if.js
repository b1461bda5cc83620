// A what-if: the recorded figures solid, the estimated ones hatched with their intervals.
import { figureCard } from "./experiment-card.js";
import { axis, baseLayout, hatch } from "./figures.js";
import { readJson } from "./dom.js";
import { provenanceNotes } from "./provenance.js";

const panels = readJson("what-if-data") || [];
const origin = { simulated: Boolean(document.getElementById("what-if-origin")?.dataset.simulated) };
const GAP = 0.09;

/** One pair of bars a figure, each on an axis of its own: their units differ. */
function build(theme, { title = "" } = {}) {
  const width = (1 - GAP * (panels.length - 1)) / panels.length;
  const data = panels.flatMap((panel, i) => {
    const on = { xaxis: i ? `x${i + 1}` : "x", yaxis: i ? `y${i + 1}` : "y" };
    const look = { color: theme.text3, cornerradius: 2 };
    return [
      { type: "bar", name: "recorded", ...on, x: ["was"], y: [panel.before], width: 0.7, marker: { color: theme.text2, cornerradius: 2 }, hovertemplate: `${panel.title}, recorded<br>%{y:.4~g} ${panel.unit}<extra></extra>` },
      { type: "bar", name: "estimated", ...on, x: ["est."], y: [panel.after], width: 0.7, marker: { ...look, pattern: hatch(theme, { key: "large" }) }, error_y: { type: "data", symmetric: false, array: [panel.high - panel.after], arrayminus: [panel.after - panel.low], thickness: 1.4, width: 5, color: theme.text }, customdata: [[panel.low, panel.high]], hovertemplate: `${panel.title}, estimated<br>%{y:.4~g} ${panel.unit} (%{customdata[0]:.4~g} to %{customdata[1]:.4~g})<extra></extra>` },
    ];
  });
  const axes = Object.fromEntries(panels.flatMap((_, i) => {
    const domain = [i * (width + GAP), i * (width + GAP) + width];
    const n = i ? String(i + 1) : "";
    return [[`xaxis${n}`, { ...axis(theme), domain, anchor: `y${n}`, type: "category", showgrid: false, showline: true, linecolor: theme.borderStrong }], [`yaxis${n}`, { ...axis(theme), anchor: `x${n}`, rangemode: "tozero", nticks: 4 }]];
  }));
  const titles = panels.map((panel, i) => ({ text: `${panel.title}${panel.unit ? `, ${panel.unit}` : ""}`, xref: "paper", yref: "paper", x: i * (width + GAP), y: 1.02, xanchor: "left", yanchor: "bottom", xshift: -20, showarrow: false, font: { size: 12, weight: 600, color: theme.text2 } }));
  return { data, layout: { ...baseLayout(theme, { height: 320, title }), margin: { l: 40, r: 12, t: title ? 84 : 56, b: 34 }, ...axes, annotations: [...titles, ...provenanceNotes(origin, theme).map((note) => ({ ...note, y: 1.2 }))] } };
}

const root = document.getElementById("what-if");
if (root && panels.length) {
  figureCard(root, {
    build, file: "what-if",
    shown: () => ({ text: 2, head: ["Figure", "Unit", "Recorded", "Estimated", "Low", "High"], rows: panels.map((one) => [one.title, one.unit || "number", ...[one.before, one.after, one.low, one.high].map((value) => Number(value.toPrecision(3)))]) }),
    numbers: () => ({ head: ["figure", "unit", "recorded", "estimated", "low", "high", "level"], rows: panels.map((one) => [one.title, one.unit, one.before, one.after, one.low, one.high, one.level]) }),
    describe: () => panels.map((one) => `${one.title}: recorded ${one.before.toFixed(1)} ${one.unit}, estimated ${one.after.toFixed(1)} (${one.low.toFixed(1)} to ${one.high.toFixed(1)})`).join("; "),
  }).update();
}
