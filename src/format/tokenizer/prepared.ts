import { FormatError } from "../../errors.ts";
import { isId, need, type Part } from "./part.ts";
import { Word } from "./word.ts";

/**
 * A prepared tokenizer, little-endian: "WTOK", the version, the bytes of each section, and the sections without gaps:
 * 0 JSON: all of tokenizer.json but what follows, and what is used of tokenizer_config.json
 * 1 vocabulary, where each bucket starts in section 2: u32, a power of two of them and the end
 * 2 vocabulary: [bytes of the token: u8, or 255 and u16][id: u16 or u24][UTF-8], bucket by bucket
 * 3 merges, where each bucket starts in section 4: as section 1
 * 4 merges: [left id][right id][rank], each u16 or u24, bucket by bucket
 * 5 scores of Unigram by id: f32, or f64 where those would not be exact
 * 6 character maps
 * It is read where it lies: loading runs through no list, since the first thousands of rounds of a loop run interpreted (12 to 40 ms
 * for BERT's vocabulary). A bucket is what a lookup reads, so no more than MOST entries of it; nothing it says leads out of its section.
 */
export const MAGIC = 0x4b4f5457;
export const VERSION = 1;
const SECTIONS = 7;
export const HEAD = 8 + 4 * SECTIONS;
export const MOST = 64;
/** Bytes of a token: what a lookup of the longest that begins a text may have to try. */
export const LONGEST = 0xffff;

/** The number of the bucket of a hash among 2^bits. Shifted by 1 first: by 32, for one bucket, would be by none. */
export const bucketOf = (hash: number, bits: number) =>
  (Math.imul(hash ^ (hash >>> 15), 0x9e3779b1) >>> 1) >>> (31 - bits);
export const pairHash = (left: number, right: number) => Math.imul(left, 0x85ebca6b) ^ Math.imul(right + 1, 0xc2b2ae35);

const fault = (detail: string) => new FormatError("prepared tokenizer", detail);
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** A table of entries in buckets. */
class Buckets {
  /** Where each bucket starts, and the end. */
  protected readonly starts: Uint32Array;
  readonly #bits: number;

  constructor(
    starts: Uint8Array,
    readonly bytes: Uint8Array,
    /** Bytes of a number in an entry: 2 or 3. */
    readonly width: number,
  ) {
    const buckets = starts.length / 4 - 1;
    const bits = 31 - Math.clz32(buckets);
    if (!(bits >= 0 && bits < 30 && 1 << bits === buckets))
      throw fault(`${starts.length} bytes are no list of buckets`);
    this.starts = new Uint32Array(starts.slice().buffer);
    this.#bits = bits;
  }

  protected bucket(hash: number): number {
    return bucketOf(hash, this.#bits);
  }

  protected number(at: number): number {
    const { bytes } = this;
    return bytes[at] | (bytes[at + 1] << 8) | (this.width > 2 ? bytes[at + 2] << 16 : 0);
  }
}

/** The vocabulary: ids of the tokens that stand in a spelled word, and tokens of ids. */
export class Vocab extends Buckets {
  readonly word = new Word();
  #places?: Map<number, readonly [start: number, end: number]>;

  /** The id of the bytes [from, to) of the word, which have this hash; −1 where they are no token. */
  find(hash: number, from: number, to: number): number {
    const { bytes, width } = this;
    const word = this.word.bytes;
    const bucket = this.bucket(hash);
    const end = this.starts[bucket + 1];
    let at = this.starts[bucket];
    for (let n = MOST; n && at < end; n--) {
      let size = bytes[at++];
      if (size === 255) {
        size = bytes[at] | (bytes[at + 1] << 8);
        at += 2;
      }
      at += width;
      if (size === to - from) {
        let i = from;
        while (i < to && bytes[at + i - from] === word[i]) i++;
        if (i === to) return this.number(at - width);
      }
      at += size;
    }
    return -1;
  }

  /** The id of a token; −1 where it is none. */
  id(token: string): number {
    const end = this.word.spell(token);
    return this.find(this.word.hash(0, end), 0, end);
  }

  /** The token of an id. */
  token(id: number): string | undefined {
    const place = this.#all().get(id);
    return place && decoder.decode(this.bytes.subarray(...place));
  }

  /** All ids that have a token. */
  ids(): Iterable<number> {
    return this.#all().keys();
  }

  /** How many ids have a token. */
  get size(): number {
    return this.#all().size;
  }

  #all(): Map<number, readonly [start: number, end: number]> {
    if (!this.#places) {
      this.#places = new Map();
      const { bytes, width } = this;
      for (let at = 0; at < bytes.length; ) {
        let size = bytes[at++];
        if (size === 255) {
          size = bytes[at] | (bytes[at + 1] << 8);
          at += 2;
        }
        const start = at + width;
        this.#places.set(this.number(at), [start, start + size]);
        at = start + size;
      }
    }
    return this.#places;
  }
}

/** The merges of a BPE. */
export class Merges extends Buckets {
  /** The rank of a pair; −1 where it does not merge. */
  rank(left: number, right: number): number {
    const { width } = this;
    const bucket = this.bucket(pairHash(left, right));
    let at = this.starts[bucket];
    const end = Math.min(this.starts[bucket + 1], at + 3 * width * MOST);
    for (; at < end; at += 3 * width)
      if (this.number(at) === left && this.number(at + width) === right) return this.number(at + 2 * width);
    return -1;
  }
}

/** What a prepared tokenizer holds. */
export interface Prepared {
  /** tokenizer.json without what the rest holds; `model` has `width` and `longest`, the bytes of an id and of the longest token. */
  readonly parts: { readonly model: Part; readonly config: Part; readonly [part: string]: unknown };
  readonly vocab: Vocab;
  readonly merges: Merges;
  readonly scores: Float32Array | Float64Array;
  readonly charsmaps: Uint8Array;
}

/** Reads a prepared tokenizer. @throws FormatError if it is of another version, cut short or malformed. */
export function open(bytes: Uint8Array): Prepared {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEAD || view.getUint32(0, true) !== MAGIC) throw fault("these bytes are none");
  const version = view.getUint32(4, true);
  if (version !== VERSION)
    throw fault(`version ${version}; this package reads version ${VERSION}: make it again with wattention pack`);
  let at = HEAD;
  const sections = Array.from({ length: SECTIONS }, (_, i) => {
    const from = at;
    at += view.getUint32(8 + 4 * i, true);
    return bytes.subarray(from, at);
  });
  if (at !== bytes.length) throw fault(`its sections take ${at} bytes of ${bytes.length}`);
  const [json, starts, entries, firsts, merges, scores, charsmaps] = sections;
  let parts: Prepared["parts"];
  try {
    parts = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(json));
    need(parts, "config", "object");
  } catch (error) {
    throw fault((error as Error).message);
  }
  const { width, float, longest } = need<Part>(parts, "model", "object");
  if ((width !== 2 && width !== 3) || (float !== 4 && float !== 8) || scores.length % float)
    throw fault("its numbers are of no known size");
  if (!isId(longest) || (longest as number) > LONGEST) throw fault(`its longest token has ${longest} bytes`);
  return {
    parts,
    vocab: new Vocab(starts, entries, width),
    merges: new Merges(firsts, merges, width),
    scores: new (float === 4 ? Float32Array : Float64Array)(scores.slice().buffer),
    charsmaps,
  };
}
