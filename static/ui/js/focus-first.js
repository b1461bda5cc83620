// After a refused form, the summary of what is wrong gets the focus.
/** @type {HTMLElement | null} */ (document.querySelector("[data-focus-first]"))?.focus();
