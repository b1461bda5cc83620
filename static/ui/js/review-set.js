// One key to each page of a label set; off where text is typed, and where somebody switched keys off.
import { typing } from "./dom.js";

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing() || localStorage.getItem("tandem.review.keys-off") === "1") return;
  const link = event.key.length === 1 ? document.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`) : null;
  if (link) { event.preventDefault(); /** @type {HTMLElement} */ (link).click(); }
});
