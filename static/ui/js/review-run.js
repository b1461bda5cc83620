// The review page of a run: each verdict with its labels, read anew when something has changed.
import { fill, h, icon, setText } from "./dom.js";
import { instanceName } from "./instances.js";
import { capital, tierLook } from "./model.js";
import { kindChip, ANSWERS } from "./review-words.js";
import { verdictChip } from "./step-card.js";

const POLL_MS = 2_000;
const SLOW_MS = 10_000;
const page = /** @type {HTMLElement} */ (document.getElementById("review-run"));
const list = /** @type {HTMLElement} */ (document.getElementById("verdicts"));
let since = "";
let filter = "all";
let steps = [];
let timer = 0;

async function read() {
  let wait = POLL_MS;
  try {
    const response = await fetch(`${page.dataset.url}?since=${encodeURIComponent(since)}`);
    if (response.status === 404 || response.redirected) { stop(response.redirected ? "You are signed out." : "This run is not here, or not yours any more."); return; }
    if (response.ok && response.status !== 204) {
      const told = await response.json();
      since = told.revision;
      steps = told.steps;
      draw();
    }
    tell("");
  } catch (error) {
    console.info("The labels could not be read.", String(error));
    tell("Not connected; what is shown may be old.");
    wait = SLOW_MS;
  }
  timer = window.setTimeout(read, wait);
}

function tell(words) {
  const bar = document.getElementById("connection");
  setText(bar, words);
  bar.hidden = !words;
}

function stop(words) {
  window.clearTimeout(timer);
  tell(words);
}

const WANTED = {
  all: () => true,
  labelled: (step) => !step.hidden && step.labels.length > 0,
  wrong: (step) => !step.hidden && step.labels.some((label) => label.kind === "false_progress" || label.kind === "missed_progress"),
  split: (step) => !step.hidden && new Set(step.labels.filter((label) => !label.decision && label.answer !== "unsure").map((label) => label.answer)).size > 1,
};

function draw() {
  const shown = steps.filter(WANTED[filter]);
  const parallel = new Set(steps.map((step) => step.scope || "")).size > 1;
  fill(list, ...shown.map((step) => row(step, parallel)));
  document.getElementById("none").hidden = shown.length > 0;
  const labelled = steps.filter((step) => !step.hidden && step.labels.length).length;
  setText(document.getElementById("summary"), `${labelled} of ${steps.length} steps labelled, ${steps.filter(WANTED.wrong).length} with a wrong verdict by a label`);
  openHash();
}

function row(step, parallel) {
  const id = `step-${step.step}`;
  const number = h("a", { class: "step-no", href: `#${id}`, "aria-label": `Step ${step.step}, permalink` }, step.step);
  if (step.hidden) return h("li", { id, tabindex: "-1" }, h("div", { class: "step rail-none" }, h("div", { class: "step-head" }, number, h("span", { class: "chip chip-plain" }, icon("eye-off"), "Hidden while you label this run"))));
  const { seen } = step;
  const look = tierLook(seen.tier, seen.tiers);
  return h("li", { id, tabindex: "-1" }, h("div", { class: `step rail-${look.key}` },
    h("div", { class: "step-head" }, number,
      h("span", { class: `tier tier-${look.key}` }, h("span", { class: `glyph glyph-${look.key}` }), capital(seen.tier_name)),
      parallel ? h("span", { class: "agent-name" }, instanceName(step.scope, step.role)) : null,
      verdictChip(seen.check, seen.indicator),
      h("a", { class: "row-end small-text soft", href: `${page.dataset.run}#${id}`, "aria-label": `Step ${step.step} on the run's page` }, "Run page")),
    seen.rationale ? h("p", { class: "review-line rationale" }, seen.rationale) : null,
    step.actions.length ? h("p", { class: "review-line" }, h("code", { class: "act" }, `${step.actions[0].tool} ${step.actions[0].arguments}`.slice(0, 200))) : null,
    step.labels.length ? h("ul", { class: "review-line label-list", "aria-label": `Labels of step ${step.step}` }, ...step.labels.map(label)) : h("p", { class: "review-line small-text muted" }, "No label yet")));
}

function label(one) {
  return h("li", { class: one.decision ? "decision" : null },
    h("b", {}, one.reviewer), h("span", { class: "soft" }, one.decision ? " decided " : " said "), ANSWERS[one.answer], " ", kindChip(one.kind),
    one.first_error ? h("span", { class: "chip chip-plain" }, "First wrong step") : null,
    h("span", { class: "muted" }, one.label_set),
    one.change ? h("a", { class: "small-text", href: one.change, "aria-label": `Change your label in ${one.label_set}` }, "Change") : null,
    one.comment ? h("p", { class: "soft wrap comment", dir: "auto" }, one.comment) : null);
}

let opened = "";
function openHash() {
  if (!location.hash || opened === location.hash) return;
  const node = document.getElementById(location.hash.slice(1));
  if (!node) return;
  opened = location.hash;
  node.scrollIntoView({ block: "center" });
  node.focus({ preventScroll: true });
}

for (const button of document.querySelectorAll("[data-filter]")) button.addEventListener("click", () => {
  filter = button.getAttribute("data-filter");
  for (const one of document.querySelectorAll("[data-filter]")) one.setAttribute("aria-pressed", String(one === button));
  draw();
});
window.addEventListener("hashchange", () => { opened = ""; openHash(); });
document.addEventListener("visibilitychange", () => { window.clearTimeout(timer); if (!document.hidden) read(); });
read();
