/** What can be seen of the entries without their hosts (tests/hosts runs them there). */

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import vm from "node:vm";
import { build } from "esbuild";
import { describe, expect, it, vi } from "vitest";

const root = new URL("../", import.meta.url);
const at = (path: string) => fileURLToPath(new URL(path, root));
/** The entry with a library of its own, as a host would have it: the last entry to be imported is the platform. */
const entry = async (name: string): Promise<typeof import("../src/index.ts")> => {
  vi.resetModules();
  return import(at(`dist/host/${name}.js`));
};
const model = "dist/shipped/default-embedder.safetensors";
const STARS: [folder: string, files: string[]][] = [
  ["./dist/wasm/", ["simd", "relaxed"]],
  ["./dist/shipped/", ["default-embedder.safetensors"]],
  ["./dist/models/", ["bert", "llama"]],
  ["./dist/tasks/", ["featureExtraction"]],
];
const { exports, imports } = JSON.parse(readFileSync(at("package.json"), "utf8"));
const targets = (value: string | object): string[] =>
  typeof value === "string" ? [value] : Object.values(value).flatMap(targets);

describe("package.json", () => {
  it("exports and imports files that are there", () => {
    for (const path of [...targets(exports), ...targets(imports)])
      for (const star of STARS.find(([folder]) => path.startsWith(folder))?.[1] ?? [""])
        if (!path.startsWith("./src/")) expect(existsSync(at(path.replace("*", star))), path).toBe(true);
  });
  it("asks for workerd before any host that it also passes for", () => {
    const conditions = Object.keys(exports["."]);
    expect(conditions.indexOf("types")).toBe(0);
    expect(conditions.indexOf("workerd")).toBe(1);
    expect(conditions.at(-1)).toBe("default");
  });
});

describe("entries", () => {
  it.each(["browser", "workers", "deno", "serviceWorker"])("%s exports what node does", async (name) => {
    const node = Object.keys(await entry("node")).sort();
    expect(node).toContain("pipeline");
    expect(Object.keys(await entry(name)).sort()).toEqual(node);
  });

  it("browser compiles the module that it holds, and gives node's vector of a model in memory", async () => {
    const folder = at("models/default-embedder/");
    const read = (name: string) => readFileSync(folder + name);
    const json = (name: string) => JSON.parse(read(name).toString());
    const vector = async (host: string) => {
      const extract = await (await entry(host)).pipeline("feature-extraction", {
        config: json("config.json"),
        weights: read("model.safetensors"),
        tokenizer: json("tokenizer.json"),
        tokenizer_config: json("tokenizer_config.json"),
        modules: json("modules.json"),
        "1_Pooling/config.json": json("1_Pooling/config.json"),
        "2_Dense/config.json": json("2_Dense/config.json"),
        "2_Dense/model.safetensors": read("2_Dense/model.safetensors"),
      });
      return [...(await extract("a cat sleeps on the sofa")).data];
    };
    const compile = vi.spyOn(WebAssembly, "compile");
    const expected = await vector("node");
    expect(await vector("browser")).toEqual(expected);
    expect(compile).toHaveBeenCalledTimes(2);
    compile.mockRestore();
    // The folder's own reading (modules.json from the file system) is the same model.
    const byPath = await (await entry("node")).pipeline("feature-extraction", folder);
    expect([...(await byPath("a cat sleeps on the sofa")).data]).toEqual(expected);
  });

  it("the one for service workers has no import() left, whatever is asked of it", async () => {
    const { outputFiles, metafile } = await build({
      entryPoints: [at("dist/host/serviceWorker.js")],
      bundle: true,
      write: false,
      metafile: true,
      format: "iife", // a classic service worker
      globalName: "wattention",
      target: "es2022",
      logLevel: "error",
      logOverride: { "empty-import-meta": "silent" }, // only the shipped model's place asks for it, and says what to give
    });
    const kinds = Object.values(metafile.inputs).flatMap(({ imports }) => imports.map(({ kind }) => kind));
    expect(new Set(kinds)).toEqual(new Set(["import-statement"]));
    expect(outputFiles).toHaveLength(1);
    // It runs as that, and where a script may import nothing: every task's code is there.
    const complete: typeof import("../src/index.ts") = vm.runInThisContext(`${outputFiles[0].text};wattention`);
    const bytes = readFileSync(at(model));
    using extract = await complete.pipeline("feature-extraction", bytes);
    using own = await (await entry("node")).pipeline("feature-extraction", bytes);
    expect((await extract("a cat")).tolist()).toEqual((await own("a cat")).tolist());
    await expect(complete.pipeline("feature-extraction")).rejects.toMatchObject({ name: "InputError" });
  });

  it("node brings the shipped model, in 8 bits and near what was trained", async () => {
    const { pipeline } = await entry("node");
    using packed = await pipeline("feature-extraction");
    using trained = await pipeline("feature-extraction", at("models/default-embedder"));
    const texts = ["a cat sleeps on the sofa", "How is memory planned?", "Die Katze schläft.", "x"];
    const [a, b] = [await packed(texts), await trained(texts)].map((v) => v.tolist() as number[][]);
    for (const [i, row] of a.entries())
      expect(
        row.reduce((sum, x, c) => sum + x * b[i][c], 0),
        texts[i],
      ).toBeGreaterThan(0.997); // both have norm 1
  });

  it("workers says what to give in place of the shipped model", async () => {
    const { pipeline } = await entry("workers");
    const error = await pipeline("feature-extraction").catch((e: Error) => e);
    expect(error).toMatchObject({ name: "InputError", message: expect.stringContaining("URL") });
  });

  it("node tells a folder that it may not read from one that is not there", () => {
    const source = `import { loadModel } from ${JSON.stringify(new URL("dist/host/node.js", root).href)};
      for (const path of ${JSON.stringify([at("models/default-embedder"), "./models"])})
        await loadModel(path).catch((e) => console.log(e.name, e.message));`;
    const may = ["dist", "node_modules", "package.json"].map((path) => `--allow-fs-read=${at(path)}`);
    const node = ["--permission", ...may, "--input-type=module", "-e", source];
    const { stdout } = spawnSync(process.execPath, node, { encoding: "utf8", cwd: at(".") });
    expect(stdout.match(/InputError .* cannot be read: /g)).toHaveLength(2);
  });
});
