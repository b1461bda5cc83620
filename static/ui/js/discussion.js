// The comments of a run: written, changed and read here, asked for anew every few seconds.
// What people write is hostile text: it only ever becomes text nodes.
import { moment, plural } from "./format.js";
import { fill, h, icon, setText, toast } from "./dom.js";

const POLL_MS = 3000;
const SURE_MS = 4000;
const card = document.getElementById("comments");
const form = /** @type {HTMLFormElement | null} */ (document.getElementById("comment-form"));
const list = /** @type {HTMLElement} */ (document.getElementById("comment-list"));

let state = { version: "", comments: [], me: "", may_write: false, may_delete: false, members: [], older: false };
let stopped = false;
let editing = "";
/** The draft's id: the server keeps one comment of an id, however often it is sent. */
let draft = newId();
/** Comments a step, for the buttons on the step cards. */
const counts = new Map();

/** A random UUID; `crypto.randomUUID` is missing where a page came without TLS. */
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const digits = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** The button of a step card; null where there is nothing to read and nobody may write. */
export function commentButton(step) {
  if (!card) return null;
  const button = h("button", { type: "button", class: "btn btn-ghost btn-compact", "data-comment-step": step }, icon("message-square"), h("span", {}));
  label(button, step);
  return button;
}

function label(button, step) {
  const written = counts.get(step) || 0;
  button.hidden = !form && !written;
  setText(button.querySelector("span"), written ? String(written) : "");
  button.setAttribute("aria-label", written ? `${plural(written, "comment")} on step ${step}` : `Comment on step ${step}`);
}

// ---- reading -------------------------------------------------------------------------------------
async function poll() {
  if (stopped || document.hidden || editing || document.getElementById("run")?.dataset.state === "removed") return;
  try {
    const answer = await fetch(`${card.dataset.url}${card.dataset.url.includes("?") ? "&" : "?"}version=${encodeURIComponent(state.version)}`, { headers: { accept: "application/json" } });
    if (answer.redirected || answer.status === 404 || answer.status === 403) { stopped = true; return; }
    if (answer.status === 204) return;
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    show(await answer.json());
  } catch (error) {
    console.info("The comments could not be read, trying again.", String(error));
  }
}

function show(next) {
  const first = state.version === "";
  const known = new Set(state.comments.map((one) => one.uuid));
  const fresh = next.comments.filter((one) => !known.has(one.uuid) && one.author !== next.me);
  state = next;
  draw();
  if (first) openHash();
  else if (fresh.length) setText(document.getElementById("comment-news"), fresh.length === 1 ? `New comment by ${fresh[0].author}` : `${fresh.length} new comments`);
}

function draw() {
  counts.clear();
  const written = state.comments.filter((one) => !one.deleted);
  for (const one of written) if (one.step !== null) counts.set(one.step, (counts.get(one.step) || 0) + 1);
  for (const button of document.querySelectorAll("[data-comment-step]")) label(button, Number(button.getAttribute("data-comment-step")));
  setText(document.getElementById("comment-count"), written.length ? String(written.length) : "");
  /** @type {HTMLElement} */ (document.getElementById("no-comments")).hidden = state.comments.length > 0;
  const focused = document.activeElement?.closest?.("li[id^=comment-]")?.id;
  fill(list, state.older ? h("li", { class: "small-text muted" }, `Older comments are left out; the newest ${state.comments.length} are shown.`) : null, ...state.comments.map(item));
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  drawMembers();
}

function item(one) {
  return h("li", { id: `comment-${one.uuid}`, class: "comment", tabindex: "-1" },
    h("div", { class: "comment-head" },
      h("span", { class: "avatar", "aria-hidden": "true" }, one.author.slice(0, 2).toUpperCase()),
      h("bdi", { class: "strong" }, one.author),
      one.step === null ? null : h("a", { href: `#step-${one.step}`, class: "small-text" }, `step ${one.step}`),
      h("a", { href: `#comment-${one.uuid}`, class: "small-text muted", "aria-label": `Permalink of ${one.author}'s comment` }, when(one.created_at)),
      one.edited_at && !one.deleted ? h("span", { class: "small-text muted", title: moment(one.edited_at) }, "edited") : null),
    one.deleted ? h("p", { class: "comment-text muted" }, "This comment was deleted.") : h("p", { class: "comment-text", dir: "auto" }, ...words(one)),
    one.deleted ? null : h("div", { class: "comment-foot" }, ...buttons(one)));
}

function when(iso) {
  return h("time", { datetime: iso }, moment(iso));
}

/** The text in pieces, the members it calls marked. */
function words(one) {
  const called = new Set(one.mentions.map((name) => name.toLowerCase()));
  return one.text.split(/(@[\p{L}\p{N}_.+@-]+)/u).flatMap((piece) => {
    if (!piece.startsWith("@")) return [piece];
    const name = piece.slice(1);
    const whole = called.has(name.toLowerCase()) ? name : name.replace(/[.+@-]+$/, "");
    if (!called.has(whole.toLowerCase())) return [piece];
    return [h("span", { class: "mention" }, `@${whole}`), name.slice(whole.length)];
  });
}

