/** The declarations, as a user's compiler sees them. tests/hosts/bundlers asks an older TypeScript the same, and with Workers' types. */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { lacking, makeConsumers, SETTINGS, typeCheck } from "./types.mjs";

const folder = makeConsumers();

describe(`TypeScript ${ts.version}`, () => {
  it.each(Object.entries(SETTINGS))("has nothing to say: %s", (_, settings) => {
    expect(typeCheck(ts, folder, settings)).toEqual([]);
  });

  it("is asked about every consumer", ({ skip }) => {
    const files = lacking(folder).map(({ file, entry }) => `${file}: the package has no ${entry}`);
    if (files.length) skip(files.join(", "));
  });

  it("would say if something were of another type", () => {
    const path = join(folder, "index.ts");
    const right = readFileSync(path, "utf8");
    try {
      writeFileSync(path, right.replace("is<Found[]>()", "is<Found>()").replace('"query", {', '"query", { topk: 1,'));
      expect(typeCheck(ts, folder, SETTINGS["nodenext, DOM"])).toEqual([
        expect.stringMatching(/^index.ts:\d+: Expected 3 arguments/),
        expect.stringContaining("'topk' does not exist"),
      ]);
    } finally {
      writeFileSync(path, right);
    }
  });
});
