// The live run page: one feed, and everything on the page follows its model.
import { fill, h, icon, setText, toast, typing } from "./dom.js";
import { describe, runFigure } from "./figures.js";
import { percent, plural, seconds, shortCount, usd } from "./format.js";
import { runLegend } from "./legend.js";
import { follow } from "./live.js";
import { instanceName, place } from "./instances.js";
import { capital, finished, isParallel, runningSteps, tierLook, totals } from "./model.js";
import { plot, savePng } from "./plots.js";
import { readMarks } from "./review-marks.js";
import { tableToggle } from "./table-toggle.js";
import { Trajectory } from "./trajectory.js";
import { EVENTS } from "./vocabulary.js";

const $ = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const page = $("run");
const mayRun = page.dataset.mayRun === "1";
const phone = matchMedia("(max-width: 760px)");
let feed = null;
let state = "loading";
/** By step: when this page learned that it had begun. */
const arrived = new Map();

const STATES = {
  "signed-out": ["You are signed out.", "Sign in again to follow this run."],
  gone: ["This run is not here, or not yours.", ""],
  removed: ["You no longer have access to this workspace.", ""],
};

const trajectory = new Trajectory(/** @type {any} */ ($("trajectory")), {
  feed: () => feed, mayRun,
  onFollow: (on, unseen) => {
    /** @type {any} */ ($("follow")).checked = on;
    $("new-steps").hidden = on || unseen === 0;
    setText($("new-steps-button"), plural(unseen, "new step"));
  },
  onFocus: (step) => hoverPoint(step),
  onFilter: (filter) => pressFilter(filter),
});

const figure = (theme) => runFigure(feed.model, theme, { compact: phone.matches });
const chart = plot($("plot"), figure);
const table = tableToggle({
  buttons: document.querySelectorAll("[data-show]"), chart: $("chart"), legend: $("legend"), table: $("chart-table"),
  model: () => feed?.model, wakeChart: () => chart.update(),
});

// ---- the head and the now card -------------------------------------------------------------------

const STATUS = { queued: "Queued", running: "Running", finished: "Finished", failed: "Failed", cancelled: "Stopped" };

function drawStatus({ run }) {
  let words = STATUS[run.status];
  if (run.status === "queued" && run.queue_position) words = `Queued, number ${run.queue_position} in line`;
  if (run.cancel_requested) words = "Stopping";
  for (const pill of document.querySelectorAll("[data-status-pill]")) {
    pill.setAttribute("data-status", run.status);
    setText(pill.querySelector("[data-status-text]"), words);
  }
  const ended = Boolean(feed.model.terminal);
  for (const node of document.querySelectorAll("[data-while-running]")) /** @type {any} */ (node).hidden = ended;
  for (const node of document.querySelectorAll("[data-when-ended]")) /** @type {any} */ (node).hidden = !ended;
  if (ended) /** @type {any} */ ($("stop-dialog"))?.close();
  $("follow-label").hidden = ended;
}

function drawNow(model) {
  const running = runningSteps(model);
  const now = running[0]?.started || model.steps.at(-1);
  const tile = $("now-tile");
  if (!now) {
    setText($("now-title"), model.terminal ? STATUS[model.run.status] : model.run.status === "queued" ? "Waiting for a worker" : "Starting");
    setText($("now-line"), model.run.queue_position ? `Number ${model.run.queue_position} in line` : "");
    return;
  }
  tile.dataset.look = tierLook(now.tier, model.names.length).key;
  setText(tile, model.letters[now.tier]);
  const name = capital(model.names[now.tier]);
  const busy = running.filter((one) => !one.waits);
  if (!model.terminal && isParallel(model) && running.length) { drawTeam(model, busy, running); return; }
  setText($("now-title"), model.terminal ? `${STATUS[model.run.status]} on ${name}, step ${now.step}` : `${name} model, step ${now.step}`);
  drawBudget(now, running.length > 0);
}

/** Several agents: who works on which tier, and who waits for them. */
function drawTeam(model, busy, running) {
  const waiting = running.find((one) => one.waits);
  const who = ({ started }) => instanceName(started.scope, started.role);
  const where = ({ started }) => `${capital(model.names[started.tier])}${started.level > 0 ? ` level ${started.level}` : ""}`;
  const first = busy[0] || running[0];
  $("now-pips").hidden = true;
  setText($("now-title"), busy.length > 1 ? `${busy.length} agents at work` : `${who(first)}, step ${first.started.step}`);
  const byName = (a, b) => (a.started.scope || "").localeCompare(b.started.scope || "", "en", { numeric: true });
  const words = busy.length > 1 ? [...busy].sort(byName).map((one) => `${who(one)} on ${where(one)}`) : [where(first)];
  setText($("now-line"), [...words, waiting ? `${who(waiting)} waits` : ""].filter(Boolean).join(", "));
}