function buttons(one) {
  const mine = one.author === state.me && state.may_write;
  return [
    mine ? h("button", { type: "button", class: "btn btn-ghost btn-compact", "aria-label": "Edit your comment", onclick: () => edit(one) }, icon("pencil"), "Edit") : null,
    mine || state.may_delete ? h("button", { type: "button", class: "btn btn-ghost btn-compact", "aria-label": `Delete ${one.author}'s comment`, onclick: (event) => sure(event.currentTarget, () => send(`/comments/${one.uuid}/delete/`, {})) }, icon("trash-2"), h("span", {}, "Delete")) : null,
  ];
}

/** The first press asks, a second one within a few seconds does it. */
function sure(button, action) {
  if (button.dataset.sure) { action(); return; }
  button.dataset.sure = "1";
  const before = button.getAttribute("aria-label");
  button.setAttribute("aria-label", `Really ${before.charAt(0).toLowerCase()}${before.slice(1)}?`);
  setText(button.querySelector("span"), "Really delete?");
  setTimeout(() => {
    delete button.dataset.sure;
    button.setAttribute("aria-label", before);
    setText(button.querySelector("span"), "Delete");
  }, SURE_MS);
}

// ---- writing -------------------------------------------------------------------------------------
/** Send a form's fields; true if the server took them. What it refused is shown at the form. */
async function send(url, fields, complain = (words) => toast(words, { error: true })) {
  const body = new URLSearchParams(fields);
  body.set("csrfmiddlewaretoken", card.dataset.token || "");
  try {
    const answer = await fetch(url, { method: "POST", body, headers: { accept: "application/json" } });
    if (answer.ok && !answer.redirected) { await poll(); return true; }
    const told = answer.headers.get("content-type")?.includes("json") ? (await answer.json()).message : "";
    complain(told || (answer.status === 403 ? "You may not do this any more. Reload the page." : "This could not be stored. Reload the page and try again."));
  } catch {
    complain("The server does not answer. Your text is still here: try again.");
  }
  return false;
}

function complainAtForm(words) {
  const error = /** @type {HTMLElement} */ (document.getElementById("comment-error"));
  error.hidden = !words;
  setText(error, words);
}

function edit(one) {
  editing = one.uuid;
  const node = document.getElementById(`comment-${one.uuid}`);
  const area = h("textarea", { "aria-label": "Text of your comment", maxlength: "4000", dir: "auto" });
  area.value = one.text;
  const done = () => { editing = ""; draw(); document.getElementById(`comment-${one.uuid}`)?.focus({ preventScroll: true }); };
  const save = async () => {
    editing = "";
    if (await send(`/comments/${one.uuid}/edit/`, { text: area.value })) done();
    else editing = one.uuid;
  };
  area.addEventListener("keydown", (event) => {
    if (event.key === "Escape") done();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) save();
  });
  node.querySelector(".comment-text").replaceWith(h("div", { class: "field" }, area));
  fill(node.querySelector(".comment-foot"), h("button", { type: "button", class: "btn btn-compact btn-ink", onclick: save }, "Save"), h("button", { type: "button", class: "btn btn-compact", onclick: done }, "Cancel"));
  area.focus();
}

function drawMembers() {
  const box = document.getElementById("comment-members");
  if (!box || box.childElementCount === state.members.length) return;
  fill(box, ...state.members.map((name) => h("button", { type: "button", class: "btn btn-ghost btn-compact", "aria-label": `Mention ${name}`, onclick: () => mention(name) }, `@${name}`)));
}

function mention(name) {
  const area = form.elements.namedItem("text");
  const before = area.value.slice(0, area.selectionStart);
  area.setRangeText(`${before && !/\s$/.test(before) ? " " : ""}@${name} `, area.selectionStart, area.selectionEnd, "end");
  area.focus();
}

function wireForm() {
  const area = form.elements.namedItem("text");
  const step = form.elements.namedItem("step");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button:not([type=button])");
    if (button.disabled) return;
    button.disabled = true;
    complainAtForm("");
    const stored = await send(form.action, { text: area.value, step: step.value, uuid: draft }, complainAtForm);
    button.disabled = false;
    if (!stored) { area.focus(); return; }
    draft = newId();
    area.value = "";
    step.value = "";
    area.focus();
  });
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}

document.addEventListener("click", (event) => {
  const button = /** @type {Element} */ (event.target).closest?.("[data-comment-step]");
  if (!button) return;
  const step = button.getAttribute("data-comment-step");
  const first = state.comments.find((one) => String(one.step) === step && !one.deleted);
  if (form) form.elements.namedItem("step").value = step;
  if (first) document.getElementById(`comment-${first.uuid}`)?.scrollIntoView({ block: "center" });
  else card.scrollIntoView({ block: "center" });
  if (form) form.elements.namedItem("text").focus({ preventScroll: Boolean(first) });
});

// ---- permalinks ----------------------------------------------------------------------------------
function openHash() {
  const found = /^#(comment-[0-9a-f-]{36})$/.exec(location.hash);
  if (!found) return;
  const node = document.getElementById(found[1]);
  if (!node) { toast("This comment is not shown here any more."); return; }
  for (const other of list.querySelectorAll("[data-linked]")) other.removeAttribute("data-linked");
  node.setAttribute("data-linked", "");
  node.scrollIntoView({ block: "center" });
  node.focus({ preventScroll: true });
}

if (card) {
  if (form) wireForm();
  window.addEventListener("hashchange", openHash);
  document.addEventListener("visibilitychange", poll);
  window.setInterval(poll, POLL_MS);
  poll();
}
