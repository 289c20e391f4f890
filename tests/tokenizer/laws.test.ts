import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Tokenizer } from "../../src/format/tokenizer.ts";
import { fixture, KINDS, load, texts } from "./fixtures.ts";

// Lone surrogates and unassigned code points included; corpus pieces bring the special tokens, marks and clusters.
const unit = fc.oneof(
  fc.string({ unit: "binary", maxLength: 6 }),
  fc.string({ unit: "grapheme", maxLength: 6 }),
  fc.integer({ min: 0, max: 0xffff }).map((c) => String.fromCharCode(c)),
  fc.constantFrom(
    ...texts.filter((t) => t.length < 20),
    " ",
    "<mask>",
    "[MASK]",
    "\ud83d",
    "\ude00",
    "\u0301",
    "\u200d",
  ),
);
const text = fc.array(unit, { maxLength: 12 }).map((parts) => parts.join(""));
const splits = (s: string, at: number) => at > 0 && at < s.length && s.codePointAt(at - 1)! > 0xffff;

describe.each(KINDS)("%s", async (name) => {
  const { json, data } = fixture(name);
  if (!json) return void test.skip("its tokenizer.json is not here (models/default-embedder)");
  const tokenizer = await Tokenizer.load(json, data.config);

  test("offsets lie in the text, on whole characters, and do not go back", () => {
    fc.assert(
      fc.property(text, (s) => {
        const { offsets, sequence_ids, input_ids, tokens } = tokenizer.encode(s);
        expect(input_ids.every((id) => Number.isInteger(id) && tokenizer.token(id) !== undefined)).toBe(true);
        expect(tokens.length).toBe(input_ids.length);
        let before = [0, 0];
        for (const [i, [from, to]] of offsets.entries()) {
          if (sequence_ids[i] === null) {
            expect([from, to]).toEqual([0, 0]);
            continue;
          }
          expect(from <= to && to <= s.length && to >= before[1]).toBe(true);
          // A prefix space that is trimmed lies behind the character it came from, in transformers too.
          if (name !== "bpe-roberta-prefix") expect(from).toBeGreaterThanOrEqual(before[0]);
          expect(splits(s, from) || splits(s, to)).toBe(false);
          before = [from, to];
        }
      }),
      { numRuns: 150 },
    );
  });

  test("windows cover a text without a gap, share the stride and keep to the length", () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 6, max: 14 }), fc.integer({ min: 0, max: 1 }), (s, max_length, stride) => {
        const whole = tokenizer.encode(s, { add_special_tokens: false }).input_ids;
        const first = tokenizer.encode(s, { max_length, stride, return_overflowing_tokens: true });
        const got: number[] = [];
        for (const e of [first, ...first.overflowing!]) {
          expect(e.input_ids.length).toBeLessThanOrEqual(max_length);
          const own = e.input_ids.filter((_, i) => e.sequence_ids[i] === 0);
          if (got.length && stride) expect(own.slice(0, stride)).toEqual(got.slice(-stride));
          got.push(...own.slice(got.length && stride));
        }
        expect(got).toEqual(whole);
      }),
      { numRuns: 60 },
    );
  });
});

test("a token of a cased vocabulary is the text at its offsets, but for the characters that cleaning removes", async () => {
  const tokenizer = await load("wordpiece-cased");
  fc.assert(
    fc.property(text, (s) => {
      const { tokens, offsets, special_tokens_mask, input_ids } = tokenizer.encode(s);
      tokens.forEach((token, i) => {
        if (special_tokens_mask[i] || input_ids[i] === tokenizer.unk_token_id) return;
        const there = s.slice(...offsets[i]).replace(/[\p{C}\ufffd]/gu, "");
        expect([token, token.replace(/^##/, "")]).toContain(there);
      });
    }),
    { numRuns: 300 },
  );
});

test("byte-level tokens cover the text from end to end", async () => {
  const tokenizer = await load("bpe-gpt2");
  fc.assert(
    fc.property(text, (s) => {
      const { offsets } = tokenizer.encode(s);
      expect(offsets[0]?.[0] ?? 0).toBe(0);
      expect(offsets.at(-1)?.[1] ?? 0).toBe(s.length);
      for (let i = 1; i < offsets.length; i++) expect(offsets[i][0]).toBeLessThanOrEqual(offsets[i - 1][1]);
    }),
    { numRuns: 300 },
  );
});

test("byte-level text comes back from its ids", async () => {
  const tokenizer = await load("bpe-gpt2");
  fc.assert(
    fc.property(text, (s) => {
      const { input_ids } = tokenizer.encode(s);
      expect(tokenizer.decode(input_ids)).toBe(s.replace(/\p{Cs}/gu, "\ufffd"));
    }),
    { numRuns: 300 },
  );
});

test("long runs of one character do not hang", async () => {
  const long = [" ", "a", "\u0301\u0323", "\u200d", "\u0001", "中", "e\u0301", "<mask> ", "👨‍👩‍👧"].map((s) =>
    s.repeat(1500),
  );
  for (const name of KINDS.filter((name) => name !== "bert")) {
    const tokenizer = await load(name);
    for (const s of long) {
      const { offsets } = tokenizer.encode(`${s}b`);
      expect(Math.max(0, ...offsets.map(([, to]) => to))).toBeLessThanOrEqual(s.length + 1);
    }
  }
}, 120_000);