function drawBudget(now, running) {
  const has = now.budget !== null && now.budget !== undefined;
  const used = has ? now.budget - now.budget_left + 1 : 0;
  const pips = has && now.budget <= 24 ? Array.from({ length: now.budget }, (_, i) => h("span", { class: "pip", "data-state": i + 1 < used || (i + 1 === used && !running) ? "full" : i + 1 === used ? "half" : "empty" })) : [];
  fill($("now-pips"), ...pips);
  $("now-pips").hidden = !pips.length;
  $("now-pips").toggleAttribute("data-many", pips.length > 4);
  const level = now.level > 0 ? `Level ${now.level}` : now.reason === "warm_up" ? "Warm-up" : capital(now.reason.replaceAll("_", " "));
  setText($("now-line"), has ? `${level}, budget step ${used} of ${now.budget}` : level);
}

function drawFigures(model) {
  const sums = totals(model);
  const limit = model.run.limits.max_steps;
  const show = (id, value, unit = "", context = "") => {
    setText($(`kpi-${id}`), value);
    setText($(`kpi-${id}-unit`), unit);
    if ($(`kpi-${id}-context`)) setText($(`kpi-${id}-context`), context);
  };
  // the limit is that of the main agent; those it sets to work have their own
  const team = sums.instances > 1;
  show("steps", String(sums.steps), team ? ` · ${sums.mainSteps} of ${limit}` : ` of ${limit}`);
  $("stand-in").hidden = !model.run.stand_in;
  /** @type {any} */ ($("kpi-steps-meter")).value = Math.min(1, (team ? sums.mainSteps : sums.steps) / limit);
  drawElapsed(model, sums);
  show("speedup", sums.speedup === null ? "n/a" : sums.speedup.toFixed(2), sums.speedup === null ? "" : "×", sums.speedup === null ? "needs a top-tier step" : `vs ${model.names.at(-1)} only, est.`);
  show("switches", String(sums.switches), "", sums.switchingRatio === null ? "" : `${percent(sums.switchingRatio)} of steps`);
  show("top", sums.topTokenShare === null ? "n/a" : String(Math.round(sums.topTokenShare * 100)), sums.topTokenShare === null ? "" : "%");
  /** @type {any} */ ($("kpi-top-meter")).value = sums.topTokenShare || 0;
  show("cost", usd(sums.steps ? sums.cost : 0), "", sums.cost !== null && sums.steps ? `${shortCount(sums.input + sums.output)} tokens` : "");
  setText($("stall-count"), String(sums.stalls));
  drawSideEntry(model, team ? String(sums.steps) : `${sums.steps}/${limit}`);
}

/** This run's line under "Running now" keeps up; it goes when the run has ended. */
function drawSideEntry(model, words) {
  const entry = document.querySelector(`[data-running="${model.run.uuid}"]`);
  if (!entry) return;
  if (model.terminal) (entry.parentElement.querySelectorAll("[data-running]").length > 1 ? entry : entry.parentElement).remove();
  else setText(entry.querySelector(".count"), model.run.status === "queued" ? "queued" : words);
}

function drawElapsed(model, sums = totals(model)) {
  const running = model.terminal ? [] : place(model).marks.filter((one) => !one.step && !one.waits);
  const now = Math.max(sums.latency, ...running.map((one) => one.from + sinceArrival(one.number)));
  const [value, unit, ...rest] = seconds(now).split(" ");
  setText($("kpi-elapsed"), value);
  setText($("kpi-elapsed-unit"), ` ${[unit, ...rest].join(" ")}`);
  setText($("kpi-elapsed-context"), sums.steps ? `${seconds(sums.latency / sums.depth)} per step` : "");
  for (const { number } of running) setText(document.querySelector(`#step-${number} [data-live-meta]`), seconds(sinceArrival(number)));
}

function sinceArrival(step) {
  return arrived.has(step) ? (performance.now() - arrived.get(step)) / 1000 : 0;
}

// ---- how it ended --------------------------------------------------------------------------------

const OUTCOMES = { correct: ["chip-good", "circle-check", "Correct"], incorrect: ["chip-bad", "circle-x", "Incorrect"], unscored: ["chip-plain", "circle-dashed", "Not scored"] };

