import { existsSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { type EncodeOptions, type Encoding, Tokenizer } from "../../src/format/tokenizer.ts";

/** One encoding as tests/oracle/tokenizer_corpus.py writes it: ids, flat offsets in code points, types, sequences (2: none), mask. */
export type Expected = [ids: number[], offsets: number[], types: number[], sequences: number[], special: number[]];

export interface Fixture {
  tokenizer: Record<string, unknown> | null;
  config: Record<string, unknown>;
  single: [ids: number[], offsets: number[]][];
  pairs: { pair?: number; text?: number; options: EncodeOptions; windows: Expected[] | { error: string } }[];
  decoded: [all: string, withoutSpecial: string][];
}

const root = new URL("../../", import.meta.url);
/** A run of the oracle over other texts can be checked by naming its folder. */
const folder = process.env.TOKENIZER_FIXTURES
  ? `${process.env.TOKENIZER_FIXTURES}/`
  : new URL("tests/fixtures/tokenizers/", root);

const read = (name: string): Buffer =>
  gunzipSync(readFileSync(typeof folder === "string" ? folder + name : new URL(name, folder)));

export const { texts, pairs } = JSON.parse(read("corpus.json.gz").toString()) as {
  texts: string[];
  pairs: [string, string][];
};

/** BERT's real vocabulary, which ships with the package; undefined where neither the package nor the workplace has it. */
export function bertJson(): Record<string, unknown> | undefined {
  const at = ["models/", "../shared/models/"]
    .map((base) => new URL(`${base}default-embedder/tokenizer.json`, root))
    .find((url) => existsSync(url));
  return at && JSON.parse(readFileSync(at, "utf8"));
}

/** A fixture and its tokenizer.json, the shared character map put in its place. */
export function fixture(name: string): { json: Record<string, unknown> | undefined; data: Fixture } {
  const data = JSON.parse(read(`${name}.json.gz`).toString()) as Fixture;
  if (!data.tokenizer) return { json: bertJson(), data };
  const charsmap = read("nmt_nfkc.bin.gz").toString("base64");
  return { json: JSON.parse(JSON.stringify(data.tokenizer).replaceAll('"nmt_nfkc"', `"${charsmap}"`)), data };
}

export async function load(name: string) {
  const { json, data } = fixture(name);
  return { tokenizer: await Tokenizer.load(json, data.config), data };
}

/** UTF-16 offsets as code points, which transformers counts. */
export function codePoints(text: string, offsets: readonly (readonly [number, number])[]): number[] {
  const at = new Int32Array(text.length + 1);
  let n = 0;
  let unit = 0;
  for (const c of text) {
    at[unit] = n;
    if (c.length > 1) at[unit + 1] = -1; // inside a pair: never right
    unit += c.length;
    n++;
  }
  at[unit] = n;
  return offsets.flatMap(([from, to]) => [at[from], at[to]]);
}

/** An encoding in the form of the fixture. */
export function shown(e: Encoding, texts: readonly string[]): Expected {
  const offsets = e.offsets.flatMap((o, i) => {
    const s = e.sequence_ids[i];
    return s === null ? [...o] : codePoints(texts[s], [o]);
  });
  return [e.input_ids, offsets, e.token_type_ids, e.sequence_ids.map((s) => s ?? 2), e.special_tokens_mask];
}
