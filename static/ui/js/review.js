// The labelling page. What is shown comes from the server item by item; the next ones are fetched ahead,
// so that saving shows the next item at once while the label travels.
import { fill, h, icon, setText, toast } from "./dom.js";
import { plural } from "./format.js";
import { Outbox } from "./outbox.js";
import { reviewStep } from "./review-step.js";
import { ANSWERS, kindChip } from "./review-words.js";

const HELD = 3;
const RETRY_MS = 4_000;
const AGAIN_MS = 100;
/** The server counts no further. */
const MOST_OPEN = 1_000;
const KEYS_OFF = "tandem.review.keys-off";

const $ = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const page = $("review");
const token = /** @type {HTMLInputElement} */ (document.querySelector("[name=csrfmiddlewaretoken]")).value;
const comment = /** @type {HTMLTextAreaElement} */ ($("comment"));
const firstError = /** @type {HTMLInputElement} */ ($("first-error"));
const radios = /** @type {HTMLButtonElement[]} */ ([...document.querySelectorAll("[data-answer]")]);

/** Items in the order they were met; those before `at` are behind the reviewer. */
const items = [];
let at = 0;
let answer = "";
let began = performance.now();
let hiddenSince = 0;
let awaySum = 0;
let fetching = null;
let wanted = false;
let retry = 0;
let counts = null;
let lastAct = null;
let ended = false;
const opened = new Set();

const url = (path) => `${page.dataset.url}${path}`;

function post(path, body = {}) {
  return fetch(url(path), { method: "POST", headers: { "Content-Type": "application/json", "X-CSRFToken": token }, body: JSON.stringify(body) });
}

const outbox = new Outbox(`tandem.review.${page.dataset.user}.${page.dataset.queue}`, {
  send: (job) => post(`items/${job.position}/${job.kind}/`, job.body),
  onState: (waiting, offline) => {
    const words = offline && waiting ? `Not connected. ${plural(waiting, "label")} kept in this browser, sent when the connection is back.` : "";
    setText($("connection"), words);
    $("connection").hidden = !words;
    page.dataset.waiting = String(waiting);
  },
  onDone: (job, told) => {
    const known = items.find((item) => item.position === job.position);
    if (known && told.label) { known.label = told.label; known.may_reveal = known.blind && Boolean(told.label.answer); }
    if (known && known === current()) drawAfter(known);
  },
  onRefused: (job, told) => {
    const known = items.find((item) => item.position === job.position);
    if (known && job.kind === "label") Object.assign(known, { label: null, skipped: told.code === "item_taken" });
    toast(`${known ? `${known.ref}, step ${known.step}: ` : ""}${told.message || "The server refused this label."} ${told.hint || ""}`.trim(), { error: true });
  },
});

const current = () => items[at] || null;

// ---- getting items -------------------------------------------------------------------------------

/** Fetch ahead; what is labelled here and still on its way is not taken for new. Whoever asks while an
 * answer is on its way is answered by another one: the first knows nothing of the label saved since. */
function fetchNext() {
  if (fetching) { wanted = true; return fetching; }
  fetching = readNext().finally(() => {
    fetching = null;
    if (wanted) { wanted = false; fetchNext(); }
  });
  return fetching;
}

async function readNext() {
  await outbox.flush();
  let told;
  try {
    const response = await post("next/", { want: HELD });
    if (response.status === 404 || response.status === 403) { gone(response.status); return; }
    if (!response.ok || response.redirected) throw new Error(`status ${response.status}`);
    told = await response.json();
  } catch (error) {
    console.info("The next items could not be fetched.", String(error));
    if (!current()) showState("Not connected", "The next items come when the connection is back.", "");
    window.clearTimeout(retry);
    retry = window.setTimeout(fetchNext, RETRY_MS);
    return;
  }
  const idle = !current();
  const known = new Set(items.map((item) => item.position));
  for (const item of told.items) if (!known.has(item.position)) items.push({ ...item, draft: null });
  drawProgress(told.progress);
  drawQueue(told.upcoming);
  ended = told.items.length === 0;
  if (!current()) at = firstOpen(told.items);
  if (idle && current()) show();
  if (current()) return;
  // all that came was labelled here while it was on its way: there is more
  if (ended) finished(told); else window.setTimeout(fetchNext, AGAIN_MS);
}

