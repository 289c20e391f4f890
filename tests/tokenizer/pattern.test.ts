import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { translated } from "../../src/format/tokenizer/pattern.ts";
import { fixture, KINDS } from "./fixtures.ts";

/** Of tests/oracle/tokenizer_patterns.py: from and to of each match by text, in code points; null where the crate refuses the pattern. */
const { texts, patterns } = JSON.parse(
  gunzipSync(readFileSync(new URL("../fixtures/tokenizers/patterns.json.gz", import.meta.url))).toString(),
) as { texts: string[]; patterns: [pattern: string, found: number[][] | null][] };

/** What the crate has and this has not. */
const REFUSED = ["(a)\\1", "(?<x>a)\\k<x>", "\\R", "\\X", "(?x: a b )", "\\Ga", "(?~ab)", "\\K"];

const found = (pattern: RegExp, text: string) =>
  Array.from(text.matchAll(pattern))
    .filter(([match]) => match)
    .flatMap(({ 0: match, index }) => [index, index + match.length].map((end) => [...text.slice(0, end)].length));

test.each(patterns.filter(([pattern, found]) => found && !REFUSED.includes(pattern)))(
  "%s: what the crate finds",
  (pattern, expected) => {
    const translation = translated(pattern);
    for (const [i, text] of texts.entries()) expect([text, found(translation, text)]).toEqual([text, expected![i]]);
  },
);

test.each([...REFUSED, ...patterns.flatMap(([pattern, found]) => (found ? [] : [pattern])), "a\\"])(
  "%s: refused, by name where it is right",
  (pattern) => {
    expect(() => translated(pattern)).toThrow(SyntaxError);
    if (REFUSED.includes(pattern)) expect(() => translated(pattern)).toThrow(/of the pattern .* is not supported/);
  },
);

test("flag v, which older engines lack, is for patterns with a set in a set", () => {
  const all = KINDS.map((name) => JSON.stringify(fixture(name).json));
  const real = all.flatMap((json) =>
    Array.from(json.matchAll(/"Regex":("(?:\\\\.|[^"])*")/g), (m) => JSON.parse(m[1]) as string),
  );
  expect(real.length).toBeGreaterThan(5);
  for (const pattern of real) expect(translated(pattern).flags).toBe("gu");
  expect(translated("[a[b]]").flags).toBe("gv");
});
