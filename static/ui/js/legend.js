// The HTML legends: a small picture and a word for each mark of a plot.
import { fill, h, svg } from "./dom.js";
import { capital, isParallel, tierLook } from "./model.js";
import { isWrong } from "./review-marks.js";

const SHAPES = {
  small: () => svg("circle", { cx: 11, cy: 6, r: 3 }),
  mid: () => svg("path", { d: "M11 2l4 4-4 4-4-4z" }),
  "mid-2": () => svg("path", { d: "M11 2l4 7H7z" }),
  large: () => svg("rect", { x: 7.5, y: 2.5, width: 7, height: 7 }),
};

export function tierKey(key) {
  const width = key === "small" ? 2 : 3.5;
  return svg("svg", { viewBox: "0 0 22 12", class: `key-${key}`, "aria-hidden": "true" }, svg("path", { d: "M1 8h8V4h12", fill: "none", "stroke-width": width }), SHAPES[key]());
}

function key(className, ...shapes) {
  return svg("svg", { viewBox: "0 0 22 12", class: className, "aria-hidden": "true" }, ...shapes);
}

export function runLegend(host, model) {
  const tiers = model.names.map((name, tier) => h("li", {}, tierKey(tierLook(tier, model.names.length).key), capital(name)));
  fill(host, ...tiers,
    h("li", {}, key("key-bad", svg("circle", { cx: 11, cy: 6, r: 5, "stroke-width": 1.8 }), svg("path", { d: "M7.6 9.4l6.8-6.8", "stroke-width": 1.4 })), "No progress"),
    [...(model.labels?.values() || [])].some(isWrong) ? h("li", {}, key("key-label", svg("path", { d: "M7 2l8 8M15 2l-8 8", "stroke-width": 2 })), "Verdict wrong by a label") : null,
    h("li", {}, key("key-est", svg("path", { d: "M1 6h20", "stroke-width": 1.5, "stroke-dasharray": "2 2.5" })), `${capital(model.names.at(-1))}-only estimate`),
    isParallel(model)
      ? h("li", {}, key("key-est", svg("path", { d: "M1 9h12V3", "stroke-width": 1.5, "stroke-dasharray": "1.5 2" })), "Waiting for other agents")
      : h("li", {}, key("key-band", svg("rect", { x: 3, y: 0.5, width: 16, height: 11 })), "Escalated"));
}