/** Where the first of these items stands that is not dealt with; behind the last one if there is none. */
function firstOpen(served) {
  const positions = new Set(served.map((item) => item.position));
  const found = items.findIndex((item) => positions.has(item.position) && !item.label?.answer && !item.skipped);
  return found < 0 ? items.length : found;
}

/** A label of an earlier visit, to be changed: only one's own is opened so. */
async function openAgain(position) {
  const response = await fetch(url(`items/${position}/`)).catch(() => null);
  const item = response?.ok && !response.redirected ? await response.json() : null;
  if (!item?.label?.answer) { toast("There is no label of yours to change here.", { error: true }); return; }
  items.push({ ...item, draft: null });
  show();
}

function gone(status) {
  ended = true;
  showState(status === 404 ? "This queue is not here, or not yours any more." : "You may not label in this queue.", "", "");
}

// ---- showing an item -----------------------------------------------------------------------------

function show({ focus = true } = {}) {
  const item = current();
  $("work").hidden = !item;
  $("state").hidden = Boolean(item);
  if (!item) return;
  const given = item.draft || item.label || {};
  setText($("item-question"), item.question || "The run was deleted");
  setText($("item-place"), `${item.ref}, step ${item.step}`);
  comment.value = given.comment || "";
  showComment(false);
  firstError.checked = Boolean(given.first_error);
  choose(given.answer || "", { quiet: true });
  drawContext(item);
  drawAfter(item);
  drawHere();
  /** @type {any} */ ($("previous")).disabled = at === 0;
  began = performance.now();
  awaySum = 0;
  const judged = document.getElementById("judged");
  if (focus && judged) {
    judged.focus({ preventScroll: true });
    scrollToJudged(judged);
  }
  performance.mark("item-shown");
}

/** The judged step below the two steps before it, as far as they fit. */
function scrollToJudged(judged) {
  const before = judged.previousElementSibling;
  const target = before && before.getBoundingClientRect().height < innerHeight * 0.4 ? before : judged;
  const top = target.getBoundingClientRect().top + window.scrollY - 84;
  window.scrollTo({ top: Math.max(0, top), behavior: "instant" });
}

function drawContext(item) {
  const list = $("context");
  const parallel = new Set(item.context.map((step) => step.scope)).size > 1;
  const nodes = item.context.map((step) => {
    const judged = step.step === item.step;
    const key = `${item.position}-${step.step}`;
    const shown = judged && item.revealed?.step ? item.revealed.step : step;
    return h("li", { id: judged ? "judged" : null, tabindex: judged ? "-1" : null, class: judged ? "judged" : "context-step", "aria-label": judged ? `Step ${step.step}, to be judged` : `Step ${step.step}` },
      reviewStep(shown, { judged, parallel, open: opened.has(key), onToggle: () => { if (opened.has(key)) opened.delete(key); else opened.add(key); drawContext(item); } }));
  });
  fill(list, ...nodes);
  $("earlier").hidden = !item.before;
  $("later").hidden = !item.after;
  setText($("earlier"), `Show ${plural(item.before, "earlier step")}`);
  setText($("later"), `Show ${plural(item.after, "later step")}`);
  $("gone").hidden = !item.gone;
}

async function more(direction) {
  const item = current();
  const edge = direction === "before" ? item.context[0].step : item.context.at(-1).step;
  const response = await fetch(url(`items/${item.position}/steps/?${direction}=${edge}`));
  if (!response.ok) { toast("More steps could not be read.", { error: true }); return; }
  const told = await response.json();
  const height = document.documentElement.scrollHeight;
  if (direction === "before") { item.context.unshift(...told.context); item.before = told.left; }
  else { item.context.push(...told.context); item.after = told.left; }
  drawContext(item);
  if (direction === "before") window.scrollBy(0, document.documentElement.scrollHeight - height);
}

// ---- the answer ----------------------------------------------------------------------------------

function choose(value, { quiet = false } = {}) {
  answer = value;
  for (const radio of radios) {
    const on = radio.dataset.answer === value;
    radio.setAttribute("aria-checked", String(on));
    radio.tabIndex = on || (!value && radio === radios[0]) ? 0 : -1;
  }
  $("first-error-row").hidden = value !== "no";
  /** @type {any} */ ($("save")).disabled = !value;
  drawMeaning();
  if (!quiet && current()) keepDraft();
}

