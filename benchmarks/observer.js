// Put into the page before its own scripts: notes when the chart and the step cards are there.
// Times are epoch milliseconds of the frame that shows them.
(() => {
  const seen = { chart: null, first: null, steps: {}, points: {} };
  window.bench = seen;
  const now = () => performance.timeOrigin + performance.now();
  const shown = (note) => requestAnimationFrame(() => { const at = now(); note(at); });
  const look = () => {
    const plot = document.getElementById("plot");
    const points = plot?.dataset.points;
    if (points && seen.chart === null && plot.querySelector(".main-svg")) { seen.chart = 0; shown((at) => { seen.chart = at; }); }
    if (points && !(points in seen.points)) { seen.points[points] = 0; shown((at) => { seen.points[points] = at; }); }
    for (const card of document.querySelectorAll('#trajectory li[data-kind="step"]')) {
      const { step } = card.dataset;
      if (step in seen.steps) continue;
      seen.steps[step] = 0;
      shown((at) => { seen.steps[step] = at; seen.first ??= at; });
    }
  };
  new MutationObserver(look).observe(document, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-kind", "data-points"] });
})();
