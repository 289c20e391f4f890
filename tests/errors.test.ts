import { buildSync } from "esbuild";
import { expect, it } from "vitest";
import * as errors from "../src/errors.ts";

it("errors keep their names when they are minified", async () => {
  const options = { entryPoints: ["src/errors.ts"], bundle: true, minify: true, format: "esm", write: false } as const;
  const { text } = buildSync(options).outputFiles[0];
  const minified = (await import(`data:text/javascript,${encodeURIComponent(text)}`)) as typeof errors;
  const made = [
    new minified.FormatError("f", "d"),
    new minified.ShapeError("t", [1], [2]),
    new minified.InputError("i"),
    new minified.AbortError(),
    new minified.MemoryLimitError(2, 1),
  ];
  expect(made.map((e) => e.name)).toEqual([
    "FormatError",
    "ShapeError",
    "InputError",
    "AbortError",
    "MemoryLimitError",
  ]);
  for (const [name, type] of Object.entries(errors)) {
    if (typeof type !== "function" || !(type.prototype instanceof errors.WattentionError)) continue;
    const Type = type as unknown as new (...args: unknown[]) => Error;
    expect(new Type(["a"], [], []).name).toBe(name);
  }
});
