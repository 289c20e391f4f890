// The package through the bundlers that people use, without configuration, into Chromium under a strict policy, and into workerd.
import { cpSync } from "node:fs";
import { createServer } from "node:http";
import { join, resolve } from "node:path";
import { brotliCompressSync } from "node:zlib";
import { makeConsumers, SETTINGS, typeCheck, WORKERS } from "../../package/types.mjs";
import { BUNDLERS, version, viteDev, writePage } from "./bundlers.mjs";
import { startChromium } from "./chromium.mjs";
import { installs } from "./installs.mjs";
import { assert, makeProject, sameVectors } from "./project.mjs";
import { files, serve } from "./server.mjs";
import { dev, dryRun } from "./wrangler.mjs";

/** Which builds a page was given: as JavaScript, as they are. */
function buildsIn(served, builds) {
  const found = [];
  for (const { name, text, bytes } of builds) {
    if (served.some(({ body }) => body.includes(text))) found.push(`${name}.js`);
    if (served.some(({ body }) => body.equals(bytes))) found.push(`${name}.wasm`);
  }
  return found.join(" ");
}

/** What the code weighs that a page fetched: the model aside. */
function weigh(served) {
  const code = served.filter(({ path }) => /\.(m?js|wasm)(\?|$)/.test(path));
  const sum = (bytes) => code.reduce((total, { body }) => total + bytes(body), 0);
  return { files: code.length, bytes: sum((body) => body.length), brotli: sum((b) => brotliCompressSync(b).length) };
}

/**
 * Opens a page as it is and with ?deterministic.
 * @param builds what it may be given in each case
 * @returns how many checks it stood, and what it fetched
 */
async function visit({ chromium, project }, site, path, builds) {
  let fetched;
  for (const [mode, query] of [
    ["fast", ""],
    ["deterministic", "?deterministic"],
  ]) {
    site.served.length = 0;
    sameVectors(await chromium.result(site.origin + path + query), mode, project);
    const given = buildsIn(site.served, project.builds);
    assert(given === builds[mode], `it was given ${given || "no build"} where ${builds[mode]} was to be`);
    const missing = site.served.filter(({ status }) => status >= 400).map((answer) => answer.path);
    assert(!missing.length, `it asked for what is not there: ${missing}`);
    const models = site.served.filter((answer) => answer.path.endsWith(".safetensors")).length;
    assert(models === 1, `it fetched ${models} models`);
    fetched ??= weigh(site.served);
  }
  return { checks: 8, ...fetched };
}

async function visitFolder(context, folder, builds) {
  const site = await serve(files(folder, context.project.model));
  try {
    return await visit(context, site, "/", builds);
  } finally {
    await site.close();
  }
}

const quiet = (warnings) => assert(!warnings.length, `it warns: ${warnings.join("\n")}`);
/** One build is fetched where a dynamic import is a chunk; where all is one file, both are in it. */
const buildsOf = (app, splits) => {
  if (!splits) return { fast: "relaxed.js simd.js", deterministic: "relaxed.js simd.js" };
  const kind = app.startsWith("wasm") ? "wasm" : "js";
  return { fast: `relaxed.${kind}`, deterministic: `simd.${kind}` };
};

function builds(context) {
  return BUNDLERS.flatMap(({ name, version, splits, apps, build, single }) => {
    const out = (app) => join(context.project.folder, "out", name.replace(/\W+/g, "-"), app);
    const rows = apps.map((app) => ({
      name: `${name}: ${app}`,
      version,
      async test() {
        quiet(await build(join(context.project.folder, app), out(app)));
        return visitFolder(context, out(app), buildsOf(app, splits));
      },
    }));
    if (single)
      rows.push({
        name: `${name}: service worker`,
        version,
        async test() {
          const app = "service-worker";
          const from = join(context.project.folder, app);
          quiet(await single(join(from, "sw.js"), out(app)));
          cpSync(join(from, "index.js"), join(out(app), "index.js"));
          writePage(out(app));
          return visitFolder(context, out(app), buildsOf(app, false));
        },
      });
    return rows;
  });
}

