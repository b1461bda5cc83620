// The list of steps: only what is near the view is in the DOM, bodies are fetched when they come near.
import { fill, h, toast } from "./dom.js";
import { body, rows, runningSteps } from "./model.js";
import { runningCard, stepCard, switchRow, updateLive } from "./step-card.js";

const MARGIN_PX = 500;
const GUESS = { step: 168, running: 150, switch: 60 };
const FETCH_DELAY_MS = 60;
const LIVE_MS = 200;

export class Trajectory {
  /**
   * @param {HTMLOListElement} list
   * @param {{feed: any, mayRun: boolean, onFollow: (on: boolean, unseen: number) => void, onFocus: (step: number) => void}} options
   */
  constructor(list, options) {
    this.list = list;
    this.options = options;
    this.filter = "all";
    this.scope = null;
    this.newestFirst = true;
    this.following = true;
    this.unseen = 0;
    this.items = [];
    this.tops = new Float64Array(1);
    this.heights = new Map();
    this.nodes = new Map();
    this.open = new Set();
    list.replaceChildren();
    this.frame = 0;
    this.fetching = null;
    this.fetchTimer = 0;
    this.liveTimer = 0;
    this.quietUntil = 0;
    window.addEventListener("scroll", () => this.scrolled(), { passive: true });
    window.addEventListener("resize", () => { this.heights.clear(); this.schedule(); });
  }

  get model() { return this.options.feed().model; }

  /** Take in a changed model; `steps` are the numbers whose cards must be drawn anew. */
  update(steps = []) {
    const known = this.items.length;
    this.items = rows(this.model, this.filter, this.scope);
    if (this.newestFirst) this.items.reverse();
    for (const step of steps) for (const key of [`step-${step}`, `switch-${step}`]) this.forget(key);
    const fresh = this.items.length - known;
    if (!this.following && fresh > 0 && known) { this.unseen += fresh; this.options.onFollow(false, this.unseen); }
    this.schedule();
  }

  forget(key) {
    const node = this.nodes.get(key);
    if (node) node.dataset.stale = "1";
  }

  redraw() {
    for (const key of this.nodes.keys()) this.forget(key);
    this.update();
  }

  schedule() {
    if (this.frame) return;
    // A hidden tab gets no frames; a timer keeps the page right for whoever reads it there.
    const run = () => { this.frame = 0; this.layout(); };
    this.frame = document.hidden ? window.setTimeout(run, 100) : requestAnimationFrame(run);
  }

  setFilter(filter) {
    this.filter = filter;
    this.items = [];
    this.update();
  }

  /** Show the steps of one agent instance; null = of all. */
  setScope(scope) {
    this.scope = scope;
    this.items = [];
    this.update();
  }

  setOrder(newestFirst) {
    this.newestFirst = newestFirst;
    this.update();
  }

  follow(on) {
    this.following = on;
    this.unseen = 0;
    this.options.onFollow(on, 0);
    if (on) this.toNewest();
  }

  toNewest() {
    this.quietUntil = performance.now() + 400;
    const rect = this.list.getBoundingClientRect();
    if (this.newestFirst) { if (rect.top < 0) window.scrollBy(0, rect.top - 120); }
    else if (rect.bottom > innerHeight) window.scrollBy(0, rect.bottom - innerHeight + 40);
    this.schedule();
  }

  scrolled() {
    this.schedule();
    if (!this.following || performance.now() < this.quietUntil || !this.model || this.model.terminal) return;
    const rect = this.list.getBoundingClientRect();
    const away = this.newestFirst ? rect.top < -160 : rect.bottom > innerHeight + 400;
    if (away) this.follow(false);
  }

  measureTops() {
    const tops = new Float64Array(this.items.length + 1);
    for (let i = 0; i < this.items.length; i += 1) {
      const item = this.items[i];
      tops[i + 1] = tops[i] + (this.heights.get(item.key) ?? GUESS[item.kind]);
    }
    this.tops = tops;
  }