/** Where the verdict is not hidden, each answer says what it comes to. */
function drawMeaning() {
  const item = current();
  const seen = item?.context.find((step) => step.step === item.step)?.seen;
  for (const radio of radios) {
    const meaning = radio.querySelector("[data-meaning]");
    const words = seen && seen.check === "parsed" ? meaningOf(radio.dataset.answer, seen.indicator) : "";
    setText(meaning, words || meaning.getAttribute("data-meaning"));
  }
}

function meaningOf(value, indicator) {
  if (value === "unsure") return "";
  if ((value === "yes") === (indicator === 1)) return "Correct: the agent said the same";
  return value === "yes" ? "Missed progress: the agent said none" : "False progress: the agent said progress";
}

/** On a phone the comment's field is out of the way until it is asked for. */
function showComment(on) {
  $("review-side").toggleAttribute("data-comment", on);
  $("comment-toggle").setAttribute("aria-expanded", String(on));
  if (on) comment.focus();
}

function keepDraft() {
  const item = current();
  item.draft = { answer, comment: comment.value, first_error: firstError.checked };
}

function secondsSpent() {
  return Math.max(0, (performance.now() - began - awaySum) / 1000);
}

function save() {
  const item = current();
  if (!item) { notTaken(); return; }
  if (!answer) { toast("Choose 1, 2 or 3 first."); return; }
  performance.mark("save-pressed");
  const body = { answer, comment: comment.value, first_error: answer === "no" && firstError.checked, key: newKey(), seconds: secondsSpent() };
  const before = item.label?.answer ? item.label : null;
  item.label = { answer, comment: body.comment, first_error: body.first_error, blind: item.label?.blind ?? item.blind };
  item.draft = null;
  item.skipped = false;
  lastAct = { item, before };
  if (!before && counts) drawProgress({ ...counts, mine: counts.mine + 1, open: Math.max(0, counts.open - 1), labels: counts.labels + 1 });
  onward();
  outbox.add({ kind: "label", position: item.position, body });
  undoable(before ? `Changed to ${ANSWERS[body.answer]}` : `Saved: ${ANSWERS[body.answer]}`);
  fetchNext();
}

function skip() {
  const item = current();
  if (!item) return;
  if (item.label?.answer) { toast("It is labelled already. U takes the label back."); return; }
  item.skipped = true;
  lastAct = { item, before: null };
  onward();
  outbox.add({ kind: "skip", position: item.position });
  undoable("Skipped");
  fetchNext();
}

function undo() {
  if (!lastAct) { toast("There is nothing to undo."); return; }
  const { item, before } = lastAct;
  if (item.label?.answer && !before && counts) drawProgress({ ...counts, mine: counts.mine - 1, open: counts.open + 1, labels: counts.labels - 1 });
  const unsent = outbox.withdraw(item.position);
  if (!unsent) outbox.add({ kind: "undo", position: item.position, body: { key: newKey() } });
  item.draft = item.label?.answer ? { ...item.label } : item.draft;
  // what never left the browser leaves the label as it was before
  item.label = unsent ? before : item.label && { ...item.label, answer: "" };
  item.skipped = false;
  at = items.indexOf(item);
  lastAct = null;
  ended = false;
  $("toasts").replaceChildren();
  show();
}

/** To the first item behind this one that is not dealt with. */
function onward() {
  let next = at + 1;
  while (next < items.length && (items[next].label?.answer || items[next].skipped)) next += 1;
  at = next;
  if (current()) show();
  else if (ended) fetchNext();
  else showState("Saving, then the next step", "", "");
}

/** A key that was pressed while no step was in view: it must not land on one that nobody has read. */
function notTaken() {
  if (ended) return;
  const words = "Still saving: this key was not taken. Press it again when the next step is shown.";
  setText($("state-words"), words);
  toast(words);
}

function move(by) {
  const next = at + by;
  if (next < 0 || next >= items.length) { toast(by < 0 ? "This is the first item of this visit." : "Save or skip this one to go on."); return; }
  at = next;
  show();
}

function newKey() {
  return crypto.randomUUID ? crypto.randomUUID() : Array.from(crypto.getRandomValues(new Uint8Array(16)), (one) => one.toString(16).padStart(2, "0")).join("");
}

