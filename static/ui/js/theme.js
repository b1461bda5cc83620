// The theme choice: a cookie that the server reads, so that the first paint is right.

const NEXT = { light: "dark", dark: "light" };

function shown() {
  const chosen = document.documentElement.dataset.theme;
  if (chosen === "light" || chosen === "dark") return chosen;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

function choose(theme) {
  document.documentElement.dataset.theme = theme;
  document.cookie = `theme=${theme};path=/;max-age=31536000;samesite=lax`;
  label();
  document.dispatchEvent(new CustomEvent("themechange"));
}

function label() {
  for (const button of document.querySelectorAll("[data-theme-toggle]")) {
    button.setAttribute("aria-label", shown() === "dark" ? "Use the light theme" : "Use the dark theme");
  }
}

for (const button of document.querySelectorAll("[data-theme-toggle]")) {
  button.addEventListener("click", () => choose(NEXT[shown()]));
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  label();
  if (!["light", "dark"].includes(document.documentElement.dataset.theme || "")) document.dispatchEvent(new CustomEvent("themechange"));
});
label();
