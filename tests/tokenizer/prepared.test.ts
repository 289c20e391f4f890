import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FormatError, InputError } from "../../src/errors.ts";
import { COMMON, COMMON_MARKS, COMMON_PUNCTUATION } from "../../src/format/tokenizer/part.ts";
import { prepareTokenizer } from "../../src/format/tokenizer/prepare.ts";
import { Tokenizer } from "../../src/format/tokenizer.ts";
import { randomFrom } from "../format/mutate.ts";
import { bert, fixture, KINDS } from "./fixtures.ts";

type Json = Record<string, unknown>;
const made = async (name: string) => {
  const { json, data } = fixture(name);
  return prepareTokenizer(json, data.config);
};
/** A tokenizer of a model and nothing else. */
const bare = async (model: Json) => Tokenizer.loadPrepared(await prepareTokenizer({ model }));

describe.each(KINDS)("%s", async (name) => {
  const { json, data } = fixture(name);
  if (!json) return void test.skip("its tokenizer.json is not here (models/default-embedder)");

  test("every token has its id, and every id its token", async () => {
    const tokenizer = Tokenizer.loadPrepared(await prepareTokenizer(json, data.config));
    const { vocab } = json.model as { vocab: Record<string, number> | [string, number][] };
    const added = new Set((json.added_tokens as { content: string }[]).map(({ content }) => content));
    const all = Array.isArray(vocab) ? vocab.map(([token], id) => [token, id] as const) : Object.entries(vocab);
    const right = all.filter(([t, id]) => tokenizer.id(t) === id && (added.has(t) || tokenizer.token(id) === t));
    expect(right.length).toBe(all.length);
    for (const no of ["no such token", "\ud800", ""]) expect(tokenizer.id(no)).toBeUndefined();
  });
});

test("bytes that begin anywhere in their memory", async () => {
  const bytes = await made("unigram-t5");
  const moved = new Uint8Array(bytes.length + 3);
  moved.set(bytes, 3);
  const text = "Ça va?  <extra_id_0> 東京 ﬁne";
  expect(Tokenizer.loadPrepared(moved.subarray(3)).encode(text)).toEqual(Tokenizer.loadPrepared(bytes).encode(text));
});

test.skipIf(!bert())("BERT's vocabulary takes less than 330,000 bytes", async () => {
  expect((await prepareTokenizer(bert())).length).toBeLessThan(330_000);
});

test("tokens of more than 254 bytes, ids of more than 16 bits, scores of more than 24", async () => {
  const long = "é".repeat(200);
  const wordlevel = await bare({
    type: "WordLevel",
    vocab: { [long]: 70_000, [`${long}x`]: 3, "": 5 },
    unk_token: "",
  });
  expect([wordlevel.id(long), wordlevel.id(`${long}x`), wordlevel.id("")]).toEqual([70_000, 3, 5]);
  expect([wordlevel.token(70_000), wordlevel.token(3), wordlevel.token(5)]).toEqual([long, `${long}x`, ""]);
  expect(wordlevel.encode(long).input_ids).toEqual([70_000]);
  // As floats the two ways would be equal, and the first would be taken.
  const vocab = [["<unk>", 0], ["ab", -0.2 - 1e-12], ["a", -0.1], ["b", -0.1], ["ab", -0.2 - 1e-12]]; // biome-ignore format: pairs
  const unigram = await bare({ type: "Unigram", vocab, unk_id: 0 });
  expect(unigram.encode("ab").input_ids).toEqual([2, 3]);
  // Of equal pieces the last counts.
  expect(unigram.id("ab")).toBe(4);
  await expect(bare({ type: "WordLevel", vocab: { ["x".repeat(70_000)]: 0 } })).rejects.toThrow(/70000 bytes/);
  await expect(bare({ type: "WordLevel", vocab: { x: 2 ** 24 } })).rejects.toThrow(/id of "x" is 16777216/);
});

