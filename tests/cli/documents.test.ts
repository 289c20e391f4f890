import fc from "fast-check";
import { expect, it } from "vitest";
import { split } from "../../src/cli/documents.ts";

it("sections carry their headings, front matter and comments go, code stays whole", () => {
  const text = `---
title: x
---
# Title #

Intro, two
lines.

<!-- nothing -->
## Part

- one
- two

\`\`\`sh
# no heading

run
\`\`\`
### Deep
End.
# Other
Last.`;
  expect(split(text)).toEqual([
    { line: 6, text: "Title: Intro, two\nlines." },
    { line: 12, text: "Title > Part: - one\n- two\n```sh\n# no heading\n\nrun\n```" },
    { line: 21, text: "Title > Part > Deep: End." },
    { line: 23, text: "Other: Last." },
  ]);
  expect(split("# no heading\n\ntext", ".txt")).toEqual([{ line: 1, text: "# no heading\ntext" }]);
});

it("doc comments stand under what they say something of", () => {
  const code = `import x from "x";

/** A thing that does what things of its kind are known to do. */
export class Thing {
  /**
   * Does it again and again, until there is nothing left that it could do.
   * @throws Error
   */
  // biome-ignore x: y
  async again(count: number): Promise<void> {}
  /** Short. */
  x = 1;
}`;
  expect(split(code, ".ts")).toEqual([
    { line: 3, text: "export class Thing: A thing that does what things of its kind are known to do." },
    {
      line: 5,
      text: "async again: Does it again and again, until there is nothing left that it could do.\n@throws Error",
    },
  ]);
});

const word = fc.stringMatching(/^[a-z.é🐈]{1,30}$/u);
const line = fc.array(word, { minLength: 1, maxLength: 60 }).map((words) => words.join(" "));
const lines = fc.array(
  fc.oneof(
    line,
    fc.constant(""),
    line.map((l) => `- ${l}`),
  ),
  { maxLength: 20 },
);

it("passages hold every word once and in order, are short, and begin on the line that they name", () => {
  fc.assert(
    fc.property(lines, (all) => {
      const found = split(all.join("\n"));
      const words = (text: string) => text.split(/\s+/).filter(Boolean);
      expect(found.flatMap(({ text }) => words(text))).toEqual(words(all.join("\n")));
      for (const { line, text } of found) {
        expect(text.length).toBeLessThanOrEqual(500);
        expect(all[line - 1]).toContain(text.split("\n")[0].trim());
      }
    }),
  );
});
