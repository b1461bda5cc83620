// The form of a new queue: fields that do not apply to what is chosen are out of the way.
const form = /** @type {HTMLFormElement} */ (document.getElementById("new-queue"));

function value(name) {
  return /** @type {any} */ (form.elements.namedItem(name)).value;
}

function draw() {
  /** @type {any} */ (form.querySelector("[data-new-set]")).hidden = value("label_set") !== "";
  /** @type {any} */ (form.querySelector("[data-strata]")).hidden = value("method") !== "stratified";
  const size = /** @type {any} */ (form.elements.namedItem("size")).closest(".field");
  size.hidden = value("method") === "all";
}

form.addEventListener("change", draw);
draw();
