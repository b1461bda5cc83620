// The curve of weights: what share of the steps each threshold sends up the ladder, or calls stalls.
import { fill, h, readJson } from "./dom.js";
import { axis, baseLayout } from "./figures.js";
import { plot } from "./plots.js";
import { provenanceNotes } from "./provenance.js";

const $ = (id) => /** @type {any} */ (document.getElementById(id));
const ROWS = 25;
const points = [...(readJson("curve-data") || [])].sort((a, b) => a.threshold - b.threshold);
const words = $("curve-labels")?.dataset.words;
const share = (value) => `${(100 * value).toFixed(1)} %`;

function figure(theme) {
  const origin = { simulated: Boolean($("curve-labels").dataset.simulated), stand_in: Boolean($("curve-labels").dataset.standIn) };
  return {
    data: [{
      type: "scatter", mode: points.length > 40 ? "lines" : "lines+markers", x: points.map((one) => one.threshold), y: points.map((one) => 100 * one.large_share),
      line: { color: theme.large, width: 2.5, shape: "hv" }, marker: { color: theme.large, size: 7, symbol: "square" },
      hovertemplate: `threshold %{x:.4f}<br>%{y:.1f} % ${words}<extra></extra>`,
    }],
    layout: {
      ...baseLayout(theme, { height: 300 }), margin: { l: 48, r: 16, t: 36, b: 52 },
      xaxis: { ...axis(theme), showgrid: false, title: { text: "Threshold", font: { size: 12, color: theme.text3 } } },
      yaxis: { ...axis(theme), range: [0, 105], ticksuffix: " %" },
      annotations: provenanceNotes(origin, theme, { above: true }),
    },
  };
}

/** At most so many rows: the two ends and points between them, spread evenly. */
function rows() {
  if (points.length <= ROWS) return points;
  return Array.from({ length: ROWS }, (_, i) => points[Math.round((i * (points.length - 1)) / (ROWS - 1))]);
}

if (points.length) {
  const chart = plot($("curve"), figure);
  const first = points[0];
  const last = points[points.length - 1];
  $("curve").setAttribute("aria-label", `Threshold ${first.threshold.toFixed(3)}: ${share(first.large_share)} ${words}; threshold ${last.threshold.toFixed(3)}: ${share(last.large_share)}`);
  fill($("curve-table"), h("table", { class: "table" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "num" }, "Threshold"), h("th", { scope: "col", class: "num" }, `Share ${words}`))),
    h("tbody", {}, rows().map((one) => h("tr", {}, h("td", { class: "num" }, one.threshold.toFixed(4)), h("td", { class: "num" }, share(one.large_share)))))));
  for (const button of document.querySelectorAll("[data-show]")) {
    button.addEventListener("click", () => {
      const table = /** @type {any} */ (button).dataset.show === "table";
      for (const one of document.querySelectorAll("[data-show]")) one.setAttribute("aria-pressed", String(one === button));
      $("curve-box").hidden = table;
      $("curve-table").hidden = !table;
      if (!table) chart.update();
    });
  }
  chart.update();
}
