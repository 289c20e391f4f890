import { existsSync, readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { gunzipSync } from "node:zlib";
import { type EncodeOptions, type Encoding, Tokenizer } from "../../src/format/tokenizer.ts";

/** One encoding as tests/oracle/tokenizer_corpus.py writes it: ids, flat offsets in code points, types, sequences (2: none), mask, words (−1: none). */
export type Expected = [
  ids: number[],
  offsets: number[],
  types: number[],
  sequences: number[],
  special: number[],
  words: number[],
];

export interface Fixture {
  /** null stands for BERT's own, which ships with the package. */
  tokenizer: Record<string, unknown> | null;
  config: Record<string, unknown>;
  single: [ids: number[], offsets: number[], words: number[]][];
  pairs: { pair?: number; text?: number; options: EncodeOptions; windows: Expected[] | { error: string } }[];
  decoded: [all: string, withoutSpecial: string][];
}

export const KINDS = [
  ..."bert wordpiece-uncased wordpiece-cased wordpiece-accents".split(" "),
  ..."bpe-roberta bpe-roberta-prefix bpe-gpt2 bpe-modernbert bpe-llama3 bpe-llama2 bpe-clip bpe-fuse".split(" "),
  ..."unigram-xlmr unigram-albert unigram-deberta unigram-t5 unigram-nfkc".split(" "),
  ..."wordlevel-whitespace wordlevel-previous wordlevel-next wordlevel-contiguous".split(" "),
];

const root = new URL("../../", import.meta.url);
/** TOKENIZER_FIXTURES names a folder with another run of the oracle (its fuzz mode) to check instead. */
const other = process.env.TOKENIZER_FIXTURES;
const folder = other ? pathToFileURL(`${other}/`) : new URL("tests/fixtures/tokenizers/", root);
const read = (name: string) => gunzipSync(readFileSync(new URL(name, folder)));

export const { texts, pairs } = JSON.parse(read("corpus.json.gz").toString()) as {
  texts: string[];
  pairs: [string, string][];
};

/** BERT's real vocabulary; undefined where neither the package nor the workplace has it. */
export function bert(): Record<string, unknown> | undefined {
  const bases = ["models/", "../shared/models/"].map((base) => new URL(`${base}default-embedder/tokenizer.json`, root));
  const url = bases.find((url) => existsSync(url));
  return url && JSON.parse(readFileSync(url, "utf8"));
}

/** A fixture and its tokenizer.json, the shared character map put in its place. */
export function fixture(name: string): { json: Record<string, unknown> | undefined; data: Fixture } {
  const data = JSON.parse(read(`${name}.json.gz`).toString()) as Fixture;
  if (!data.tokenizer) return { json: bert(), data };
  const charsmap = read("nmt_nfkc.bin.gz").toString("base64");
  return { json: JSON.parse(JSON.stringify(data.tokenizer).replaceAll('"nmt_nfkc"', `"${charsmap}"`)), data };
}

export const load = async (name: string) => {
  const { json, data } = fixture(name);
  return Tokenizer.load(json, data.config);
};

/** An encoding in the form of the fixture; an offset inside a surrogate pair shows as −1. */
export function shown(e: Encoding, texts: readonly string[]): Expected {
  const points = texts.map((text) => {
    const at = new Map<number, number>();
    let unit = 0;
    for (const c of text) {
      at.set(unit, at.size);
      unit += c.length;
    }
    return at.set(unit, at.size);
  });
  const offsets = e.offsets.flatMap((range, i) => {
    const sequence = e.sequence_ids[i];
    return sequence === null ? range : range.map((at) => points[sequence].get(at) ?? -1);
  });
  const sequences = e.sequence_ids.map((s) => s ?? 2);
  return [e.input_ids, offsets, e.token_type_ids, sequences, e.special_tokens_mask, e.word_ids.map((w) => w ?? -1)];
}
