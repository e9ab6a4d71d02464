/**
 * The first script, and a small one: it lets the browser paint what index.html brings before the page's own scripts,
 * which are on their way meanwhile (`modulepreload`, see vite.config.ts), take its time.
 */
import "./styles/index.css";

const begin = (): void => void import("./main");
if (document.visibilityState === "hidden") begin(); // a page in the background is not painted
else requestAnimationFrame(() => setTimeout(begin));
