import { fileURLToPath } from "node:url";

import { lingui } from "@lingui/vite-plugin";
import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** The page's own scripts are fetched beside the first one, which starts them once the frame is painted (src/boot.ts). */
const preload: Plugin = {
  name: "preload-main",
  transformIndexHtml: {
    order: "post",
    handler: (_, { bundle }) =>
      Object.values(bundle ?? {}).flatMap((chunk) =>
        chunk.type === "chunk" && chunk.isDynamicEntry && chunk.name === "main"
          ? [{ tag: "link", attrs: { rel: "modulepreload", crossorigin: true, href: `./${chunk.fileName}` }, injectTo: "head" as const }]
          : [],
      ),
  },
};

/** Where `npm run dev` finds a running Orakul; the built interface is served by Orakul itself. */
const server = process.env.ORAKUL_DEV_SERVER ?? "http://127.0.0.1:8080";

export default defineConfig({
  base: "./", // works under any path prefix
  plugins: [react({ babel: { plugins: ["@lingui/babel-plugin-lingui-macro"] } }), lingui({ failOnMissing: true }), preload],
  resolve: {
    alias: {
      "#": here("src"),
      // Radix dialogs bring a scroll lock that writes a <style> element, which our content policy forbids; the page
      // itself never scrolls, so there is nothing to lock.
      "react-remove-scroll": here("src/pieces/NoScrollLock.tsx"),
    },
  },
  build: {
    outDir: here("../src/orakul/web/interface"),
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false }, // the polyfill is an inline script
    assetsInlineLimit: 0, // no data: URLs
    manifest: "manifest.json",
    cssTarget: ["chrome123", "firefox120", "safari17.5"], // light-dark() is written out as it is
  },
  worker: { format: "es" },
  server: { proxy: { "/api": server, "/v1": server, "/readyz": server } },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