function undoable(words) {
  const node = h("div", { class: "toast toast-row", role: "status" }, icon("circle-check"), h("span", {}, words),
    h("button", { class: "btn btn-compact", type: "button", onclick: undo }, "Undo ", h("span", { class: "kbd", "aria-hidden": "true" }, "U")));
  $("toasts").replaceChildren(node);
  let timer = window.setTimeout(() => node.remove(), 6_000);
  for (const name of ["pointerenter", "focusin"]) node.addEventListener(name, () => window.clearTimeout(timer));
  for (const name of ["pointerleave", "focusout"]) node.addEventListener(name, () => { timer = window.setTimeout(() => node.remove(), 3_000); });
}

// ---- after saving --------------------------------------------------------------------------------

function drawAfter(item) {
  const host = $("after");
  const given = item.label?.answer;
  host.hidden = !given;
  if (!given) return;
  const parts = [h("h2", {}, "Your label"), h("p", {}, capitalised(ANSWERS[given]), item.label.first_error ? ", first wrong step" : "")];
  if (item.revealed) parts.push(...revealedParts(item));
  else parts.push(h("button", { type: "button", class: "btn", onclick: reveal }, icon("eye"), item.blind ? "Show the verdict" : "Show the labels", h("span", { class: "kbd", "aria-hidden": "true" }, "R")),
    item.blind ? h("p", { class: "small-text soft" }, "A change after that is no longer a blind label.") : null);
  fill(host, ...parts);
}

const capitalised = (text) => text.charAt(0).toUpperCase() + text.slice(1);

function revealedParts(item) {
  const { revealed } = item;
  return [
    kindChip(revealed.kind),
    h("ul", { class: "label-list", "aria-label": "Labels of this step" }, revealed.labels.map((label) => h("li", {}, h("b", {}, label.reviewer), ` ${ANSWERS[label.answer]}`, label.comment ? h("span", { class: "soft wrap" }, `: ${label.comment}`) : null))),
    revealed.run_url ? h("a", { href: revealed.run_url }, "All labels of this run") : null,
  ];
}

async function reveal() {
  const item = current();
  if (!item?.label?.answer) { toast("The verdict is shown after your label is saved."); return; }
  await outbox.flush();
  const response = await post(`items/${item.position}/reveal/`).catch(() => null);
  if (!response?.ok) { toast("The verdict could not be read. Is the label sent?", { error: true }); return; }
  item.revealed = await response.json();
  if (item === current()) { drawContext(item); drawAfter(item); document.getElementById("judged")?.focus({ preventScroll: true }); }
}

// ---- the rest of the page ------------------------------------------------------------------------

function drawProgress(progress) {
  counts = progress;
  const all = progress.total * Number(page.dataset.overlap);
  const number = (value) => value.toLocaleString("en-US");
  /** @type {any} */ ($("meter")).max = Math.max(1, all);
  /** @type {any} */ ($("meter")).value = Math.min(all, progress.labels);
  const left = progress.left_s === null || !progress.open ? "" : `, about ${minutes(progress.left_s)} left for you`;
  setText($("progress-words"), `${number(progress.done)} of ${number(progress.total)} have all their labels${left}`);
  setText($("left-words"), `${number(progress.open)}${progress.open < MOST_OPEN ? "" : "+"} left for you`);
  setText($("mine-words"), `${number(progress.mine)} by you`);
}

function minutes(value) {
  if (value < 90) return "1 min";
  return value < 5_400 ? `${Math.round(value / 60)} min` : `${Math.round(value / 3_600)} h`;
}

let upcoming = [];
function drawQueue(rows) {
  upcoming = rows;
  drawHere();
}

function drawHere() {
  const list = $("queue-list");
  const shown = items.slice(Math.max(0, at - 2));
  const known = new Set(shown.map((item) => item.position));
  const rows = [...shown, ...upcoming.filter((row) => !known.has(row.position))].slice(0, 10);
  fill(list, ...rows.map((row) => queueRow(row)));
}

function queueRow(row) {
  const here = row === current();
  const mine = items.includes(row);
  const mark = row.label?.answer ? h("span", { class: "row-end small-text soft" }, ANSWERS[row.label.answer]) : row.skipped ? h("span", { class: "row-end small-text muted" }, "skipped") : null;
  const words = [h("span", { class: "queue-task", dir: "auto" }, row.question || "Deleted run"), h("span", { class: "small-text muted queue-place" }, `${row.ref} · step ${row.step}`, mark)];
  return h("li", { "aria-current": here ? "true" : null },
    mine ? h("button", { type: "button", class: "queue-row", onclick: () => { at = items.indexOf(row); show(); } }, ...words) : h("div", { class: "queue-row" }, ...words));
}

