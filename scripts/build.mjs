// Builds everything into dist/: the WebAssembly module in both builds, each raw and as a JavaScript module, then the TypeScript.
import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { deflateRawSync } from "node:zlib";
import { build as bundle } from "esbuild";
import { allAtOnce } from "./atOnce.mjs";
import { late } from "./late.mjs";

const run = (command, ...args) => execFileSync(`node_modules/.bin/${command}`, args, { stdio: "inherit" });
const only = process.argv[2];

rmSync("dist", { recursive: true, force: true });
mkdirSync("dist/wasm", { recursive: true });
mkdirSync("build", { recursive: true });
for (const build of ["simd", "relaxed"]) {
  const out = `dist/wasm/${build}.wasm`;
  // Its shrinkLevel of 1 leaves small helpers functions: 3 % less to download, and as fast in V8 and JavaScriptCore.
  run("asc", "--target", build);
  const features = [
    "--enable-simd",
    "--enable-bulk-memory",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
  ];
  run(
    "wasm-opt",
    `build/${build}.wasm`,
    "-O3",
    // Each kernel stays a function: engines optimise function by function while the first run goes on, and one that holds all the
    // kernels takes V8 80 ms, through which a first run crawls (60 ms where it is 20).
    "--one-caller-inline-max-function-size=0",
    "--reorder-functions",
    "--strip-target-features",
    ...features,
    ...(build === "relaxed" ? ["--enable-relaxed-simd"] : []),
    "-o",
    out,
  );
  appendFileSync(out, section("wattention", build));
  // A bundler that cannot place a .wasm file can place this: deflate-raw in base64, decoded by what every host has.
  const text = deflateRawSync(readFileSync(out), { level: 9 }).toString("base64");
  writeFileSync(`dist/wasm/${build}.js`, `export default ${JSON.stringify(text)};\n`);
}
if (only !== "wasm") {
  run("tsc", "-p", "tsconfig.build.json", "--emitDeclarationOnly");
  execFileSync(process.execPath, ["scripts/declarations.mjs"], { stdio: "inherit" });
  const options = {
    outdir: "dist",
    outbase: "src",
    bundle: true,
    format: "esm",
    platform: "neutral",
    target: "es2022",
    packages: "external",
    external: ["#wasm/*", "node:*"],
    sourcemap: true,
    ignoreAnnotations: true, // package.json's sideEffects is for those who bundle what is made here
  };
  // What is imported together is one file: each one takes Node about half a millisecond, and there are a hundred modules.
  await bundle({
    ...options,
    entryPoints: [
      "host/node",
      "host/deno",
      "host/browser",
      "host/workers",
      "host/coreNode",
      "host/coreDeno",
      "host/coreBrowser",
      "host/coreWorkers",
      ...late("models"),
      ...late("tasks"),
      "view/index",
      "worker/index",
      "server/index",
      "cli/main",
      "cli/thread",
    ].map((name) => `src/${name}.ts`),
    splitting: true,
    plugins: [
      { name: "entries stay as they are", setup: ownFiles },
      { name: "the core is one file", setup: oneCore },
    ],
  });
  await bundle({
    ...options,
    entryPoints: ["src/host/serviceWorker.ts"],
    plugins: [allAtOnce],
  });
  // The model that ships, as `wattention pack` makes it.
  mkdirSync("dist/shipped");
  const packed = [
    "pack",
    "models/default-embedder",
    "--dtype",
    "q8",
    "-o",
    "dist/shipped/default-embedder.safetensors",
  ];
  execFileSync(process.execPath, ["dist/cli/main.js", ...packed], { stdio: ["ignore", "ignore", "inherit"] });
}

/** A custom section, by which a module that a caller gives is known (src/runtime/wasm.ts). All lengths are below 128: one byte each. */
function section(name, content) {
  const named = Buffer.from(String.fromCharCode(name.length) + name + content);
  return Buffer.concat([Buffer.of(0, named.length), named]);
}

/** An entry says where its own files are and has the side effects that package.json tells of: no chunk may hold it. */
function ownFiles({ onResolve }) {
  onResolve({ filter: /host\/node\.ts$/ }, ({ importer }) =>
    importer ? { path: "../host/node.js", external: true } : undefined,
  );
}

/**
 * esbuild makes a chunk for every set of entries that need the same modules. What comes late says that it needs all that the entries bring, as is the
 * case whenever it is imported: so that is one set, and one chunk. The views are an entry of their own, and do not.
 */
function oneCore({ onLoad, onResolve }) {
  const sources = readdirSync("src", { recursive: true }).filter((name) => name.endsWith(".ts"));
  const late = sources.flatMap((name) =>
    Array.from(readFileSync(`src/${name}`, "utf8").matchAll(/\bimport\("(\.[^"]+)"\)/g), ([, path]) =>
      resolve("src", name, "..", path),
    ),
  );
  onResolve({ filter: /^core$/ }, () => ({ path: resolve("src/index.ts") }));
  onLoad({ filter: /\.ts$/ }, ({ path }) =>
    late.includes(path) || ["src/cli/main.ts", "src/server/index.ts"].some((entry) => path === resolve(entry))
      ? { contents: `${readFileSync(path, "utf8")}\nimport "core";\n`, loader: "ts" }
      : undefined,
  );
}
