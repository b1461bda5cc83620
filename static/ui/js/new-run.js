// The form of a new run: sample tasks, parameters of the ticked strategies, a running summary.
import { budgetSchedule, mostOnTop } from "./budgets.js";
import { fill, h, setText, toast } from "./dom.js";
import { plural } from "./format.js";
import { pickStrategies } from "./strategy-picker.js";

const $ = (id) => /** @type {any} */ (document.getElementById(id));
const form = $("new-run");
const most = Number(form.dataset.most);
/** htmx listens from DOMContentLoaded on. */
let ready = false;
const boxes = /** @type {HTMLInputElement[]} */ ([...form.querySelectorAll("[data-strategy]")]);

function ticked() {
  return boxes.filter((box) => box.checked);
}

/** The entered parameters of a strategy, numbers as numbers. */
function parameters(name) {
  const values = {};
  for (const input of form.querySelectorAll(`[name^="${name}-"]`)) {
    if (input.type === "hidden") continue;
    const key = input.name.slice(name.length + 1);
    values[key] = input.type === "checkbox" ? input.checked : input.type === "number" || key === "level_offset" ? Number(input.value) : input.value;
  }
  return values;
}

function update() {
  for (const box of boxes) {
    const part = form.querySelector(`[data-parameters="${box.value}"]`);
    part.hidden = !box.checked;
    if (ready && box.checked && part.dataset.later === "") {
      part.dataset.later = "asked";
      part.dispatchEvent(new Event("wanted"));
    }
    for (const input of part.querySelectorAll("input, select, textarea")) input.disabled = !box.checked;
  }
  const chosen = ticked();
  const steps = Number(form.elements.max_steps.value) || 0;
  const ladder = $("id_ladder").selectedOptions[0]?.textContent || "";
  const lines = chosen.map((box) => h("li", {}, h("span", { class: "strong" }, box.dataset.title), h("span", { class: "soft block" }, spending(box.value, steps))));
  fill($("summary"),
    chosen.length ? null : h("li", { class: "soft" }, "No strategy chosen yet."),
    ...lines,
    ladder ? h("li", { class: "soft" }, `Ladder ${ladder}`) : null,
    chosen.length > 1 ? h("li", { class: "soft" }, `A race: ${plural(chosen.length, "run")} of the same task, shown side by side.`) : null,
    chosen.length > most ? h("li", { class: "error" }, `A race holds at most ${most}: take some away.`) : null);
  setText($("submit-words"), chosen.length > 1 ? `Start ${chosen.length} runs` : "Start run");
  const picked = form.elements.task_id.value;
  $("picked").hidden = !picked;
  setText($("picked-name"), picked);
}

/** At most how much a strategy can spend within the limit of steps, as far as its parameters tell. */
function spending(name, steps) {
  const values = parameters(name);
  if (values.temperature !== undefined && values.agent === undefined && values.granularity !== "step") return "Its agents have step limits of their own";
  const most = `At most ${plural(steps, "step")}${values.agent === "planner-executor" ? " of the planner" : ""}`;
  if (name === "small") return `${most}, none on the top tier`;
  if (name === "large") return `${most}, all on the top tier`;
  if (values.budget_base === undefined || values.warm_up_steps === undefined) return most;
  const schedule = budgetSchedule(values.schedule ? values : { budget_base: values.budget_base, growth: 0, budget_max: values.budget_base, schedule: "linear", sigmoid_midpoint: 1, level_offset: 0 });
  return `${most}, ${mostOnTop({ steps, warmUp: values.warm_up_steps, budget: schedule })} above the lowest tier`;
}

// ---- sample tasks --------------------------------------------------------------------------------

let timer = 0;
let asked = 0;

async function findTasks() {
  const mine = ++asked;
  const query = new URLSearchParams({ collection: $("id_collection").value, q: $("tasks-search").value });
  try {
    const response = await fetch(`${form.dataset.tasks}?${query}`);
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    const { tasks, more } = await response.json();
    if (mine !== asked) return;
    setText($("tasks-state"), tasks.length ? `${plural(tasks.length, "task")}${more ? " shown, search to narrow them down" : ""}` : "No task matches.");
    fill($("tasks-list"), ...tasks.map((task) => h("li", {}, h("button", { type: "button", class: "task-button", onclick: () => pick(task) },
      h("span", { class: "small-text muted" }, `${task.task_id} · ${task.difficulty}`), h("span", { class: "block" }, task.question)))));
  } catch (error) {
    setText($("tasks-state"), `The tasks could not be read (${error.message}). Try again.`);
  }
}

function pick(task) {
  $("id_question").value = task.question;
  form.elements.task_id.value = task.task_id;
  form.dataset.picked = task.question;
  $("tasks-dialog").close();
  update();
  $("id_question").focus();
}

$("pick-task")?.addEventListener("click", () => { $("tasks-dialog").showModal(); findTasks(); });
$("tasks-search").addEventListener("input", () => { clearTimeout(timer); timer = window.setTimeout(findTasks, 200); });
$("id_question").addEventListener("input", () => {
  if (form.dataset.picked !== undefined && $("id_question").value !== form.dataset.picked) { form.elements.task_id.value = ""; delete form.dataset.picked; }
});
$("id_collection").addEventListener("change", () => { form.elements.task_id.value = ""; });
form.addEventListener("input", update);
form.addEventListener("change", update);
// Parameters of a card are loaded when it is ticked; until then, and if that fails, its defaults hold.
form.addEventListener("htmx:afterSettle", (event) => { delete /** @type {any} */ (event.target).dataset.later; update(); });
for (const failure of ["htmx:sendError", "htmx:responseError"]) {
  form.addEventListener(failure, (event) => { /** @type {any} */ (event.target).dataset.later = ""; toast("The parameters could not be loaded; the defaults are used.", { error: true }); });
}
document.addEventListener("DOMContentLoaded", () => { ready = true; update(); });
form.addEventListener("submit", () => { $("submit").setAttribute("aria-disabled", "true"); });
form.dataset.picked = $("id_question").value;
pickStrategies($("id_strategies"));
// A key a visit: a double click makes one run, coming back to change the form may make another.
window.addEventListener("pageshow", () => {
  form.elements.key.value = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  $("submit").removeAttribute("aria-disabled");
  update();
});
document.querySelector("[data-focus-first]")?.focus();
update();
