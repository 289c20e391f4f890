import { FormatError } from "../../errors.ts";
import { isId, malformed, need, type Part, utf8 } from "./part.ts";
import { translated } from "./pattern.ts";
import { bucketOf, HEAD, LONGEST, MAGIC, MOST, pairHash, VERSION } from "./prepared.ts";
import { Word } from "./word.ts";

type Json = Record<string, unknown>;

/** What is used of tokenizer_config.json besides the special tokens. */
const CONFIG = /^(\w+_token|model_max_length|truncation_side|chat_template|clean_up_tokenization_spaces)$/;

/**
 * Puts entries, given by their hashes and sizes, into buckets of about four; the last of equal ones is the first there.
 * Returns where each bucket starts, and all entries.
 */
function table(hashes: number[], sizes: number[], write: (out: Uint8Array, at: number, i: number) => void) {
  const least = 32 - Math.clz32(Math.max(0, Math.ceil(hashes.length / 4) - 1)); // so that 2 ** least buckets hold four each
  for (let bits = least; bits < least + 5; bits++) {
    const starts = new Uint32Array(2 ** bits + 1);
    const entries = new Uint32Array(2 ** bits);
    hashes.forEach((hash, i) => {
      const bucket = bucketOf(hash, bits);
      starts[bucket + 1] += sizes[i];
      entries[bucket]++;
    });
    if (entries.some((n) => n > MOST)) continue;
    for (let i = 0; i < entries.length; i++) starts[i + 1] += starts[i];
    const out = new Uint8Array(starts[entries.length]);
    const next = starts.slice();
    for (let i = hashes.length; i--; ) {
      const bucket = bucketOf(hashes[i], bits);
      write(out, next[bucket], i);
      next[bucket] += sizes[i];
    }
    return [new Uint8Array(starts.buffer), out] as const;
  }
  throw malformed(`more than ${MOST} tokens or merges have the same hash`);
}

function number(out: Uint8Array, at: number, width: number, value: number): number {
  for (; width--; value >>>= 8) out[at++] = value;
  return at;
}

function words(tokens: readonly (readonly [token: string, id: number])[], width: number) {
  const word = new Word();
  const hashes: number[] = [];
  const sizes: number[] = [];
  let longest = 1;
  for (const [token] of tokens) {
    const size = word.spell(token);
    if (size > LONGEST) throw malformed(`a token of ${size} bytes; the longest may have ${LONGEST}`);
    hashes.push(word.hash(0, size));
    sizes.push(size + width + (size < 255 ? 1 : 3));
    longest = Math.max(longest, size);
  }
  const made = table(hashes, sizes, (out, at, i) => {
    const size = word.spell(tokens[i][0]);
    at = number(out, at, 1, Math.min(size, 255));
    if (size > 254) at = number(out, at, 2, size);
    out.set(word.bytes.subarray(0, size), number(out, at, width, tokens[i][1]));
  });
  return { longest, made };
}

function pairs(merges: unknown[], ids: ReadonlyMap<string, number>, width: number) {
  const found = merges.map((merge) => {
    const [left, right, ...more] = (typeof merge === "string" ? merge.split(" ") : merge) as string[];
    const pair = [left, right].map((token) => ids.get(token)!);
    if (more.length || pair.includes(undefined!) || !ids.has(left + right))
      throw malformed(`model BPE: the merge ${JSON.stringify(merge)} is not of the vocab's tokens`);
    return pair;
  });
  const size = 3 * width;
  return table(
    found.map(([left, right]) => pairHash(left, right)),
    found.map(() => size),
    (out, at, rank) => {
      for (const value of [...found[rank], rank]) at = number(out, at, width, value);
    },
  );
}

