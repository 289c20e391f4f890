/** `npm run check` refuses host mathematics in src, whose last bits differ from engine to engine: the rule itself, on files that break it. */

import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, expect, it } from "vitest";

const root = resolve(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "wattention-lint-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
for (const name of ["biome.json", "no-host-math.grit"]) copyFileSync(join(root, name), join(folder, name));
for (const name of ["src/deep", "tests"]) mkdirSync(join(folder, name), { recursive: true });

/** Errors of the linter over one file. */
const errors = (source: string, name = "src/deep/file.ts") => {
  writeFileSync(join(folder, name), `${source}\n`);
  const biome = spawnSync(join(root, "node_modules/.bin/biome"), ["lint", "--reporter=json", name], {
    cwd: folder,
    encoding: "utf8",
  });
  const { summary } = JSON.parse(biome.stdout) as { summary: { errors: number } };
  expect(biome.status).toBe(summary.errors ? 1 : 0);
  return summary.errors;
};

it.each([
  ..."acos acosh asin asinh atan atanh cbrt cos cosh exp expm1 log log10 log1p log2 sin sinh tan tanh"
    .split(" ")
    .map((name) => `export const x = (y: number) => Math.${name}(y);`),
  "export const x = (y: number) => Math.pow(2, y);",
  "export const x = (y: number) => Math.hypot(y, y) + 1;",
  "export const x = (y: number) => Math.atan2(y, y);",
  "export const x = () => Math.random();",
  "export const x = (y: number) => y ** 0.5;",
  "export function x(y: number) {\n  y **= 3;\n  return y;\n}",
  'export const x = (y: number) => Math["sin"](y);',
  "const { exp } = Math;\nexport const x = exp;",
  "const all = Math;\nexport const x = all.tan;",
  "export const x = Object.keys(Math);",
])("refuses %s", (source) => expect(errors(source)).toBeGreaterThan(0));

it("lets pass what every engine rounds alike", () => {
  const names = "abs ceil clz32 floor fround max min round sign sqrt trunc".split(" ");
  expect(errors(names.map((name) => `export const ${name} = (y: number) => Math.${name}(y);`).join("\n"))).toBe(0);
  expect(errors("export const x = 2 ** 32 + Math.imul(3, 4) + Math.SQRT2;")).toBe(0);
});

it("is about src alone", () => {
  expect(errors("export const x = Math.exp(1);", "tests/file.ts")).toBe(0);
});
