// Follows a run: snapshot, then socket, then again after any break. Each event reaches the model once.
import { addBodies, apply, applyDelta, createModel, trimBodies } from "./model.js";
import { DELTA, TERMINAL } from "./vocabulary.js";

const CLOSED_FOR_GOOD = { 4401: "signed-out", 4404: "gone", 4409: "removed" };
const OVERLOAD = 1013;
const SILENCE_MS = 60_000;
const HELLO_MS = 15_000;
const BODIES_A_CALL = 100;

/** Wait before try `n` (from 0): exponential with full jitter, at most 15 s. */
export function backoff(n, random = Math.random) {
  return Math.min(15_000, 500 * 2 ** n) * (0.3 + 0.7 * random());
}

/**
 * Follow one run.
 * @param {string} url the run's page, ending in "/"
 * @param {string} socketPath "/ws/runs/<uuid>/"
 * @param {{onModel: (model: any) => void, onEvent: (type: string, event: any) => void, onDelta?: () => void, onState: (state: string) => void}} on
 *   states: "loading", "live", "ended", "reconnecting", "signed-out", "gone", "removed", "broken"
 */
export function follow(url, socketPath, on) {
  const feed = { model: null, lastAt: Date.now(), stop, bodies: (first, last) => fetchBodies(feed, url, first, last) };
  let socket = null;
  let tries = 0;
  let timer = 0;
  let watchdog = 0;
  let stopped = false;

  async function load() {
    if (stopped) return;
    try {
      const response = await fetch(`${url}snapshot.json`, { headers: { accept: "application/json" } });
      if (response.status === 404 || response.status === 403) return finish("gone");
      if (response.redirected || response.status === 401) return finish("signed-out");
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      const snapshot = await response.json();
      const kept = feed.model?.bodies;
      feed.model = createModel(snapshot);
      if (kept) for (const [step, body] of kept) if (body.complete && !feed.model.bodies.has(step)) feed.model.bodies.set(step, body);
      feed.lastAt = Date.now();
      on.onModel(feed.model);
      if (feed.model.terminal) return finish("ended");
      connect();
    } catch (error) {
      console.info("The run could not be read, trying again.", String(error));
      retry();
    }
  }

  function connect() {
    if (stopped) return;
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    socket = new WebSocket(`${scheme}//${location.host}${socketPath}?since=${feed.model.head}`);
    guard(HELLO_MS);
    socket.addEventListener("message", receive);
    socket.addEventListener("close", closed);
  }

  function receive({ data }) {
    feed.lastAt = Date.now();
    guard(SILENCE_MS);
    const event = JSON.parse(data);
    if (event.type === "hello") { tries = 0; on.onState("live"); return; }
    if (event.type === DELTA) { if (applyDelta(feed.model, event)) on.onDelta?.(event); return; }
    if (!Number.isInteger(event.seq)) return;
    const what = apply(feed.model, event);
    if (what === "gap") { drop(); load(); return; }
    if (what === "old") return;
    on.onEvent(what, event);
    if (TERMINAL.has(event.type)) finish("ended");
  }

  function closed({ code }) {
    socket = null;
    clearTimeout(watchdog);
    if (stopped) return;
    if (CLOSED_FOR_GOOD[code]) return finish(CLOSED_FOR_GOOD[code]);
    if (code === OVERLOAD) tries = Math.max(tries, 4);
    retry();
  }

  function retry() {
    if (stopped || timer) return;
    on.onState("reconnecting");
    timer = window.setTimeout(again, backoff(tries));
    tries += 1;
  }

  function again() {
    clearTimeout(timer);
    timer = 0;
    if (feed.model) connect(); else load();
  }

  /** A silent line may be a dead one: connecting anew since the last event costs little. */
  function guard(ms) {
    clearTimeout(watchdog);
    watchdog = window.setTimeout(() => { drop(); retry(); }, ms);
  }

  function drop() {
    clearTimeout(watchdog);
    if (!socket) return;
    socket.removeEventListener("close", closed);
    socket.removeEventListener("message", receive);
    socket.close();
    socket = null;
  }

  function finish(state) {
    stop();
    on.onState(state);
  }

  function stop() {
    stopped = true;
    clearTimeout(timer);
    drop();
    window.removeEventListener("online", online);
    window.removeEventListener("offline", offline);
  }

  const online = () => { if (!stopped && !socket) { tries = 0; again(); } };
  const offline = () => { if (!stopped) { drop(); on.onState("reconnecting"); if (!timer) retry(); } };
  window.addEventListener("online", online);
  window.addEventListener("offline", offline);
  on.onState("loading");
  load();
  return feed;
}

/** Fetch the bodies of steps first..last and take them into the model. */
async function fetchBodies(feed, url, first, last) {
  for (let from = first; from <= last; from += BODIES_A_CALL) {
    const to = Math.min(last, from + BODIES_A_CALL - 1);
    const response = await fetch(`${url}steps.json?from=${from}&to=${to}`, { headers: { accept: "application/json" } });
    if (!response.ok) throw new Error(`The steps could not be read (HTTP ${response.status}).`);
    const { events } = await response.json();
    addBodies(feed.model, events, from, to);
  }
  trimBodies(feed.model, first);
}
