/** What `npm pack` puts into the package: all that a user needs, and nothing else. */

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join, matchesGlob, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { late } from "../../scripts/late.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string) => readFileSync(join(root, path), "utf8");
const [{ files, size }] = JSON.parse(
  execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts", "--loglevel=error"], {
    cwd: root,
    encoding: "utf8",
  }),
) as [{ files: { path: string; size: number }[]; size: number }];
const paths = files.map(({ path }) => path);
const ending = (end: string) => paths.filter((path) => path.endsWith(end));
const { exports, bin } = JSON.parse(read("package.json"));
const targets = (value: string | object): string[] =>
  typeof value === "string" ? [normalize(value)] : Object.values(value).flatMap(targets);
/** `*` stands for what the list of a folder imports. */
const entries = (end: string) =>
  [...new Set([exports, bin].flatMap(targets))]
    .flatMap((path) => {
      const folder = /^dist\/(models|tasks)\/\*/.exec(path)?.[1];
      return folder ? late(folder).map((name: string) => path.replace(`${folder}/*`, name)) : path;
    })
    .filter((path) => path.endsWith(end));

const WANTED = [
  "package.json",
  "{LICENSE,NOTICE,{README,CHANGELOG,CONTRIBUTING}.md}",
  "docs/**/*.{md,svg,png}",
  "dist/**/*.{js,js.map,d.ts}",
  "dist/wasm/{simd,relaxed}.wasm",
  "dist/shipped/default-embedder.safetensors",
];

describe("the package", () => {
  it("holds these kinds of files, one at least of each, and no other", () => {
    expect(paths.filter((path) => !WANTED.some((glob) => matchesGlob(path, glob)))).toEqual([]);
    for (const glob of WANTED) expect(paths.filter((path) => matchesGlob(path, glob)).length, glob).toBeGreaterThan(0);
  });

  it("is no larger than 7 MB, of which the model is the most", () => {
    expect(size).toBeLessThan(7e6);
    const model = files.find(({ path }) => path.endsWith(".safetensors"))!.size;
    expect(files.reduce((sum, file) => sum + file.size, -model)).toBeLessThan(6e6);
  });

  it("holds no JavaScript that no entry comes to", async () => {
    const { metafile } = await build({
      absWorkingDir: root,
      // `wattention serve` begins its workers by path.
      entryPoints: [...entries(".js"), "dist/cli/thread.js"],
      bundle: true,
      write: false,
      metafile: true,
      packages: "external",
      format: "esm",
      platform: "node",
      outdir: "out",
      loader: { ".wasm": "file" },
      // `#wasm/simd` stands for the file; another package's name does not.
      plugins: [
        {
          name: "own imports",
          setup: ({ onResolve }) =>
            onResolve({ filter: /^#wasm\// }, ({ path }) => ({
              path: join(root, `dist/wasm/${path.slice(6)}${path.endsWith(".wasm") ? "" : ".js"}`),
            })),
        },
      ],
      logLevel: "silent",
    });
    expect(ending(".js").filter((path) => !(path in metafile.inputs))).toEqual([]);
  });

  it("holds no declaration that no entry comes to", () => {
    const { NodeNext } = ts.ModuleKind;
    const program = ts.createProgram(
      entries(".d.ts").map((path) => join(root, path)),
      { module: NodeNext, types: [] },
    );
    expect(ending(".d.ts").filter((path) => !program.getSourceFile(join(root, path)))).toEqual([]);
  });

  it("has a source map of each script, with the sources in it", () => {
    expect(ending(".js.map").filter((path) => !read(path.slice(0, -4)).includes("sourceMappingURL="))).toEqual([]);
    for (const path of ending(".js.map")) {
      const { sources, sourcesContent = [] } = JSON.parse(read(path)) as {
        sources: string[];
        sourcesContent?: string[];
      };
      expect(sourcesContent.length, path).toBe(sources.length);
      expect(sourcesContent.every(Boolean), path).toBe(true);
    }
    const generated = /^dist\/wasm\//; // base64
    expect(ending(".js").filter((path) => !generated.test(path) && !paths.includes(`${path}.map`))).toEqual([]);
  });

  it("says nothing of the machine that made it", () => {
    for (const path of paths.filter((p) => /\.(js|map|ts|json|md)$/.test(p)))
      expect(read(path).includes(root), path).toBe(false);
  });

  it("has its licence, and the model's", () => {
    expect(read("LICENSE")).toMatch(/Apache License\s+Version 2.0/);
    expect(read("NOTICE")).toContain("dist/shipped/default-embedder.safetensors");
  });

  it("has no link in a document to what is not in it", () => {
    const broken = ending(".md").flatMap((path) =>
      [...read(path).matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)]
        .map(([, link]) => normalize(join(dirname(path), link)))
        .filter((link) => !paths.some((p) => p === link || p.startsWith(`${link}/`)))
        .map((link) => `${path}: ${link}`),
    );
    expect(broken).toEqual([]);
  });
});
