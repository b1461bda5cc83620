// The form of a new experiment: counting runs, arms that come and go, the baseline among them.
// What an arm's fields are, only the server knows: htmx brings new arms, this file counts them.
import { fill, h, setText, toast } from "./dom.js";
import { chosenTasks, seedsIn, sumOf } from "./experiment-count.js";
import { count, plural } from "./format.js";
import { pickStrategies } from "./strategy-picker.js";

const $ = (id) => /** @type {any} */ (document.getElementById(id));
const form = $("new-experiment");
const most = Number(form.dataset.most);
const seen = new WeakSet(arms());

function arms() {
  return /** @type {HTMLElement[]} */ ([...$("arms").querySelectorAll("[data-arm]")]);
}

function labelOf(arm) {
  return /** @type {HTMLInputElement} */ (arm.querySelector("[name$='-label']")).value.trim();
}

function ticked(name) {
  return [...form.querySelectorAll(`[name="${name}"]:checked`)].map((box) => /** @type {HTMLInputElement} */ (box).value);
}

function update() {
  const labels = arms().map(labelOf);
  const selection = {
    groups: JSON.parse($("selection").dataset.counts).groups,
    ids: form.elements.ids.value, difficulties: ticked("difficulties"), categories: ticked("categories"), count: form.elements.count.value,
  };
  const tasks = chosenTasks(selection);
  const seeds = seedsIn(form.elements.seeds.value);
  setText($("total"), sumOf({ tasks, arms: labels.length, seeds }));
  fill($("summary"), labels.map((label) => h("li", { class: "wrap" }, label || h("span", { class: "soft" }, "An arm without a name"))),
    labels.length > most ? h("li", { class: "error" }, `At most ${most} arms fit: take some away.`) : null);
  const runs = tasks === null || seeds === null ? 0 : tasks * labels.length * seeds;
  setText($("submit-words"), runs ? `Start ${runs === 1 ? "1 run" : `${count(runs)} runs`}` : "Start experiment");
  $("no-arms").hidden = labels.length > 0;
  offerBaselines(labels.filter(Boolean));
}

/** The baseline stays the arm that it was, also while that is given another name. */
function offerBaselines(labels) {
  const select = $("id_baseline");
  const names = ["", ...new Set(labels)];
  const known = [...select.options].map((option) => option.value);
  if (names.length === known.length && names.every((name, i) => name === known[i])) return;
  const place = known.indexOf(select.value);
  const chosen = names.includes(select.value) ? select.value : names.length === known.length ? names[place] : "";
  fill(select, names.map((name) => h("option", { value: name }, name || "None")));
  select.value = chosen;
}

form.addEventListener("input", update);
form.addEventListener("change", update);
form.addEventListener("click", (event) => {
  const button = /** @type {Element} */ (event.target).closest("[data-remove-arm]");
  if (!button) return;
  const all = arms();
  const place = all.findIndex((arm) => arm.contains(button));
  all[place].remove();
  update();
  const next = arms()[Math.min(place, all.length - 2)];
  if (next) next.focus(); else $("add-arm").querySelector("summary").focus();
});
// Enter looks for a strategy or makes a sweep, it does not start hundreds of runs.
form.addEventListener("keydown", (event) => {
  const input = /** @type {HTMLElement} */ (event.target);
  if (event.key !== "Enter" || input.tagName !== "INPUT") return;
  event.preventDefault();
  if (input.dataset.sweep !== undefined) /** @type {any} */ (input.closest("details")).querySelector("button").click();
});
document.body.addEventListener("htmx:afterSettle", () => {
  update();
  const fresh = arms().filter((arm) => !seen.has(arm));
  if (!fresh.length) return;
  for (const arm of fresh) seen.add(arm);
  focusNew(fresh[0]);
});
for (const failure of ["htmx:sendError", "htmx:responseError"]) {
  document.body.addEventListener(failure, () => toast("The server did not answer. Try again; nothing you entered is lost.", { error: true }));
}

function focusNew(arm) {
  const wrong = /** @type {HTMLElement | null} */ (arm.querySelector("[aria-invalid=true]"));
  (wrong || arm).focus();
  setText($("announcer"), `${plural(arms().length, "arm")} now.`);
}

form.addEventListener("submit", () => { $("submit").setAttribute("aria-disabled", "true"); });
// A key a visit: a double click makes one experiment, coming back to change the form may make another.
window.addEventListener("pageshow", () => {
  form.elements.key.value = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  $("submit").removeAttribute("aria-disabled");
  update();
});
pickStrategies($("strategies"));
document.querySelector("dialog[data-open]")?.showModal();
document.querySelector("[data-focus-first]")?.focus();
update();