function drawVerdict({ run, terminal, steps }) {
  const host = $("verdict");
  const forkable = steps.filter((step) => step && !step.scope).length;
  if (!terminal) { fill(host); return; }
  if (run.status === "finished") fill(host, answerCard(run, terminal));
  else if (run.status === "failed") fill(host, failureCard(run, terminal, forkable));
  else fill(host, h("section", { class: "card pad answer", "aria-label": "Stopped" }, h("p", { class: "strong" }, terminal.by ? `Stopped by ${terminal.by}` : "Stopped"), h("p", { class: "soft" }, kept(terminal.totals.steps, forkable))));
}

function answerCard(run, terminal) {
  const [className, name, words] = OUTCOMES[run.outcome] || OUTCOMES.unscored;
  const source = { tagged: "", untagged: "given without the answer tag", forced: "forced at the limit", none: "no answer was given" }[terminal.answer_source];
  const gold = run.gold?.length ? h("div", {}, h("dt", {}, "Expected"), h("dd", { class: "wrap", dir: "auto" }, run.gold.join(" or "))) : null;
  const ended = terminal.ended_by === "answer" ? null : h("div", {}, h("dt", {}, "Ended by"), h("dd", {}, terminal.ended_by.replaceAll("_", " ")));
  return h("section", { class: "card pad answer", "aria-label": "Answer" },
    h("div", { class: "row" }, h("h2", {}, "Answer"), h("span", { class: `chip ${className}` }, icon(name), words), source ? h("span", { class: "small-text muted" }, source) : null),
    h("p", { class: "answer-text", dir: "auto" }, run.answer || "No answer"),
    gold || ended ? h("dl", {}, gold, ended) : null);
}

/** What is left of a run that broke off, and what can be done with it; `forkable`: the steps of its own agent. */
function kept(steps, forkable) {
  if (!steps) return "No step was finished. Re-run the task to try again.";
  if (!forkable) return `${plural(steps, "step")} of its agents can be read. None of them can be forked; re-run the task to try again.`;
  if (forkable < steps) return `${plural(steps, "step")} can be read. Fork the run from a step of its first agent to go on.`;
  return steps === 1 ? "One step is kept. Fork the run from it to go on." : `${steps} steps are kept. Fork the run from any of them to go on.`;
}

function failureCard(run, terminal, forkable) {
  const error = run.error || {};
  return h("section", { class: "card pad answer failure", "aria-label": "Failure" },
    h("div", { class: "row" }, h("h2", {}, "The run failed"), h("span", { class: "chip chip-bad" }, icon("triangle-alert"), (error.code || "error").replaceAll("_", " ")), error.where ? h("span", { class: "small-text muted" }, error.where) : null),
    h("p", { class: "wrap" }, error.message || "No message was recorded."),
    error.hint ? h("p", { class: "wrap soft" }, error.hint) : null,
    h("p", { class: "small-text muted" }, kept(terminal.totals.steps, forkable)));
}

// ---- events --------------------------------------------------------------------------------------

function drawAll() {
  const { model } = feed;
  drawStatus(model);
  drawNow(model);
  drawFigures(model);
  drawVerdict(model);
  drawAgents(model);
  runLegend($("legend"), model);
  describePlot();
  const waiting = !finished(model).length && !model.running.size;
  $("skeleton").hidden = !waiting || Boolean(model.terminal);
  $("no-steps").hidden = !(waiting && model.terminal);
  setText($("no-steps").querySelector("span"), waiting ? "The run ended before its first step." : "No step matches this filter.");
  chart.update();
  table.update();
}

function describePlot() {
  $("plot").setAttribute("aria-label", describe(feed.model));
}

let announced = "";
function announce(text) {
  if (text === announced) return;
  announced = text;
  setText($("announcer"), text);
}

function onEvent(type, event) {
  const { model } = feed;
  if (type === EVENTS.stepStarted) { arrived.set(event.step, performance.now()); trajectory.forget(`step-${place(model).at.get(event.step)?.starter?.number}`); }
  if (type === EVENTS.stepFinished) arrived.delete(event.step);
  if (type === EVENTS.tierSwitched) announce(event.to_tier > event.from_tier ? `Escalated to ${event.to_name}, level ${event.level}` : `Back to ${event.to_name}`);
  $("skeleton").hidden = true;
  trajectory.update(event.step ? [event.step] : model.terminal ? runningSteps(model).map((one) => one.started.step) : []);
  drawNow(model);
  if (type === EVENTS.stepFinished || type === EVENTS.stepStarted) {
    drawFigures(model);
    drawAgents(model);
    chart.update();
    table.update();
    if (event.step % 5 === 0) describePlot();
  }
  if (type === EVENTS.runStarted || type === EVENTS.runResumed) drawStatus(model);
  if (model.terminal) ended(model);
}

