// The package through the bundlers that people use, without configuration, into Chromium under a strict policy, and into workerd.
import { cpSync, readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join, resolve } from "node:path";
import { makeConsumers, SETTINGS, typeCheck, WORKERS } from "../../package/types.mjs";
import { BUNDLERS, version, viteDev, writePage } from "./bundlers.mjs";
import { startChromium } from "./chromium.mjs";
import { installs } from "./installs.mjs";
import { assert, makeProject, sameNumbers } from "./project.mjs";
import { files, POLICY, serve } from "./server.mjs";
import { visit, visitFolder } from "./visit.mjs";
import { dev, dryRun } from "./wrangler.mjs";

const quiet = (warnings) => assert(!warnings.length, `it warns: ${warnings.join("\n")}`);

function builds(context) {
  return BUNDLERS.flatMap(({ name, version, splits, apps, build, single }) => {
    const out = (app) => join(context.project.folder, "out", name.replace(/\W+/g, "-"), app);
    const rows = apps.map((app) => ({
      name: `${name}: ${app}`,
      version,
      app,
      async test() {
        quiet(await build(join(context.project.folder, app), out(app)));
        return visitFolder(context, out(app), app, splits);
      },
    }));
    if (single)
      rows.push({
        name: `${name}: service worker`,
        version,
        app: "service-worker",
        async test() {
          const app = "service-worker";
          const from = join(context.project.folder, app);
          quiet(await single(join(from, "sw.js"), out(app)));
          cpSync(join(from, "index.js"), join(out(app), "index.js"));
          writePage(out(app));
          return visitFolder(context, out(app), app, false);
        },
      });
    return rows;
  });
}

/** Were the policy not upheld, the pages would prove nothing by running under it. */
function control({ project, chromium }) {
  const { version, build } = BUNDLERS.find(({ name }) => name === "webpack");
  return {
    name: "webpack: page that may not compile",
    version,
    app: "page",
    async test() {
      const out = join(project.folder, "out/control");
      quiet(await build(join(project.folder, "page"), out));
      const site = await serve(files(out, project.model), { policy: POLICY.replace(" 'wasm-unsafe-eval'", "") });
      try {
        const said = await chromium.result(site.origin).catch((error) => error.message);
        assert(/unsafe-eval/.test(said), `it gives ${said}`);
        return { checks: 1 };
      } finally {
        await site.close();
      }
    },
  };
}

function development(context) {
  const { version } = BUNDLERS.find(({ name }) => name === "vite build");
  // Not `layer`: it serves a whole package as it is, and drops nothing of it.
  const apps = ["page", "thread", "thread-static", "worker", "worker-static", "wasm-vite"];
  return apps.map((app) => ({
    name: `vite dev: ${app}`,
    version,
    app,
    async test() {
      const server = createServer();
      const dev = await viteDev(join(context.project.folder, app), server);
      const model = files(context.project.folder, context.project.model);
      const site = await serve(
        (request, response) => {
          if (context.project.model[request.url]) model(request, response);
          else dev.handle(request, response, () => response.writeHead(404).end());
        },
        { server },
      );
      try {
        const result = await visit(context, site, app, true);
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
            sameNumbers(await response.json(), project.expected[mode], mode === "deterministic");
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

/** Why a case cannot be tried here; undefined where it can. */
function lacking({ project, chromium }, { app }) {
  if (!app) return;
  if (!chromium) return "there is no Chromium";
  const entries = readdirSync(join(project.folder, app))
    .filter((file) => file.endsWith(".js"))
    .flatMap(
      (file) => readFileSync(join(project.folder, app, file), "utf8").match(/(?<="wattention)\/[\w-]+(?=")/g) ?? [],
    );
  if (app.startsWith("wasm-")) entries.push("/worker"); // came together with `wasm:`
  const entry = entries.find((name) => !project.manifest.exports[`.${name}`]);
  return entry && `the package has no entry .${entry}`;
}

/** @returns a row for each: { name, version, checks, ok, error, skipped }, and what its page fetched: files, bytes, brotli, gzip */
export async function run({ only = [] } = {}) {
  const context = { project: makeProject(), chromium: await startChromium() };
  const installed = installs(context.project);
  const cases = [
    ...builds(context),
    control(context),
    ...development(context),
    ...workers(context),
    ...installed.cases,
    ...types(context),
  ];
  const wanted = [only].flat();
  const rows = [];
  try {
    for (const one of cases) {
      const { name, version, test } = one;
      if (wanted.length && !wanted.some((part) => name.includes(part))) continue;
      const row = { name, version, checks: 0, ok: true };
      rows.push(row);
      try {
        const absent = lacking(context, one);
        assert(!absent || process.env.CI !== "true", absent);
        Object.assign(row, absent ? { skipped: absent } : await test());
      } catch (error) {
        Object.assign(row, { ok: false, error: error.stack });
      }
    }
  } finally {
    await installed.stop();
    await context.chromium?.close();
  }
  return rows;
}

if (process.argv[1] === import.meta.filename) {
  const rows = await run({ only: process.argv.slice(2) });
  const line = (ok, name, ...cells) =>
    console.log(ok.padEnd(5) + name.padEnd(52) + cells.map((c) => String(c ?? "").padStart(9)).join(""));
  line("", "", "checks", "files", "bytes", "brotli", "gzip");
  for (const { name, version, ok, checks, files, bytes, brotli, gzip, error, skipped } of rows) {
    line(skipped ? "skip" : ok ? "ok" : "FAIL", `${name} (${version})`, checks, files, bytes, brotli, gzip);
    if (error ?? skipped) console.log(error ?? skipped);
  }
  if (!rows.every(({ ok }) => ok)) process.exitCode = 1;
}
