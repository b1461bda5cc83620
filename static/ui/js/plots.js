// Draws figures with plotly: throttled, skipped while nobody looks, redrawn on a theme change.
import { CONFIG } from "./figures.js";

const TOKENS = {
  small: "--small", mid: "--mid", "mid-2": "--mid-2", large: "--large", good: "--good", bad: "--bad", text: "--text", text2: "--text-2", text3: "--text-3",
  surface: "--surface", overlay: "--overlay", grid: "--grid", band: "--band", borderStrong: "--border-strong", font: "--font", onRun: "--on-run",
  runA: "--run-a", runB: "--run-b", runC: "--run-c", runD: "--run-d", runE: "--run-e", runF: "--run-f",
};

/** Read the theme's tokens; `scheme` asks for one of the themes whatever the page shows. */
export function readTheme(scheme) {
  const root = document.documentElement;
  const before = root.dataset.theme;
  if (scheme) root.dataset.theme = scheme;
  const style = getComputedStyle(root);
  const theme = Object.fromEntries(Object.entries(TOKENS).map(([key, token]) => [key, style.getPropertyValue(token).trim()]));
  if (scheme) root.dataset.theme = before ?? "system";
  return theme;
}

const INTERVAL_MS = 250;

let library = null;

/** Load plotly once, after the first paint: its 4.8 MB must not keep the list waiting. */
function plotly() {
  library ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = document.querySelector("meta[name=plotly]")?.getAttribute("content") || "";
    script.addEventListener("load", resolve);
    script.addEventListener("error", () => reject(new Error("The plot library could not be loaded.")));
    requestAnimationFrame(() => window.setTimeout(() => document.head.append(script)));
  });
  return library;
}

/**
 * A plot that is drawn from `build(theme)`.
 * @param {HTMLElement} element
 * @param {(theme: Record<string, string>) => {data: any[], layout: any}} build
 */
export function plot(element, build) {
  let last = -Infinity;
  let timer = 0;
  let dirty = false;
  let drawn = false;

  function visible() {
    return !document.hidden && element.offsetParent !== null;
  }
  function draw() {
    timer = 0;
    if (!visible()) { dirty = true; return; }
    if (!window.Plotly) { plotly().then(update, (error) => { element.textContent = `${error.message} Reload the page, or use the table.`; }); return; }
    dirty = false;
    last = performance.now();
    const { data, layout } = build(readTheme());
    window.Plotly.react(element, data, layout, CONFIG);
    element.dataset.points = String(data.reduce((n, trace) => n + (trace.type === "scatter" && trace.customdata ? trace.x.length : 0), 0));
    if (!drawn) { drawn = true; performance.mark("plot-shown"); element.dispatchEvent(new CustomEvent("plotready")); }
  }
  function update() {
    if (timer) return;
    const wait = Math.max(0, INTERVAL_MS - (performance.now() - last));
    timer = window.setTimeout(() => requestAnimationFrame(draw), wait);
  }
  const wake = () => { if (dirty && visible()) update(); };
  document.addEventListener("visibilitychange", wake);
  document.addEventListener("themechange", update);
  return { update, wake, element, get drawn() { return drawn; } };
}

/** Save a figure as PNG in the light theme on white. */
export async function savePng(build, filename) {
  await plotly();
  const { data, layout } = build(readTheme("light"));
  const figure = { data, layout: { ...layout, paper_bgcolor: "#FFFFFF", plot_bgcolor: "#FFFFFF", width: 1200, height: 700, autosize: false }, config: CONFIG };
  await window.Plotly.downloadImage(figure, { format: "png", width: 1200, height: 700, scale: 2, filename });
}
