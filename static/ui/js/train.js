// The form of a training: only the fields of the chosen source, and the word about the stand-in.
const form = /** @type {any} */ (document.getElementById("train"));
const source = form.elements.source;
const encoder = form.elements.encoder;

function update() {
  for (const part of form.querySelectorAll("[data-source]")) {
    const on = part.dataset.source === source.value;
    part.hidden = !on;
    for (const input of part.querySelectorAll("input, select")) input.disabled = !on;
  }
  const note = form.querySelector("[data-stand-in]");
  if (note && encoder) note.hidden = encoder.value !== "hashed";
}

form.addEventListener("change", update);
form.addEventListener("submit", () => { document.getElementById("submit")?.setAttribute("aria-disabled", "true"); });
// A key a visit: a double click trains once, coming back to change the form may train again.
window.addEventListener("pageshow", () => {
  form.elements.key.value = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  document.getElementById("submit")?.removeAttribute("aria-disabled");
});
/** @type {HTMLElement | null} */ (document.querySelector("[data-focus-first]"))?.focus();
update();
