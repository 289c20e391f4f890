import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Tokenizer } from "../../src/format/tokenizer.ts";

/** What tests/oracle/tokenizer_many.py wrote: 100,000 texts and more tokenizers than fit a repository. */
const folder = process.env.TOKENIZER_MANY;
const names = folder
  ? readdirSync(folder)
      .filter((name) => name.endsWith(".u32"))
      .map((name) => name.slice(0, -4))
  : [];

test.skipIf(folder)(
  "the long check against the tokenizers crate (needs TOKENIZER_MANY, see tests/oracle/tokenizer_many.py)",
  () => {
    expect(names).toEqual([]);
  },
);

test.each(names)("%s: ids and offsets of every text", { timeout: 3_600_000 }, async (name) => {
  const texts = JSON.parse(readFileSync(`${folder}/texts.json`, "utf8")) as string[];
  const tokenizer = await Tokenizer.load(JSON.parse(readFileSync(`${folder}/${name}.json`, "utf8")));
  const bytes = readFileSync(`${folder}/${name}.u32`);
  const wanted = new Uint32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  let at = 0;
  const wrong: unknown[] = [];
  for (const text of texts) {
    const n = wanted[at++];
    const ids = wanted.subarray(at, at + n);
    const offsets = wanted.subarray(at + n, at + 3 * n);
    at += 3 * n;
    const got = tokenizer.encode(text);
    const points = new Uint32Array(text.length + 1);
    for (let i = 0, point = 0; i <= text.length; i++) {
      points[i] = point;
      if (!(text.codePointAt(i)! > 0xffff)) point++;
    }
    const same =
      got.input_ids.length === n &&
      got.input_ids.every((id, i) => id === ids[i]) &&
      got.offsets.every(([from, to], i) => points[from] === offsets[2 * i] && points[to] === offsets[2 * i + 1]);
    if (!same)
      wrong.push([
        text,
        got.input_ids.join(),
        ids.join(),
        got.offsets.map((o) => o.map((x) => points[x])).join(),
        offsets.join(),
      ]);
  }
  expect(at).toBe(wanted.length);
  expect([wrong.length, wrong.slice(0, 3)]).toEqual([0, []]);
});
