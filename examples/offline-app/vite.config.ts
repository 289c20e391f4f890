import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { defineConfig, type Plugin } from "vite";
import { HEADERS, POLICY } from "./headers.ts";

/** Names the version in the page's footer. The test builds two. */
const version = process.env.APP_VERSION ?? "1";

const integrity = (data: string | Uint8Array) => `sha256-${createHash("sha256").update(data).digest("base64")}`;

/** Gives the service worker the list of all that was built, each file with its hash: it takes a build whole or not at all. */
function precache(): Plugin {
  return {
    name: "precache",
    apply: "build",
    generateBundle: {
      order: "post",
      handler(_, bundle) {
        const files: Record<string, string> = {};
        for (const file of readdirSync("public")) files[file] = integrity(readFileSync(`public/${file}`));
        for (const [name, file] of Object.entries(bundle)) {
          if (name === "sw.js" || name.endsWith(".map")) continue;
          files[name === "index.html" ? "./" : name] = integrity(file.type === "chunk" ? file.code : file.source);
        }
        const worker = bundle["sw.js"];
        if (worker?.type !== "chunk" || worker.imports.length) this.error("sw.js must be one file");
        const id = createHash("sha256").update(JSON.stringify(files)).digest("hex").slice(0, 12);
        worker.code = worker.code.replace(/"__BUILD__"|`__BUILD__`|'__BUILD__'/, JSON.stringify({ id, files }));
        if (!worker.code.includes(id)) this.error("sw.js has no place for the list of files");
      },
    },
  };
}

/** Not in development: Vite's client styles the page from JavaScript. */
function policy(): Plugin {
  return {
    name: "policy",
    apply: "build",
    transformIndexHtml: () => [
      { tag: "meta", attrs: { "http-equiv": "Content-Security-Policy", content: POLICY }, injectTo: "head-prepend" },
    ],
  };
}

export default defineConfig({
  base: "./", // wherever it is put
  define: { __VERSION__: JSON.stringify(version) },
  plugins: [policy(), precache()],
  worker: { format: "es" },
  preview: { headers: HEADERS },
  build: {
    target: "es2022",
    assetsInlineLimit: 0, // the policy lets no data: URL be fetched
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: { index: "index.html", sw: "src/sw.ts" },
      output: {
        // A service worker keeps its name from build to build.
        entryFileNames: ({ name }) => (name === "sw" ? "sw.js" : "assets/[name]-[hash].js"),
      },
    },
  },
});
