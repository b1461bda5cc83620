// The budget schedule with live inputs: the formula of budgets.js, drawn as bars.
import { budgetSchedule } from "./budgets.js";
import { fill, h, setText } from "./dom.js";
import { axis, baseLayout, hatch } from "./figures.js";
import { plot } from "./plots.js";

const $ = (id) => /** @type {any} */ (document.getElementById(id));
const form = $("preview-form");
const LEVELS = [1, 2, 3, 4, 5, 6];

/** The entered parameters; null and a message while they make no sense. */
function read() {
  const values = {};
  for (const input of form.elements) {
    if (!input.name) continue;
    if (!input.checkValidity()) return { error: `${input.labels[0]?.textContent || input.name}: ${input.validationMessage}` };
    values[input.name] = input.name === "schedule" ? input.value : Number(input.value);
  }
  if (values.budget_base > values.budget_max) return { error: "The base budget must not exceed the largest budget." };
  return { values };
}

let granted = LEVELS.map(() => 1);
let warmUp = 0;

function figure(theme) {
  let total = warmUp;
  const names = LEVELS.map((level, i) => { total += granted[i]; return `Level ${level}<br>${total} total`; });
  const look = { key: "large" };
  return {
    data: [{ type: "bar", x: names, y: granted, width: 0.62, text: granted.map(String), textposition: "outside", cliponaxis: false, hoverinfo: "skip", textfont: { size: 13, color: theme.text }, marker: { color: theme.large, cornerradius: 2, pattern: hatch(theme, look) } }],
    layout: { ...baseLayout(theme, { height: 260 }), margin: { l: 32, r: 8, t: 20, b: 44 }, xaxis: { ...axis(theme), type: "category", showgrid: false }, yaxis: { ...axis(theme), range: [0, Math.max(4, ...granted) * 1.15], nticks: 5, tickformat: "d" } },
  };
}

const chart = plot($("preview"), figure);

function update() {
  const { values, error } = read();
  $("preview-error").hidden = !error;
  setText($("preview-error"), error || "");
  if (error) return;
  warmUp = values.warm_up_steps;
  granted = LEVELS.map(budgetSchedule(values));
  $("preview").setAttribute("aria-label", `Steps granted at levels 1 to 6: ${granted.join(", ")}, after ${warmUp} warm-up steps`);
  fill($("preview-table"), h("table", { class: "table" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Level"), h("th", { scope: "col", class: "num" }, "Steps"))), h("tbody", {}, LEVELS.map((level, i) => h("tr", {}, h("th", { scope: "row" }, level), h("td", { class: "num" }, granted[i]))))));
  chart.update();
}

for (const button of document.querySelectorAll("[data-show]")) {
  button.addEventListener("click", () => {
    const table = /** @type {any} */ (button).dataset.show === "table";
    for (const one of document.querySelectorAll("[data-show]")) one.setAttribute("aria-pressed", String(one === button));
    $("preview-box").hidden = table;
    $("preview-table").hidden = !table;
    if (!table) chart.update();
  });
}
form.addEventListener("input", update);
form.addEventListener("submit", (event) => event.preventDefault());
update();