function showState(title, words, className) {
  $("work").hidden = true;
  $("state").hidden = false;
  setText($("state-title"), title);
  setText($("state-words"), words);
  $("state").className = `card empty ${className}`;
  drawHere();
}

function finished({ progress, closed }) {
  if (closed) showState("This queue is closed", "Its labels stay; no more are taken.", "");
  else if (progress.done >= progress.total) showState(`All ${progress.total.toLocaleString("en-US")} reviewed`, "Thank you. The numbers are on the label set's page.", "");
  else if (progress.mine >= progress.total) showState(`You have labelled all ${progress.total.toLocaleString("en-US")}`, `${plural(progress.total - progress.done, "step")} ${progress.total - progress.done === 1 ? "waits" : "wait"} for another reviewer.`, "");
  else showState("Nothing left for you here", "Others are at work on the rest, or you skipped it. What comes free is served when you open this page again.", "");
}

// ---- keys ----------------------------------------------------------------------------------------

const KEYS = {
  1: () => choose("yes"), 2: () => choose("no"), 3: () => choose("unsure"),
  f: () => { if (answer === "no") { firstError.checked = !firstError.checked; keepDraft(); } },
  c: () => showComment(true), j: () => move(1), k: () => move(-1), u: undo, s: skip, r: reveal,
  "?": () => /** @type {any} */ ($("keys-dialog")).showModal(),
};

/** Single keys are off where text is typed, in dialogs, and where somebody switched them off. */
function keysOff() {
  const node = document.activeElement;
  return Boolean(node?.closest("input:not([type=checkbox]), textarea, select, [contenteditable]") || document.querySelector("dialog[open]")) || localStorage.getItem(KEYS_OFF) === "1";
}

document.addEventListener("keydown", (event) => {
  if (event.target === comment) {
    if (event.key === "Escape") { event.preventDefault(); document.getElementById("judged")?.focus({ preventScroll: true }); }
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); save(); }
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || keysOff()) return;
  const control = /** @type {Element} */ (event.target).closest?.("a, button, summary");
  if (event.key === "Enter") {
    if (control && !control.hasAttribute("data-answer")) return;
    event.preventDefault();
    if (!event.repeat) save();
    return;
  }
  const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : ""];
  if (!act) return;
  event.preventDefault();
  if ($("work").hidden && !["u", "k", "?"].includes(event.key.toLowerCase())) { notTaken(); return; }
  if (!event.repeat) act();
});

for (const radio of radios) {
  radio.addEventListener("click", () => choose(radio.dataset.answer));
  radio.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const next = radios[(radios.indexOf(radio) + by + radios.length) % radios.length];
    choose(next.dataset.answer);
    next.focus();
  });
}
comment.addEventListener("input", keepDraft);
firstError.addEventListener("change", keepDraft);
$("save").addEventListener("click", save);
$("skip").addEventListener("click", skip);
$("comment-toggle").addEventListener("click", () => showComment(!$("review-side").hasAttribute("data-comment")));
$("previous").addEventListener("click", () => move(-1));
$("next").addEventListener("click", () => move(1));
$("earlier").addEventListener("click", () => more("before"));
$("later").addEventListener("click", () => more("after"));
const keysSwitch = /** @type {HTMLInputElement} */ ($("keys-on"));
keysSwitch.checked = localStorage.getItem(KEYS_OFF) !== "1";
keysSwitch.addEventListener("change", () => { if (keysSwitch.checked) localStorage.removeItem(KEYS_OFF); else localStorage.setItem(KEYS_OFF, "1"); });
document.addEventListener("visibilitychange", () => {
  if (document.hidden) hiddenSince = performance.now();
  else if (hiddenSince) { awaySum += performance.now() - hiddenSince; hiddenSince = 0; }
});
window.addEventListener("online", () => { outbox.flush(); fetchNext(); });
window.addEventListener("offline", () => outbox.tell());
if (page.dataset.again) openAgain(page.dataset.again).finally(fetchNext); else fetchNext();
