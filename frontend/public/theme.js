// Before the first paint: the theme and language chosen earlier, so that nothing flashes. A file, as inline scripts are forbidden.
try {
  var theme = localStorage.getItem("orakul.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch (_) {
  // storage may be forbidden: the system's theme holds
}