  /** First and one past the last index near the view. */
  range() {
    const top = -this.list.getBoundingClientRect().top;
    return [indexAt(this.tops, top - MARGIN_PX), Math.min(this.items.length, indexAt(this.tops, top + innerHeight + MARGIN_PX) + 1)];
  }

  layout() {
    if (!this.model || this.list.offsetParent === null) return;
    const anchor = this.following && this.newestFirst ? null : this.anchor();
    let range = [0, 0];
    for (let pass = 0; pass < 4; pass += 1) {
      this.measureTops();
      range = this.range();
      this.mount(range);
      if (!this.remeasure(range)) break;
    }
    this.restore(anchor);
    if (!this.marked && this.items.length) { this.marked = true; performance.mark("steps-shown"); }
    if (this.following && !this.newestFirst && !this.model.terminal) this.toNewestQuietly();
    this.wantBodies(range);
  }

  toNewestQuietly() {
    const rect = this.list.getBoundingClientRect();
    if (rect.bottom > innerHeight) { this.quietUntil = performance.now() + 400; window.scrollBy(0, rect.bottom - innerHeight + 40); }
  }

  anchor() {
    for (const [key, node] of this.nodes) {
      const rect = node.getBoundingClientRect();
      if (rect.bottom > 80 && rect.top < innerHeight) return { key, top: rect.top };
    }
    return null;
  }

  restore(anchor) {
    const node = anchor && this.nodes.get(anchor.key);
    if (!node) return;
    const moved = node.getBoundingClientRect().top - anchor.top;
    if (Math.abs(moved) > 1) { this.quietUntil = performance.now() + 200; window.scrollBy(0, moved); }
  }

  mount([first, last]) {
    // what goes, goes first: a card that had to be moved past it would lose the focus
    const wanted = new Set(this.items.slice(first, last).map((item) => item.key));
    for (const [key, node] of this.nodes) if (!wanted.has(key)) { node.remove(); this.nodes.delete(key); }
    let place = null;
    for (let i = first; i < last; i += 1) {
      const item = this.items[i];
      const node = this.node(item, i);
      const next = place ? place.nextSibling : this.list.firstChild;
      if (next !== node) this.list.insertBefore(node, next);
      // a transform moves a card without a layout shift: nothing else on the page is laid out anew
      const move = `translateY(${this.tops[i]}px)`;
      if (node.style.transform !== move) node.style.transform = move;
      place = node;
    }
    this.list.style.height = `${this.tops[this.items.length]}px`;
  }

  node(item, index) {
    let node = this.nodes.get(item.key);
    if (!node) {
      node = h("li", { id: item.key, tabindex: "-1", "data-step": item.kind === "switch" ? null : item.step });
      this.nodes.set(item.key, node);
      node.dataset.stale = "1";
    }
    if (node.dataset.stale || node.dataset.kind !== item.kind) this.paint(node, item);
    node.setAttribute("aria-posinset", String(index + 1));
    node.setAttribute("aria-setsize", String(this.items.length));
    return node;
  }

  paint(node, item) {
    const held = node.contains(document.activeElement) && document.activeElement !== node ? document.activeElement.getAttribute("aria-label") : null;
    if (item.kind === "switch") fill(node, switchRow(this.model, item.event));
    else if (item.kind === "running") { fill(node, runningCard(this.model, item)); updateLive(this.model, node); }
    else fill(node, stepCard(this.model, item, { open: this.open.has(item.step), mayRun: this.options.mayRun, onToggle: (step) => this.toggle(step) }));
    node.dataset.kind = item.kind;
    delete node.dataset.stale;
    if (held) [...node.querySelectorAll("button, a")].find((one) => one.dataset.fork || one.getAttribute("aria-expanded"))?.focus({ preventScroll: true });
  }

  remeasure([first, last]) {
    let changed = false;
    for (let i = first; i < last; i += 1) {
      const { key, kind } = this.items[i];
      const height = this.nodes.get(key).offsetHeight;
      if (Math.abs((this.heights.get(key) ?? GUESS[kind]) - height) > 0.5) changed = true;
      this.heights.set(key, height);
    }
    return changed;
  }

