// Finding one of many strategies: a search over the cards, families that unfold to what was found.
import { setText } from "./dom.js";

/** @param {HTMLElement} host the fieldset with `[data-family]` groups of `[data-card]` */
export function pickStrategies(host) {
  const search = /** @type {HTMLInputElement} */ (host.querySelector("input[type=search]"));
  const said = /** @type {HTMLElement} */ (host.querySelector("[role=status]"));
  const families = /** @type {HTMLDetailsElement[]} */ ([...host.querySelectorAll("[data-family]")]);
  /** What was unfolded before the search; put back when it is cleared. */
  let before = null;

  function find() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length && !before) before = families.map((family) => family.open);
    let found = 0;
    families.forEach((family, index) => {
      let here = 0;
      for (const card of family.querySelectorAll("[data-card]")) {
        const fits = words.every((word) => (card.getAttribute("data-words") || "").includes(word));
        /** @type {HTMLElement} */ (card).hidden = !fits;
        here += Number(fits);
      }
      family.hidden = here === 0;
      if (words.length) family.open = true;
      else if (before) family.open = before[index];
      found += here;
    });
    if (!words.length) before = null;
    said.hidden = !words.length;
    setText(said, !found ? "No strategy matches." : found === 1 ? "1 strategy found" : `${found} strategies found`);
  }

  function count() {
    for (const family of families) {
      const chosen = family.querySelectorAll("[data-strategy]:checked").length;
      setText(family.querySelector("[data-chosen]"), chosen ? `, ${chosen} chosen` : "");
    }
  }

  search.addEventListener("input", (event) => { event.stopPropagation(); find(); });
  // Enter looks for a strategy here, it does not start a run
  search.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
  host.addEventListener("change", count);
  find();
  count();
}
