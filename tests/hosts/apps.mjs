/** What the hosts are given, in build/hosts: the package as a user gets it, the suite beside it, and bundles for the browsers. */

import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { build } from "esbuild";
import { unpackPackage } from "./package.mjs";

const here = import.meta.dirname;
const root = resolve(here, "../..");

/** Where the browser condition of `exports` or `imports` leads. */
const browser = (target) => (typeof target === "string" ? target : browser(target.browser ?? target.default));

/** An import map of the package and of what it depends on, each as a file below /app/. */
function importMap(folder, wattention) {
  const { exports, imports, dependencies } = JSON.parse(readFileSync(join(wattention, "package.json"), "utf8"));
  const at = (path) => `/app/${relative(folder, path)}`;
  const map = {};
  for (const [name, target] of Object.entries(exports)) {
    const path = browser(target);
    if (/\.js$/.test(path)) map[join("wattention", name)] = at(join(wattention, path));
  }
  for (const build of ["simd", "relaxed"])
    map[`#wasm/${build}`] = at(join(wattention, browser(imports["#wasm/*"]).replace("*", build)));
  for (const name of Object.keys(dependencies)) {
    const from = join(folder, "node_modules", name);
    const about = JSON.parse(readFileSync(join(from, "package.json"), "utf8"));
    const own = about.exports?.["."] ?? about.exports;
    const pick = (t) => (typeof t === "string" ? t : t && pick(t.browser ?? t.import ?? t.default));
    map[name] = at(join(from, pick(own) ?? about.module ?? about.main));
  }
  return JSON.stringify({ imports: map }, undefined, 2);
}

const html = (head, module) =>
  `<!doctype html><html lang="en"><meta charset="utf-8"><title>wattention</title><link rel="icon" href="data:,">${head}<script type="module" src="${module}"></script></html>\n`;

/** @returns the folder that everything lies in, and the lists of fixtures */
export async function makeApps(folder = join(root, "build/hosts")) {
  const { wattention } = unpackPackage(folder);
  for (const part of ["suite", "entries"]) cpSync(join(here, part), join(folder, part), { recursive: true });
  // As an app's: its modules are ES modules, and Deno and Bun look for the package in node_modules beside it.
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }));
  const common = { bundle: true, format: "esm", absWorkingDir: folder, logLevel: "warning", metafile: true };
  await build({
    ...common,
    entryPoints: ["entries/worker.mjs", "entries/exposed.mjs"],
    splitting: true,
    outdir: "bundled",
  });
  const { metafile } = await build({
    ...common,
    entryPoints: ["entries/serviceWorker.mjs"],
    format: "iife",
    outfile: "serviceWorker.js", // beside the pages, which are its scope
  });
  // A bundler turns import() into a plain call; a service worker without one would still find it here.
  const dynamic = Object.entries(metafile.inputs).flatMap(([file, { imports }]) =>
    imports.filter(({ kind }) => kind === "dynamic-import").map(({ path }) => `${file} → ${path}`),
  );
  if (dynamic.length) throw new Error(`wattention/service-worker reaches import(): ${dynamic.join(", ")}`);
  const map = `<script type="importmap">${importMap(folder, wattention)}</script>`;
  writeFileSync(join(folder, "page.html"), html(map, "/app/entries/page.mjs"));
  writeFileSync(join(folder, "starter.html"), html("", "/app/entries/starter.mjs"));
  const fixtures = (name) => readdirSync(join(root, "tests/fixtures", name));
  return { folder, wattention, lists: { models: fixtures("models"), embedders: fixtures("embedders") } };
}
