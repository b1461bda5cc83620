// What every page needs: menus that close, dialogs that open, confirmations, copied links.
import { toast } from "./dom.js";

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(/** @type {Node} */ (event.target))) menu.removeAttribute("open");
  }
  const target = /** @type {Element} */ (event.target);
  const opener = target.closest?.("[data-opens]");
  if (opener) document.getElementById(opener.getAttribute("data-opens") || "")?.showModal();
  if (target.closest?.("[data-closes]")) target.closest("dialog")?.close();
  if (target.closest?.("[data-copy-link]")) copyLink();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.removeAttribute("open");
    menu.querySelector("summary")?.focus();
  }
});

async function copyLink() {
  try {
    await navigator.clipboard.writeText(location.href);
    toast("Link copied.");
  } catch {
    toast(`Copy the address from the address bar: ${location.href}`, { error: true });
  }
}
