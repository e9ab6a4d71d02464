// The catalogues are whole: every text of the sources is in each of them, in words, with the same placeholders, and
// none is left over.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

const languages = ["en", "ru"];
const path = (language) => new URL(`../src/locales/${language}.po`, import.meta.url);
const before = languages.map((language) => readFileSync(path(language), "utf8"));
execFileSync("npx", ["lingui", "extract", "--clean"], { stdio: "ignore" });
const problems = [];
languages.forEach((language, at) => {
  const now = readFileSync(path(language), "utf8");
  const bare = (text) => text.replace(/"POT-Creation-Date.*\n/g, "");
  if (bare(now) !== bare(before[at])) problems.push(`${language}.po is not what the sources say: run npm run texts`);
  const entries = now.matchAll(/msgid "((?:[^"\\]|\\.|"\n")*)"\nmsgstr "((?:[^"\\]|\\.|"\n")*)"/g);
  for (const [, id, text] of entries) {
    if (id === "") continue;
    if (text === "") problems.push(`${language}: no words for ${JSON.stringify(id)}`);
    const holes = (words) => [...new Set([...words.matchAll(/(?<!(?:zero|one|two|few|many|other) )\{(\w+)/g)].map(([, name]) => name))].sort();
    const wanted = holes(id).filter((name) => id.includes(`{${name}}`) || id.includes(`{${name},`));
    const given = new Set(holes(text));
    for (const name of wanted) if (!given.has(name)) problems.push(`${language}: {${name}} is missing in ${JSON.stringify(text)}`);
  }
});
if (problems.length > 0) {
  console.error(problems.join("\n"));
  process.exit(1);
}
console.log("The catalogues are whole.");