function development(context) {
  const { version, apps } = BUNDLERS.find(({ name }) => name === "vite build");
  return apps.map((app) => ({
    name: `vite dev: ${app}`,
    version,
    async test() {
      const server = createServer();
      const dev = await viteDev(join(context.project.folder, app), server);
      const model = files(context.project.folder, context.project.model);
      const site = await serve((request, response) => {
        if (context.project.model[request.url]) model(request, response);
        else dev.handle(request, response, () => response.writeHead(404).end());
      }, server);
      try {
        const result = await visit(context, site, "/", buildsOf(app, true));
        quiet(dev.warnings);
        return result;
      } finally {
        await dev.close();
        await site.close();
      }
    },
  }));
}

function workers({ project }) {
  const app = join(project.folder, "workerd");
  return [
    {
      name: "wrangler deploy --dry-run",
      version: version("wrangler"),
      async test() {
        const { warnings, ...size } = await dryRun(app, join(project.folder, "out/wrangler"));
        quiet(warnings);
        return { checks: 1, ...size };
      },
    },
    {
      name: "wrangler dev, in workerd",
      version: `${version("wrangler")}, ${version("workerd")}`,
      async test() {
        const site = await serve(files(project.folder, project.model));
        const worker = await dev(app);
        try {
          const model = encodeURIComponent(`${site.origin}/default-embedder.safetensors`);
          for (const mode of ["fast", "deterministic"]) {
            const response = await fetch(`${worker.origin}/?model=${model}${mode === "fast" ? "" : "&deterministic"}`);
            assert(response.ok, `${response.status}: ${await response.clone().text()}`);
            sameVectors(await response.json(), mode, project);
          }
          quiet(worker.warnings());
          return { checks: 3 };
        } finally {
          await worker.close();
          await site.close();
        }
      },
    },
  ];
}

function types({ project }) {
  const from = (name) => resolve(import.meta.dirname, "../node_modules", name);
  return [
    {
      name: "typescript 5: consumers",
      version: version("typescript-v5"),
      async test() {
        const { default: ts } = await import("typescript-v5");
        const name = "@cloudflare/workers-types";
        const folder = makeConsumers(join(project.folder, "consumers"), { [name]: from(name) });
        const settings = Object.entries({ ...SETTINGS, ...WORKERS });
        for (const [name, setting] of settings) {
          const said = typeCheck(ts, folder, setting);
          assert(!said.length, `${name}:\n${said.join("\n")}`);
        }
        return { checks: settings.length };
      },
    },
  ];
}

/** @returns a row for each: { name, version, checks, ok, error }, and what its page fetched: files, bytes, brotli */
export async function run({ only = [] } = {}) {
  const context = { project: makeProject(), chromium: await startChromium() };
  const wanted = [only].flat();
  const rows = [];
  const installed = installs(context.project);
  const cases = [
    ...builds(context),
    ...development(context),
    ...workers(context),
    ...installed.cases,
    ...types(context),
  ];
  try {
    for (const { name, version, test } of cases) {
      // Until the package has these entries.
      if (!context.project.manifest.exports["./worker"] && /worker$|wasm-/.test(name)) continue;
      if (wanted.length && !wanted.some((part) => name.includes(part))) continue;
      try {
        rows.push({ name, version, ok: true, ...(await test()) });
      } catch (error) {
        rows.push({ name, version, checks: 0, ok: false, error: error.stack });
      }
    }
  } finally {
    await installed.stop();
    await context.chromium.close();
  }
  return rows;
}

if (process.argv[1] === import.meta.filename) {
  const rows = await run({ only: process.argv.slice(2) });
  for (const { name, version, ok, files = "", bytes = "", brotli = "", error } of rows) {
    console.log(`${ok ? "ok  " : "FAIL"} ${`${name} ${version}`.padEnd(52)} ${files} ${bytes} ${brotli}`);
    if (error) console.log(error);
  }
  if (!rows.every(({ ok }) => ok)) process.exitCode = 1;
}
