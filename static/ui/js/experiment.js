// The result page: how far the experiment is (a socket), its figures (fetched when they may have changed),
// its trials (a page at a time, made by the server).
import { fill, h, icon, readJson, setText } from "./dom.js";
import { watch } from "./experiment-feed.js";
import { drawFigures } from "./experiment-plots.js";
import { notes, resultTable } from "./experiment-table.js";
import { testMatrix, testNote } from "./experiment-tests.js";
import { seconds } from "./format.js";

const $ = (id) => /** @type {any} */ (document.getElementById(id));
const payload = readJson("experiment-payload");
const root = $("experiment");
const ladders = new Set(payload.arms.map((arm) => arm.ladder));
/** What an arm is, where its name does not say it. */
const titles = new Map(payload.arms.map((arm) => [arm.label, [arm.label.startsWith(arm.strategy) ? "" : arm.strategy, ladders.size > 1 ? arm.ladder : ""].filter(Boolean).join(", ")]));
const EVERY_MS = 2_000;
/** What takes long to compute (tests, curves, splits) is asked for less often while runs end. */
const DETAILS_EVERY_MS = 15_000;
const TRIALS_EVERY_MS = 5_000;
const STATUSES = { running: "Running", paused: "Paused", finished: "Finished", cancelled: "Stopped" };
const view = { all: false, measure: "", show: "all", page: 1, failuresPage: 1 };
let progress = payload.progress;
let results = null;

// ---- progress ------------------------------------------------------------------------------------

function drawProgress() {
  const { total, done, failed, stopped, running, grading, pending, status, notice, time_left_s: left } = progress;
  setText($("progress-done"), `${done.toLocaleString("en-US")} of ${total.toLocaleString("en-US")} runs done`);
  const rest = [[running, "running"], [grading, "being graded"], [pending, "waiting"], [failed, "failed"], [stopped, "stopped"]].filter(([n]) => n).map(([n, word]) => `${n.toLocaleString("en-US")} ${word}`);
  setText($("progress-rest"), rest.join(", "));
  setText($("progress-left"), status === "running" && left ? `about ${seconds(Math.max(1, Math.round(left))).replace(/\.\d+ s/, " s")} left` : "");
  $("progress").max = total;
  $("progress").value = done;
  $("notice").hidden = !notice;
  setText($("notice-words"), notice);
  $("failures-card").hidden = !failed;
  if ($("retry")) $("retry").hidden = !failed && !stopped;
  setText($("retry-words"), failed ? `Retry ${failed} failed${stopped ? `, ${stopped} stopped` : ""}` : `Begin ${stopped} stopped again`);
  drawStatus(status);
}

function drawStatus(status) {
  if (root.dataset.status === status) return;
  root.dataset.status = status;
  for (const pill of document.querySelectorAll("[data-status-pill]")) pill.setAttribute("data-status", status);
  for (const words of document.querySelectorAll("[data-status-text]")) setText(words, STATUSES[status] || status);
  for (const node of document.querySelectorAll("[data-when]")) /** @type {HTMLElement} */ (node).hidden = !(node.getAttribute("data-when") || "").split(" ").includes(status);
  setText($("announcer"), `The experiment is ${(STATUSES[status] || status).toLowerCase()}.`);
}

// ---- figures -------------------------------------------------------------------------------------

let asked = -Infinity;
let detailsAt = -Infinity;
let detailsOf = "";
let loading = false;
let wanted = true;
let timer = 0;

/** Fetch the figures, at most every two seconds and never two at once. */
function load() {
  wanted = true;
  if (loading || timer) return;
  timer = window.setTimeout(fetchFigures, Math.max(0, asked + EVERY_MS - performance.now()));
}

async function fetchFigures() {
  timer = 0;
  loading = true;
  wanted = false;
  asked = performance.now();
  try {
    const table = await part("table");
    results = { ...results, ...table };
    draw();
    if (detailsWanted(table)) {
      detailsAt = performance.now();
      const details = await part("details");
      detailsOf = state(table);
      results = { ...results, ...details };
      draw();
    }
    // what many look at is computed once in a while: the latest comes with the next question
    wanted = wanted || results.revision < progress.revision || (ended() && detailsOf !== state(results));
  } catch (error) {
    if (!results) fill($("results"), h("p", { class: "empty" }, icon("triangle-alert"), h("span", {}, `The figures could not be read (${error.message}). Reload the page.`)));
    console.info("The figures could not be read.", String(error));
  }
  loading = false;
  if (wanted) load();
}

async function part(name) {
  const query = new URLSearchParams({ baseline: $("baseline").value, part: name });
  const response = await fetch(`${payload.url}results.json?${query}`, { headers: { accept: "application/json" } });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  return response.json();
}

const ended = () => ["finished", "cancelled"].includes(progress.status);
/** Of what the details are: a table's revision and baseline. */
const state = ({ revision, table }) => `${revision} ${table.baseline}`;

function detailsWanted(table) {
  if (detailsOf === state(table)) return false;
  return ended() || detailsOf.split(" ").slice(1).join(" ") !== table.table.baseline || performance.now() - detailsAt > DETAILS_EVERY_MS;
}