/** JSON of parts, with translated patterns in the place of Oniguruma's, and places in `maps` in that of character maps in base64. */
function written(parts: Json, maps: number[]): string {
  return JSON.stringify(parts, function (this: Json, key, value) {
    try {
      if (key === "pattern" && typeof value?.Regex === "string") {
        const { source, flags } = translated(value.Regex);
        return { JS: source, flags };
      }
      if (key !== "precompiled_charsmap" || typeof value !== "string") return value;
      const from = maps.length;
      for (const c of atob(value)) maps.push(c.charCodeAt(0));
      return [from, maps.length];
    } catch (error) {
      throw malformed(`${this.type}: ${(error as Error).message}`);
    }
  });
}

/**
 * A tokenizer as `Tokenizer.loadPrepared` reads it: a compact form that loads without a pass over the vocabulary. Holds all that is
 * used of both files. What it is made of is checked where it cannot be later, so load it once before it is given away.
 * @param tokenizer tokenizer.json, parsed.
 * @param config tokenizer_config.json, parsed, where there is one.
 * @throws FormatError that names what is malformed, missing or not supported.
 */
export async function prepareTokenizer(tokenizer: unknown, config?: unknown): Promise<Uint8Array> {
  try {
    return prepare(tokenizer as Part, (config ?? {}) as Part);
  } catch (error) {
    throw error instanceof FormatError ? error : malformed((error as Error).message);
  }
}

function prepare(json: Part, config: Part): Uint8Array {
  const { vocab: listed, merges = [], ...given } = need<Json>(json, "model", "object");
  const type = given.type ?? (Array.isArray(listed) ? "Unigram" : (json.model as Part).merges ? "BPE" : "WordPiece");
  const model: Json = { ...given, type };
  need({ ...model, vocab: listed }, "vocab", "object");
  if (type === "BPE") {
    need({ ...(json.model as Part), type }, "merges", "object");
    for (const field of ["continuing_subword_prefix", "continuing_subword_suffix"])
      if (model[field]) throw malformed(`${field} is not supported`);
  }
  let scores = new Float64Array();
  let tokens = Object.entries(listed as Record<string, number>);
  if (type === "Unigram") {
    if (!Array.isArray(listed)) throw malformed("model Unigram: its vocab is no list");
    tokens = listed.map(([piece, score], id) => {
      if (typeof piece !== "string" || typeof score !== "number")
        throw malformed(`piece ${id} of the vocab is malformed`);
      return [piece, id];
    });
    scores = Float64Array.from(listed, ([, score]) => score);
    model.worst = scores.reduce((least, score) => Math.min(least, score), Number.POSITIVE_INFINITY);
  }
  let most = (merges as unknown[]).length;
  for (const [token, id] of tokens) {
    if (!isId(id) || id >= 1 << 24) throw malformed(`the id of "${token}" is ${JSON.stringify(id)}`);
    most = Math.max(most, id);
  }
  const width = most < 1 << 16 ? 2 : 3;
  const { longest, made } = words(tokens, width);
  const merged = type === "BPE" ? pairs(merges as unknown[], new Map(tokens), width) : pairs([], new Map(), width);
  const exact = scores.every((score) => Math.fround(score) === score);
  const numbers = exact ? Float32Array.from(scores) : scores;
  Object.assign(model, { width, longest, float: exact ? 4 : 8 });

  const maps: number[] = [];
  const { normalizer, pre_tokenizer, decoder, post_processor, added_tokens } = json;
  const used = Object.fromEntries(Object.entries(config).filter(([key]) => CONFIG.test(key)));
  const parts = { model, normalizer, pre_tokenizer, decoder, post_processor, added_tokens, config: used };
  const sections = [
    utf8(written(parts, maps)),
    ...made,
    ...merged,
    new Uint8Array(numbers.buffer),
    Uint8Array.from(maps),
  ];
  const head = new Uint32Array([MAGIC, VERSION, ...sections.map(({ length }) => length)]);
  const out = new Uint8Array(sections.reduce((sum, { length }) => sum + length, HEAD));
  let at = 0;
  for (const section of [new Uint8Array(head.buffer), ...sections]) {
    out.set(section, at);
    at += section.length;
  }
  return out;
}