test("a BPE merges the pair of the lowest rank first, and of several the first", async () => {
  const letters = ["a", "b", "c", "é"];
  const piece = fc.array(fc.constantFrom(...letters), { minLength: 1, maxLength: 4 }).map((part) => part.join(""));
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(piece, { maxLength: 12 }),
      fc.array(fc.constantFrom(...letters, "x"), { maxLength: 20 }).map((word) => word.join("")),
      fc.infiniteStream(fc.nat()),
      async (pieces, word, random) => {
        const tokens = [...new Set([...letters, ...pieces])];
        const merges = tokens
          .flatMap((t) => Array.from(t.slice(1), (_, i) => [t.slice(0, i + 1), t.slice(i + 1)]))
          .filter((pair) => pair.every((part) => tokens.includes(part)))
          .map((pair) => [random.next().value as number, pair] as const)
          .sort(([a], [b]) => a - b)
          .map(([, pair]) => pair);
        const vocab = Object.fromEntries(["?", ...tokens].map((token, id) => [token, id]));
        const tokenizer = await bare({ type: "BPE", vocab, merges, unk_token: "?" });
        const symbols = Array.from(word);
        for (;;) {
          const ranks = symbols
            .slice(1)
            .map((right, i) => merges.findIndex((m) => m[0] === symbols[i] && m[1] === right));
          const least = Math.min(...ranks.filter((rank) => rank >= 0));
          if (!Number.isFinite(least)) break;
          const at = ranks.indexOf(least);
          symbols.splice(at, 2, symbols[at] + symbols[at + 1]);
        }
        expect(tokenizer.encode(word).input_ids).toEqual(symbols.map((symbol) => vocab[symbol] ?? 0));
      },
    ),
    { numRuns: 200 },
  );
});

test("what is known of characters without Unicode's sets is what the sets say", () => {
  const wrong: string[] = [];
  for (let point = 0; point <= 0x10ffff; point++) {
    const c = String.fromCodePoint(point);
    const normal = c.normalize("NFD");
    if (COMMON.test(c))
      if (
        /[\p{M}\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{P}\p{White_Space}]/u.test(c) ||
        normal.replace(/\p{Mn}/gu, "") !== normal.replace(COMMON_MARKS, "")
      )
        wrong.push(`letter ${c}`);
    if (COMMON_PUNCTUATION.test(c) && (!/\p{P}/u.test(c) || normal !== c)) wrong.push(`punctuation ${c}`);
    // Lowercasing a text as a whole gives as many units, of the characters that Unicode says it changes.
    const lower = c.toLowerCase();
    if (point !== 0x130 && (lower.length !== c.length || (lower !== c && !/\p{Changes_When_Lowercased}/u.test(c))))
      wrong.push(`lower ${c}`);
  }
  expect(wrong).toEqual([]);
});

describe("malformed bytes give a FormatError", () => {
  test("of another kind or version, cut short, or too long", async () => {
    const bytes = await made("wordpiece-cased");
    const changed = (at: number, value: number) => bytes.map((byte, i) => (i === at ? value : byte));
    const load = (given: Uint8Array) => () => Tokenizer.loadPrepared(given);
    for (const given of [new Uint8Array(), bytes.subarray(0, 35), changed(0, 0)])
      expect(load(given)).toThrow(FormatError);
    expect(load(changed(4, 2))).toThrow(/version 2.*wattention pack/);
    expect(load(new Uint8Array([...bytes, 0]))).toThrow(/sections take/);
    for (let size = 36; size < bytes.length; size += 97) expect(load(bytes.subarray(0, size))).toThrow(FormatError);
  });

  test("3000 mutations: a FormatError, or a tokenizer that works", async () => {
    const random = randomFrom(3);
    const names = ["wordpiece-uncased", "bpe-roberta", "bpe-llama2", "unigram-nfkc", "unigram-t5", "wordlevel-next"];
    const files = await Promise.all(names.map(made));
    let right = 0;
    for (let i = 0; i < 3000; i++) {
      const bytes = files[i % files.length].slice();
      const json = new DataView(bytes.buffer).getUint32(8, true);
      // The header, the JSON, or the tables.
      const [from, size] = [[0, 36], [36, json], [36 + json, bytes.length - 36 - json]][random(8) ? 2 : random(2)]; // biome-ignore format: a table
      for (let n = 1 + random(40); n; n--) {
        const at = from + random(size);
        bytes.set([random(2) ? 255 : random(256), random(256)].slice(0, bytes.length - at), at);
      }
      try {
        const tokenizer = Tokenizer.loadPrepared(bytes);
        const s = "Hello <mask> wörld, 12 東京 New York\u0301!";
        const e = tokenizer.encode(s, { text_pair: "b", max_length: 20, return_overflowing_tokens: true });
        for (const [a, b] of e.offsets) expect(a >= 0 && a <= b && b <= s.length).toBe(true);
        for (const id of e.input_ids) expect(Number.isInteger(id) && id >= 0 && id < 2 ** 24).toBe(true);
        tokenizer.decode(e.input_ids);
        right++;
      } catch (error) {
        if (!(error instanceof FormatError || error instanceof InputError)) throw error;
      }
    }
    expect(right).toBeGreaterThan(500);
  });
});