function draw() {
  const { table, columns, published } = results;
  fill($("results"), resultTable(table, columns, { published: published?.rows, all: view.all, titles }));
  fill($("table-notes"), notes(table, published).map((note) => h("p", {}, note)));
  setText($("table-subtitle"), `${table.tasks} tasks, ${table.seeds} ${table.seeds === 1 ? "seed" : "seeds"}; dot: best of its column`);
  $("stand-in").hidden = !table.stand_in;
  drawTests();
  drawFigures(results, payload);
  root.dataset.revision = String(results.revision);
}

function drawTests() {
  const tests = results.tests || [];
  $("tests").hidden = !tests.length || payload.arms.length < 2;
  if ($("tests").hidden) return;
  const known = tests.filter((one) => one.effects.some((effect) => effect.difference !== null));
  const comparison = known.find((one) => one.measure === view.measure) || known[0] || tests[0];
  const titleOf = (measure) => results.columns.find((column) => column.name === measure);
  const controls = $("tests").querySelector("[data-controls]");
  if (!controls.childElementCount) controls.append(h("label", { class: "inline-label" }, "Of ", h("select", { class: "input-inline", onchange: (event) => { view.measure = event.target.value; drawTests(); } })));
  const select = controls.querySelector("select");
  const names = known.map((one) => one.measure);
  if (names.join() !== [...select.options].map((option) => option.value).join()) fill(select, names.map((name) => h("option", { value: name }, titleOf(name).title)));
  select.value = comparison.measure;
  fill($("tests").querySelector("[data-table]"), testMatrix(comparison, titleOf(comparison.measure), payload.arms.map((arm) => arm.label)));
  setText($("tests").querySelector("[data-note]"), testNote(comparison));
}

// ---- trials --------------------------------------------------------------------------------------

let trialsAt = -Infinity;
let trialsTimer = 0;

function loadTrials() {
  trialsAt = performance.now();
  window.htmx.ajax("GET", `${payload.url}trials/?show=${view.show}&page=${view.page}`, { target: "#trials", swap: "innerHTML" });
  if (!$("failures-card").hidden) window.htmx.ajax("GET", `${payload.url}failures/?page=${view.failuresPage}`, { target: "#failures", swap: "innerHTML" });
}

/** Fresh trials while runs end, unless somebody is just using the list. */
function refreshTrials() {
  if (trialsTimer) return;
  trialsTimer = window.setTimeout(() => {
    trialsTimer = 0;
    const inUse = $("trials").contains(document.activeElement) || $("failures").contains(document.activeElement) || document.hidden;
    if (inUse) refreshTrials(); else loadTrials();
  }, Math.max(0, trialsAt + TRIALS_EVERY_MS - performance.now()));
}

for (const [host, key] of [["trials", "page"], ["failures", "failuresPage"]]) {
  $(host).addEventListener("click", (event) => {
    const button = event.target.closest("[data-page]");
    if (!button) return;
    view[key] = Number(button.dataset.page);
    loadTrials();
  });
}
for (const button of document.querySelectorAll("[data-trials]")) {
  button.addEventListener("click", () => {
    press("[data-trials]", button);
    view.show = /** @type {any} */ (button).dataset.trials;
    view.page = 1;
    loadTrials();
  });
}

// ---- wiring --------------------------------------------------------------------------------------

function press(selector, button) {
  for (const one of document.querySelectorAll(selector)) one.setAttribute("aria-pressed", String(one === button));
}

for (const button of document.querySelectorAll("[data-columns]")) {
  button.addEventListener("click", () => {
    press("[data-columns]", button);
    view.all = /** @type {any} */ (button).dataset.columns === "all";
    if (results) draw();
  });
}

/** The baseline is part of the address, so that a link shows the same table. */
function followBaseline() {
  const address = new URL(location.href);
  if ($("baseline").value === payload.baseline) address.searchParams.delete("baseline");
  else address.searchParams.set("baseline", $("baseline").value);
  history.replaceState(null, "", address);
  for (const link of document.querySelectorAll("[data-export]")) link.setAttribute("href", `${link.getAttribute("href")?.split("?")[0]}?${new URLSearchParams({ baseline: $("baseline").value })}`);
}

const LOST = { "signed-out": "You are signed out. Sign in again to follow the experiment.", gone: "The experiment can no longer be read.", removed: "You are no longer a member of this workspace." };

function onState(state) {
  $("connection").hidden = state === "live";
  setText($("connection"), state === "live" ? "" : LOST[state] || "Reconnecting. What you see stays.");
}

function onProgress(news) {
  const grown = news.revision !== progress.revision || news.status !== progress.status;
  const moved = grown || ["running", "grading", "pending"].some((key) => news[key] !== progress[key]);
  progress = news;
  drawProgress();
  if (grown) load();
  if (moved) refreshTrials();
}

// a double click must not begin everything twice
for (const form of document.querySelectorAll(".page-head form, dialog form")) {
  form.addEventListener("submit", (event) => {
    if (form.hasAttribute("data-sent")) event.preventDefault();
    form.setAttribute("data-sent", "");
  });
}
window.addEventListener("pageshow", () => { for (const form of document.querySelectorAll("[data-sent]")) form.removeAttribute("data-sent"); });

const asksFor = new URLSearchParams(location.search).get("baseline");
if (asksFor !== null && [...$("baseline").options].some((option) => option.value === asksFor)) $("baseline").value = asksFor;
$("baseline").addEventListener("change", () => { followBaseline(); asked = -Infinity; load(); });
followBaseline();
drawProgress();
load();
document.addEventListener("DOMContentLoaded", loadTrials);
watch(payload.socket, { onProgress, onState });
