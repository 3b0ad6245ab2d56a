// Light or dark: as the computer has it, until the button says otherwise.

const KEY = "cryoparts-theme";
let chosen = null;
try { chosen = localStorage.getItem(KEY); } catch { /* a browser that keeps nothing */ }

export function theme(button, changed) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const dark = chosen ? chosen === "dark" : system.matches;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    button.textContent = dark ? "Light" : "Dark";
    button.setAttribute("aria-label", dark ? "Use light colours" : "Use dark colours");
  };
  const both = () => { apply(); changed(); };
  button.onclick = () => {
    chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem(KEY, chosen); } catch { /* as above */ }
    both();
  };
  system.addEventListener("change", both);
  apply();
}
