/** What of the library a bundle of one layer holds, source by source: as the source maps tell it, not the names of files in dist. */

import { existsSync, readFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";
import { expect, it } from "vitest";

const at = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const rollupPath = at("tests/hosts/node_modules/rollup/dist/es/rollup.js");

/** The sources that code of a bundle comes of. */
function sourcesOf(code: string, map: string): string[] {
  const decoded = new SourceMap(JSON.parse(map));
  const found = new Set<string>();
  for (const [line, text] of code.split("\n").entries())
    for (let column = 0; column < text.length; column++) {
      const entry = decoded.findEntry(line, column) as { originalSource?: string };
      const path = /src\/[\w/]+\.ts$/.exec(entry.originalSource ?? "")?.[0];
      if (path) found.add(path);
    }
  return [...found].sort();
}

/** As `esbuild --bundle --format=esm` does it: one file, what comes late included. */
const byEsbuild = (what: string, from = "./dist/host/browser.js") =>
  bundled(`import { ${what} } from "${from}"; console.log(${what});`);

async function bundled(contents: string): Promise<string[]> {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: at(".") },
    bundle: true,
    write: false,
    format: "esm",
    outfile: "out.js",
    sourcemap: "external",
    packages: "external",
    external: ["#wasm/*"],
    logLevel: "error",
  });
  const [map, code] = outputFiles.sort((a, b) => b.path.length - a.path.length);
  return sourcesOf(code.text, map.text);
}

interface Rollup {
  rollup(options: object): Promise<{
    generate(options: object): Promise<{ output: { type: string; code: string; map: { toString(): string } }[] }>;
  }>;
}

async function byRollup(what: string): Promise<string[]> {
  const { rollup } = (await import(pathToFileURL(rollupPath).href)) as Rollup;
  const name = "\0entry.js";
  const bundle = await rollup({
    input: name,
    external: /^(@|#)/,
    plugins: [
      {
        name: "dist with its maps",
        resolveId: (id: string) => (id === name || id.startsWith("/") ? id : undefined),
        load: (id: string) =>
          id === name
            ? `import { ${what} } from ${JSON.stringify(at("dist/host/browser.js"))}; console.log(${what});`
            : { code: readFileSync(id, "utf8"), map: readFileSync(`${id}.map`, "utf8") },
      },
    ],
  });
  const { output } = await bundle.generate({ format: "esm", sourcemap: true });
  return output.filter(({ type }) => type === "chunk").flatMap(({ code, map }) => sourcesOf(code, map.toString()));
}

const LATE =
  /^src\/(tasks|models|view|cli|format\/(tokenizer|open|config|source|packed|sentenceTransformers|checkpoint))/;

it("MultiheadAttention brings neither tasks nor tokenizer nor what loads models (esbuild)", async () => {
  const sources = await byEsbuild("MultiheadAttention");
  expect(sources).toContain("src/nn/multihead.ts");
  expect(sources).toContain("src/runtime/engine.ts");
  expect(sources.filter((path) => LATE.test(path))).toEqual([]);
  expect(await byEsbuild("pipeline")).toEqual(
    expect.arrayContaining(["src/tasks/textRanking.ts", "src/models/bert.ts"]),
  );
});

it.skipIf(!process.env.CI && !existsSync(rollupPath))("nor by Rollup (in tests/hosts/node_modules)", async () => {
  const sources = await byRollup("MultiheadAttention");
  expect(sources).toContain("src/nn/multihead.ts");
  expect(sources.filter((path) => LATE.test(path))).toEqual([]);
});

it("an entry of one task and one family holds no other family, and no list of them", async () => {
  const contents = [
    'import { loadModel } from "./dist/host/coreBrowser.js";',
    'import { bert } from "./dist/models/bert.js";',
    'import { featureExtraction } from "./dist/tasks/featureExtraction.js";',
    "console.log(loadModel, featureExtraction(location.href, { families: { bert } }));",
  ].join("\n");
  const sources = await bundled(contents);
  expect(sources).toContain("src/tasks/featureExtraction.ts");
  expect(sources.filter((path) => path.startsWith("src/models/"))).toEqual([
    "src/models/bert.ts",
    "src/models/families.ts",
    "src/models/model.ts",
  ]);
  expect(
    sources.filter((path) => /^src\/tasks\/(pipeline|[a-z]+(Classification|Answering|Mask|Ranking))/.test(path)),
  ).toEqual([]);
});

it("the page's side of wattention/worker brings nothing of models, kernels or the module", async () => {
  const sources = await byEsbuild("connect", "./dist/worker/index.js");
  expect(sources).toContain("src/worker/connect.ts");
  expect(sources.filter((path) => !/^src\/(worker\/|errors|tensor)/.test(path))).toEqual([]);
});