/** The expected answers are told only after the end. */
async function readGold(model) {
  if (!model.run.task_id) return;
  const response = await fetch(`${page.dataset.url}snapshot.json`);
  if (!response.ok) return;
  model.run.gold = (await response.json()).run.gold;
  drawVerdict(model);
}

function ended(model) {
  drawAll();
  readGold(model).catch((error) => console.info("The expected answer could not be read.", String(error)));
  trajectory.redraw();
  announce(`The run ended: ${STATUS[model.run.status]}. ${model.run.answer || ""}`);
}

function onState(next) {
  state = next;
  const bar = $("connection");
  if (STATES[next]) {
    const [what, todo] = STATES[next];
    fill(bar, what, " ", next === "signed-out" ? h("a", { href: `/login/?next=${encodeURIComponent(location.pathname)}` }, todo) : todo);
    bar.hidden = false;
  } else bar.hidden = next !== "reconnecting";
  page.dataset.state = next;
}

function tick() {
  if (state === "reconnecting" && feed) setText($("connection"), `Reconnecting, last update ${Math.max(0, Math.round((Date.now() - feed.lastAt) / 1000))} s ago`);
  if (feed?.model?.running.size && !document.hidden) drawElapsed(feed.model);
}

// ---- links between plot, list and address --------------------------------------------------------

let linked = null;
function openHash() {
  const found = /^#step-(\d{1,6})$/.exec(location.hash);
  if (!found || !feed?.model) return;
  showTab("trajectory");
  const step = Number(found[1]);
  if (!trajectory.goTo(step, { open: true, focus: true })) { toast(`This run has no step ${step} yet.`); return; }
  linked?.removeAttribute("data-linked");
  linked = document.getElementById(`step-${step}`);
  linked?.setAttribute("data-linked", "");
}

function hoverPoint(step) {
  if (!chart.drawn || $("chart").hidden || !window.Plotly?.Fx) return;
  const plotted = /** @type {any} */ ($("plot")).data || [];
  for (let curve = 0; curve < plotted.length; curve += 1) {
    const point = plotted[curve].customdata && plotted[curve].type === "scatter" ? plotted[curve].customdata.findIndex((one) => one[5] === step) : -1;
    if (point >= 0) { window.Plotly.Fx.hover("plot", [{ curveNumber: curve, pointNumber: point }], ["xy"]); return; }
  }
}

function wirePlot() {
  const element = /** @type {any} */ ($("plot"));
  // spans of the timeline say no step: where nothing runs side by side, the place on the axis does
  const stepOf = (event) => event.points?.[0]?.customdata?.[5] ?? (isParallel(feed.model) ? 0 : Math.round(event.points?.[0]?.x));
  const mark = (event, on) => {
    const step = stepOf(event);
    document.getElementById(`step-${step}`)?.toggleAttribute("data-hover", on);
  };
  element.on("plotly_hover", (event) => mark(event, true));
  element.on("plotly_unhover", (event) => mark(event, false));
  element.on("plotly_click", (event) => {
    const step = stepOf(event);
    if (!step) return;
    if (location.hash === `#step-${step}`) openHash(); else location.hash = `step-${step}`;
  });
}

// ---- controls ------------------------------------------------------------------------------------

/** The choice of one agent's steps; there is none to make while there is one agent. */
function drawAgents(model) {
  const { instances, parallel } = place(model);
  const select = /** @type {HTMLSelectElement} */ ($("agent-filter"));
  select.hidden = !parallel;
  if (!parallel || select.options.length === instances.length + 1) return;
  const chosen = select.value;
  fill(select, h("option", { value: "*" }, "All agents"), instances.map((one) => h("option", { value: one.scope }, one.name)));
  select.value = [...select.options].some((option) => option.value === chosen) ? chosen : "*";
}

function pressFilter(filter) {
  if (trajectory.scope === null) /** @type {any} */ ($("agent-filter")).value = "*";
  for (const button of document.querySelectorAll("[data-filter]")) button.setAttribute("aria-pressed", String(/** @type {any} */ (button).dataset.filter === filter));
}

function showTab(name) {
  if (!phone.matches && $("run-grid").dataset.tab === name) return;
  $("run-grid").dataset.tab = name;
  for (const tab of ["charts", "trajectory"]) {
    $(`tab-${tab}`).setAttribute("aria-selected", String(tab === name));
    $(`tab-${tab}`).tabIndex = tab === name ? 0 : -1;
  }
  if (name === "charts") chart.wake(); else trajectory.schedule();
}

