// Each bundler as someone calls it who configures nothing. An app is a folder with index.js, and worker.js or sw.js.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import nodeResolve from "@rollup/plugin-node-resolve";
import * as esbuild from "esbuild";
import * as rollup from "rollup";
import * as vite from "vite";
import webpack from "webpack";

const MODULE = '<script type="module" src="./index.js"></script>';
/** Writes the page that a user would: no bundler here but Vite makes one. */
export function writePage(folder, script = MODULE) {
  mkdirSync(folder, { recursive: true });
  const head = '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>app</title>';
  writeFileSync(join(folder, "index.html"), `${head}${script}</head><body></body></html>\n`);
}

/** The files of an app that are bundles of their own, where the bundler does not find that out. */
const entries = (app) => ["index.js", "worker.js"].map((name) => join(app, name)).filter((path) => existsSync(path));
export const version = (name) => {
  const path = join(import.meta.dirname, "../node_modules", name, "package.json");
  return JSON.parse(readFileSync(path, "utf8")).version;
};

async function withEsbuild(app, out, options) {
  writePage(out);
  const entryPoints = entries(app);
  const { warnings } = await esbuild.build({ entryPoints, bundle: true, format: "esm", outdir: out, ...options });
  return esbuild.formatMessages(warnings, { kind: "warning" });
}

async function withRollup(app, out, input = entries(app)) {
  writePage(out);
  const warnings = [];
  const onLog = (level, { message }) => level === "warn" && warnings.push(message);
  const bundle = await rollup.rollup({ input, plugins: [nodeResolve()], onLog });
  await bundle.write({ dir: out });
  await bundle.close();
  return warnings;
}

async function withWebpack(app, out) {
  writePage(out, '<script defer src="./main.js"></script>');
  // Its own default for the entry is src/index.js.
  const options = { context: app, entry: "./index.js", mode: "production", output: { path: out } };
  const stats = await new Promise((resolve, reject) => {
    const compiler = webpack(options, (error, done) => compiler.close(() => (error ? reject(error) : resolve(done))));
  });
  const { errors, warnings } = stats.toJson({ all: false, errors: true, warnings: true });
  if (errors.length) throw new Error(errors.map((e) => e.message).join("\n"));
  // It is right that the model that ships is large, and that is the only warning: webpack, alone of all, places that file by itself, and a page
  // fetches it when it names no other model (the app `shipped`).
  const aboutTheModel = /^asset size limit: [^\n]+\n[^\n]+\nAssets: \n {2}\w+\.safetensors \([\d.]+ MiB\)$/;
  return warnings.map((w) => w.message).filter((message) => !aboutTheModel.test(message));
}

/** What Vite warns of is put into `warnings`. */
function viteOptions(root, warnings) {
  const customLogger = vite.createLogger("silent");
  customLogger.warn = customLogger.warnOnce = (message) => warnings.push(message);
  customLogger.error = (message) => warnings.push(message);
  return { configFile: false, root, customLogger, logLevel: "warn" };
}

async function withVite(app, out, build = {}, worker = {}) {
  writePage(app);
  const warnings = [];
  await vite.build({ ...viteOptions(app, warnings), worker, build: { outDir: out, emptyOutDir: true, ...build } });
  return warnings;
}

/** Vite's development server, behind a server of the caller's. */
export async function viteDev(app, server) {
  writePage(app);
  const warnings = [];
  const options = { middlewareMode: true, hmr: { server } };
  const dev = await vite.createServer({ ...viteOptions(app, warnings), server: options });
  return { warnings, handle: dev.middlewares, close: () => dev.close() };
}

/**
 * Name, version, whether a dynamic import becomes a chunk, the apps that it can build, and `build(app, out)`, which gives the warnings;
 * `single(file, out)` makes one file of one file, for a service worker.
 */
export const BUNDLERS = [
  {
    name: "vite build",
    version: version("vite"),
    splits: true,
    // It bundles a worker as a classic script, which cannot be split: the worker takes the static entry.
    apps: ["page", "layer", "thread-static", "worker-static", "wasm-vite"],
    build: withVite,
    single: (file, out) =>
      withVite(join(file, ".."), out, { lib: { entry: file, formats: ["es"], fileName: () => "sw.js" } }),
  },
  {
    name: 'vite build, worker: { format: "es" }',
    version: version("vite"),
    splits: true,
    apps: ["thread", "worker"],
    build: (app, out) => withVite(app, out, {}, { format: "es" }),
  },
  {
    name: "webpack",
    version: version("webpack"),
    splits: true,
    apps: ["page", "layer", "thread", "worker", "wasm-webpack", "shipped"],
    build: withWebpack,
  },
  {
    name: "esbuild --bundle --format=esm",
    version: version("esbuild"),
    splits: false,
    apps: ["page", "layer", "thread", "worker"],
    build: withEsbuild,
    single: (file, out) => withEsbuild(join(file, ".."), out, { entryPoints: [file] }),
  },
  {
    name: "esbuild --splitting",
    version: version("esbuild"),
    splits: true,
    apps: ["page", "layer", "thread", "worker"],
    build: (app, out) => withEsbuild(app, out, { splitting: true }),
  },
  {
    name: "rollup with node-resolve",
    version: version("rollup"),
    splits: true,
    apps: ["page", "layer", "thread", "worker"],
    build: withRollup,
    single: (file, out) => withRollup(join(file, ".."), out, file),
  },
];
