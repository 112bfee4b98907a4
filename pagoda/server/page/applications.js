/*
  What the pages of applications have in common; the server puts it into each of them. A page has `app.settings`,
  `SETTINGS`, `setLanguage` and its texts `t` of its own.
*/
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value != null) node.setAttribute(name, value);
  }
  node.append(...children.filter(child => child != null));
  return node;
}

const DARK = matchMedia("(prefers-color-scheme: dark)");
const systemTheme = () => (DARK.matches ? "dark" : "light");
function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  $("theme").querySelector("use").setAttribute("href", theme === "dark" ? "#i-sun" : "#i-moon");
}

function toggleTheme() {
  const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  app.settings.theme = theme === systemTheme() ? null : theme;  // null follows the system again
  setTheme(theme); write(SETTINGS, app.settings);
}

function toggleLanguage() {
  app.settings.language = app.language === "zh" ? "en" : "zh";
  write(SETTINGS, app.settings); setLanguage(app.settings.language);
}

/** Asks for a key, kept as `where` until the window is closed; whether one was given. */
function askForKey(where, isWrong) {
  const dialog = $("key-dialog");
  dialog.returnValue = "";  // Escape leaves that of the last time
  $("key-input").value = ""; $("key-wrong").hidden = !isWrong;
  dialog.showModal();
  return new Promise(resolve => dialog.addEventListener("close", () => {
    const key = $("key-input").value.trim(), saved = dialog.returnValue === "save" && key !== "";
    if (saved && /[^\x21-\x7e]/.test(key)) { resolve(askForKey(where, true)); return; }  // a browser sends no others
    if (saved) sessionStorage.setItem(where, key);
    resolve(saved);
  }, { once: true }));
}