  toggle(step) {
    if (this.open.has(step)) this.open.delete(step); else this.open.add(step);
    this.forget(`step-${step}`);
    this.layout();
  }

  /** New streaming text: at most five times a second into one text node. */
  live() {
    if (this.liveTimer) return;
    this.liveTimer = window.setTimeout(() => {
      this.liveTimer = 0;
      const open = this.model ? runningSteps(this.model).map((one) => this.nodes.get(`step-${one.started.step}`)) : [];
      const live = open.filter((node) => node?.dataset.kind === "running");
      for (const node of live) updateLive(this.model, node);
      if (live.length) this.layout();
    }, LIVE_MS);
  }

  wantBodies([first, last]) {
    const missing = this.items.slice(first, last).filter((item) => item.kind === "step" && !body(this.model, item.step).complete).map((item) => item.step);
    if (!missing.length || this.fetching || this.fetchTimer) return;
    this.fetchTimer = window.setTimeout(() => { this.fetchTimer = 0; this.fetchBodies(Math.min(...missing), Math.max(...missing)); }, FETCH_DELAY_MS);
  }

  async fetchBodies(first, last) {
    try {
      this.fetching = this.options.feed().bodies(first, Math.min(last, first + 99));
      await this.fetching;
      for (let step = first; step <= last; step += 1) this.forget(`step-${step}`);
      this.failures = 0;
    } catch (error) {
      this.failures = (this.failures || 0) + 1;
      if (this.failures === 1) toast(String(error.message || error), { error: true });
      await new Promise((resolve) => { window.setTimeout(resolve, Math.min(30_000, 1000 * 2 ** this.failures)); });
    } finally {
      this.fetching = null;
      this.schedule();
    }
  }

  indexOf(step) {
    return this.items.findIndex((item) => item.step === step && item.kind !== "switch");
  }

  /** Scroll to a step, draw it, open it; answers false if the run has no such step. */
  goTo(step, { open = false, focus = false } = {}) {
    let index = this.indexOf(step);
    if (index < 0 && (this.filter !== "all" || this.scope !== null)) { this.scope = null; this.options.onFilter?.("all"); this.setFilter("all"); index = this.indexOf(step); }
    if (index < 0) return false;
    if (open) { this.open.add(step); this.forget(`step-${step}`); }
    if (this.following && !this.model.terminal) { this.following = false; this.options.onFollow(false, 0); }
    this.quietUntil = performance.now() + 600;
    const away = Math.max(96, innerHeight * 0.18);
    for (let pass = 0; pass < 4; pass += 1) {
      this.measureTops();
      const top = this.list.getBoundingClientRect().top + this.tops[index];
      if (Math.abs(top - away) > 2) window.scrollBy(0, top - away);
      const range = this.range();
      this.mount(range);
      if (!this.remeasure(range)) break;
    }
    this.wantBodies(this.range());
    if (focus) this.nodes.get(`step-${step}`)?.focus({ preventScroll: true });
    return true;
  }

  /** The step that is focused, or else the first one in view. */
  here() {
    const focused = document.activeElement?.closest?.("li[data-step]");
    if (focused) return Number(focused.dataset.step);
    for (const item of this.items) {
      const node = this.nodes.get(item.key);
      if (node && item.kind !== "switch" && node.getBoundingClientRect().bottom > 100) return item.step;
    }
    return this.items.find((item) => item.kind !== "switch")?.step;
  }

  /** Move by one card in the order shown. */
  move(by) {
    const cards = this.items.filter((item) => item.kind !== "switch");
    if (!cards.length) return;
    const focused = document.activeElement?.closest?.("li[data-step]");
    const at = cards.findIndex((item) => item.step === this.here());
    const next = cards[Math.min(cards.length - 1, Math.max(0, focused ? at + by : at))];
    this.goTo(next.step, { focus: true });
    this.options.onFocus(next.step);
  }
}

/** The index of the last top that is not beyond `y`. */
export function indexAt(tops, y) {
  let low = 0;
  let high = tops.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (tops[middle] <= y) low = middle; else high = middle - 1;
  }
  return Math.max(0, Math.min(low, tops.length - 2));
}
