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

/** Punctuation, marks, letters and decompositions that the crate's tables (Unicode 8 to 16, by table) lack and an engine's of Unicode 17 have. */
const NEWER =
  /\u{180f}|[\u{61d}\u{9fd}\u{a76}\u{c77}\u{c84}\u{1b7d}\u{1b7e}\u{2e43}-\u{2e5d}\u{32ff}\u{10d69}-\u{10d6e}\u{10ead}\u{10f55}-\u{10f59}\u{10f82}-\u{10f89}\u{1144b}-\u{1144f}\u{1145a}-\u{1145d}\u{11660}-\u{1166c}\u{116b9}\u{1183b}\u{11944}-\u{11946}\u{119e2}\u{11a3f}-\u{11a46}\u{11a9a}-\u{11aa2}\u{11b60}-\u{11b67}\u{11c41}-\u{11c45}\u{11c70}\u{11c71}\u{11db0}-\u{11de9}\u{11ef7}\u{11ef8}\u{11fff}\u{12ff1}\u{12ff2}\u{16d40}-\u{16d79}\u{16e97}-\u{16e9a}\u{16ea0}-\u{16ed3}\u{16fe2}\u{18d80}-\u{18df2}\u{1ccd6}-\u{1ccf9}\u{1e6c0}-\u{1e6ff}\u{1e95e}\u{1e95f}\u{323b0}-\u{3347f}]/u;

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
  // Where a BPE leaves characters out, the crate's offsets are those of the text without them; ours are those of the text.
  const gaps = name === "big-bpe-gaps";
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
      (gaps || got.offsets.every(([a, b], i) => points[a] === offsets[2 * i] && points[b] === offsets[2 * i + 1]));
    if (!same && !NEWER.test(text))
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