function wireControls() {
  for (const button of document.querySelectorAll("[data-filter]")) {
    button.addEventListener("click", () => {
      pressFilter(/** @type {any} */ (button).dataset.filter);
      trajectory.setFilter(/** @type {any} */ (button).dataset.filter);
      $("no-steps").hidden = trajectory.items.length > 0;
    });
  }
  $("agent-filter").addEventListener("change", (event) => {
    const { value } = /** @type {any} */ (event.target);
    trajectory.setScope(value === "*" ? null : value);
    $("no-steps").hidden = trajectory.items.length > 0;
  });
  for (const name of ["charts", "trajectory"]) {
    $(`tab-${name}`).addEventListener("click", () => showTab(name));
    $(`tab-${name}`).addEventListener("keydown", (event) => {
      if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
      const other = name === "charts" ? "trajectory" : "charts";
      showTab(other);
      $(`tab-${other}`).focus();
    });
  }
  $("follow").addEventListener("change", (event) => trajectory.follow(/** @type {any} */ (event.target).checked));
  $("new-steps-button").addEventListener("click", () => trajectory.follow(true));
  $("order").addEventListener("click", () => setOrder(!trajectory.newestFirst));
  $("save-png").addEventListener("click", savePicture);
  wireFork();
  document.addEventListener("keydown", keys);
  window.addEventListener("hashchange", openHash);
}

function setOrder(newestFirst) {
  trajectory.setOrder(newestFirst);
  setText($("order"), newestFirst ? "Oldest first" : "Newest first");
  $("order").closest("details")?.removeAttribute("open");
}

async function savePicture() {
  const { run } = feed.model;
  $("save-png").closest("details")?.removeAttribute("open");
  await savePng((theme) => runFigure(feed.model, theme, { title: `${run.ref}: ${run.question.slice(0, 90)}` }), `${run.ref}-staircase`);
}

function wireFork() {
  const dialog = /** @type {HTMLDialogElement | null} */ (document.getElementById("fork-dialog"));
  if (!dialog) return;
  document.addEventListener("click", (event) => {
    const button = /** @type {Element} */ (event.target).closest?.("[data-fork]");
    if (!button) return;
    const step = button.getAttribute("data-fork");
    dialog.querySelector("[name=after_step]")?.setAttribute("value", step);
    setText(dialog.querySelector("[data-fork-step]"), step);
    dialog.showModal();
  });
  // the card may have been drawn anew meanwhile: its new button gets the focus back
  dialog.addEventListener("close", () => {
    const step = dialog.querySelector("[data-fork-step]")?.textContent;
    /** @type {HTMLElement | null} */ (document.querySelector(`[data-fork="${step}"]`))?.focus({ preventScroll: true });
  });
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || typing()) return;
  const step = Number(document.activeElement?.closest?.("li[data-step]")?.getAttribute("data-step"));
  const actions = {
    j: () => trajectory.move(1),
    k: () => trajectory.move(-1),
    o: () => step && trajectory.toggle(step),
    f: () => !feed?.model?.terminal && trajectory.follow(!trajectory.following),
    "?": () => /** @type {any} */ ($("keys-dialog")).showModal(),
  };
  if (!actions[event.key]) return;
  event.preventDefault();
  if ("jko".includes(event.key)) showTab("trajectory");
  actions[event.key]();
}

// ---- start ---------------------------------------------------------------------------------------

/** What people said of this run's verdicts, by step. */
let labels = new Map();
async function readLabels() {
  const uuid = feed.model.run.uuid;
  labels = (await readMarks([uuid])).get(uuid) || labels;
  if (!labels.size) return;
  feed.model.labels = labels;
  runLegend($("legend"), feed.model);
  chart.update();
  trajectory.redraw();
}

let first = true;
function onModel(model) {
  model.labels = labels;
  arrived.clear();
  for (const { started } of model.running.values()) arrived.set(started.step, performance.now() - Math.max(0, Date.now() / 1000 - started.at) * 1000);
  drawAll();
  if (first) setOrder(!model.terminal);
  else trajectory.redraw();
  trajectory.update();
  if (first) { openHash(); readLabels(); }
  first = false;
}

$("plot").addEventListener("plotready", wirePlot);
phone.addEventListener("change", () => chart.update());
wireControls();
feed = follow(page.dataset.url, page.dataset.socket, { onModel, onEvent, onDelta: () => trajectory.live(), onState });
window.setInterval(tick, 250);
