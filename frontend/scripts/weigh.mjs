// What a browser downloads to show the first page, gzipped: the page, its scripts with all that they import at once,
// the worker, the styles and one language. More than the budget fails the build.
import { readFileSync, readdirSync } from "node:fs";
import { gzipSync } from "node:zlib";

const BUDGET = 150_000;
const out = new URL("../../src/orakul/web/interface/", import.meta.url);
const read = (file) => readFileSync(new URL(file, out));
const weight = (file) => gzipSync(read(file), { level: 9 }).length;
const manifest = JSON.parse(read("manifest.json").toString());

const first = new Set(["index.html", "theme.js", "mark.svg"]);
const take = (key) => {
  const chunk = manifest[key];
  if (first.has(chunk.file)) return;
  first.add(chunk.file);
  (chunk.css ?? []).forEach((file) => first.add(file));
  (chunk.imports ?? []).forEach(take);
};
take("index.html");
manifest["index.html"].dynamicImports.forEach(take); // begun by the first script as soon as the frame is painted
// Loaded by the first page itself, as soon as it runs: the heavier of the two languages and the stream's worker.
const languages = Object.keys(manifest).filter((key) => /locales\/\w+\.po/.test(key));
languages.sort((a, b) => weight(manifest[b].file) - weight(manifest[a].file));
if (languages[0]) take(languages[0]);
readdirSync(new URL("assets/", out))
  .filter((file) => file.startsWith("worker-"))
  .forEach((file) => first.add(`assets/${file}`));

let total = 0;
for (const file of [...first].sort((a, b) => weight(b) - weight(a))) {
  total += weight(file);
  console.log(`${String(weight(file)).padStart(8)}  ${file}`);
}
console.log(`${String(total).padStart(8)}  first load, gzipped (budget ${BUDGET})`);
if (total > BUDGET) {
  console.error("The first load is over its budget.");
  process.exit(1);
}
