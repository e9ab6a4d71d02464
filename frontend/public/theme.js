// Before the first paint: the theme and language chosen earlier, so that nothing flashes, and whether somebody was signed
// in here, so that the frame of the right page is painted. A file, as inline scripts are forbidden.
try {
  var theme = localStorage.getItem("orakul.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  if (localStorage.getItem("orakul.known")) document.documentElement.dataset.known = "";
} catch (_) {
  // storage may be forbidden: the system's theme holds
}
