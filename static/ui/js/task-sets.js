// Task sets: one dialog asks before any of them is archived.
import { setText } from "./dom.js";

const dialog = /** @type {HTMLDialogElement | null} */ (document.getElementById("archive-dialog"));

for (const button of document.querySelectorAll("[data-archive]")) {
  button.addEventListener("click", () => {
    const { archive, name } = /** @type {HTMLElement} */ (button).dataset;
    /** @type {HTMLFormElement} */ (dialog?.querySelector("form")).action = archive || "";
    setText(dialog?.querySelector("[data-archive-name]"), name);
    dialog?.showModal();
  });
}
/** @type {HTMLElement | null} */ (document.querySelector("[data-focus-first]"))?.focus();
