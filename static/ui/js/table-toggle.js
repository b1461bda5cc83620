// A table of the same model as the plot, a page at a time so that the DOM stays small.
import { fill, h } from "./dom.js";
import { instanceName } from "./instances.js";
import { finished, isParallel } from "./model.js";
import { count, verdict } from "./format.js";
import { tierBadge } from "./step-card.js";

const PAGE = 150;

/** Switch between a chart and its table. Answers an object with `update()`. */
export function tableToggle({ buttons, chart, legend, table, model, wakeChart }) {
  let shown = "chart";
  let page = 0;

  function update() {
    if (shown === "table" && model()) draw();
  }
  function draw() {
    const steps = finished(model());
    const pages = Math.max(1, Math.ceil(steps.length / PAGE));
    page = Math.min(page, pages - 1);
    const turn = (by) => () => { page += by; draw(); };
    fill(table, stepTable(model(), steps.slice(page * PAGE, (page + 1) * PAGE)), pages > 1 ? h("div", { class: "pager" },
      h("button", { type: "button", class: "btn btn-compact", disabled: page === 0, onclick: turn(-1) }, "Previous"),
      h("span", { class: "small-text soft" }, `Page ${page + 1} of ${pages}`),
      h("button", { type: "button", class: "btn btn-compact", disabled: page === pages - 1, onclick: turn(1) }, "Next")) : null);
  }
  for (const button of buttons) {
    button.addEventListener("click", () => {
      shown = button.dataset.show;
      for (const one of buttons) one.setAttribute("aria-pressed", String(one === button));
      chart.hidden = shown === "table";
      if (legend) legend.hidden = shown === "table";
      table.hidden = shown !== "table";
      update();
      if (shown === "chart") wakeChart();
    });
  }
  return { update };
}

const HEADINGS = [["Step", ""], ["Tier", ""], ["Level", "num"], ["Latency, s", "num"], ["Total, s", "num"], ["Tokens", "num"], ["tok/s", "num"], ["Judgement", ""]];

export function stepTable(model, steps) {
  const many = isParallel(model);
  const headings = many ? [HEADINGS[0], ["Agent", ""], ...HEADINGS.slice(1)] : HEADINGS;
  const row = (step) => h("tr", {},
    h("th", { scope: "row" }, step.step),
    many ? h("td", { class: "nowrap" }, instanceName(step.scope, step.role)) : null,
    h("td", {}, tierBadge(model, step.tier)),
    h("td", { class: "num" }, step.level || "–"),
    h("td", { class: "num" }, step.latency.total_s.toFixed(2)),
    h("td", { class: "num" }, step.cumulative_s.toFixed(2)),
    h("td", { class: "num" }, count(step.usage.output_tokens)),
    h("td", { class: "num" }, step.tokens_per_s === null || step.tokens_per_s === undefined ? "n/a" : Math.round(step.tokens_per_s)),
    h("td", {}, verdict(step.check, step.indicator)));
  return h("table", { class: "table" },
    h("caption", { class: "sr" }, "Finished steps of the run"),
    h("thead", {}, h("tr", {}, headings.map(([name, className]) => h("th", { scope: "col", class: className }, name)))),
    h("tbody", {}, steps.map(row)));
}
