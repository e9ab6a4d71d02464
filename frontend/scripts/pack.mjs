// Lay packed twins beside the built files: the server sends them as they are, and packs nothing itself.
import { readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const out = new URL("../../src/orakul/web/interface/", import.meta.url);
for (const file of readdirSync(out, { recursive: true })) {
  if (!/\.(?:js|css|svg|json)$/.test(file)) continue;
  const path = new URL(file, out);
  const plain = readFileSync(path);
  if (plain.length < 1000) continue;
  writeFileSync(`${path.pathname}.gz`, gzipSync(plain, { level: 9 }));
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: plain.length };
  writeFileSync(`${path.pathname}.br`, brotliCompressSync(plain, { params }));
}
rmSync(new URL("manifest.json.gz", out), { force: true });
rmSync(new URL("manifest.json.br", out), { force: true });
