/** GGUF, the file format of ggml (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): metadata, tensor infos, aligned data. */

import { FormatError, UnsupportedOptionError } from "../../errors.ts";
import type { ByteReader } from "../../platform.ts";
import { brief } from "../read.ts";
import { BLOCKS, type BlockType } from "./blocks.ts";

/** Numbers as such, but arrays of numbers as they lie in the file. */
export type Value = number | boolean | string | readonly string[] | ArrayLike<number>;

export interface GgufTensor {
  readonly name: string;
  readonly type: BlockType;
  /** As PyTorch has them: ggml's in reverse. */
  readonly shape: readonly number[];
  /** First byte and the one after the last, counted from the start of the data. */
  readonly begin: number;
  readonly end: number;
}

export interface GgufHeader {
  readonly metadata: ReadonlyMap<string, Value>;
  /** In the order of their bytes. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  /** Offset of the data in the file, and its length with what pads it between tensors. */
  readonly start: number;
  readonly bytes: number;
  /** Bytes that may follow, which make the last tensor's a multiple of the alignment. */
  readonly padding: number;
}

/** What a header may have: more than the largest vocabularies take by ten times. */
const HEADER_LIMIT = 1e8;
/** Read at once. */
const BLOCK = 1 << 16;
/** Tensors, keys, bytes of alignment. */
const MOST = 2 ** 20;
/** "GGUF". */
const MAGIC = 0x46554747;

/** The numbers' types by their ids; 7 is bool, 8 string, 9 array. */
const NUMBERS = {
  0: Uint8Array,
  1: Int8Array,
  2: Uint16Array,
  3: Int16Array,
  4: Uint32Array,
  5: Int32Array,
  6: Float32Array,
  10: BigUint64Array,
  11: BigInt64Array,
  12: Float64Array,
} as const;
const [BOOL, STRING, ARRAY] = [7, 8, 9];

/** Bytes of a reader from a header's begin on, some of which are at hand. What is left of them is read by whoever reads on. */
class Bytes implements ByteReader {
  /** Bytes of the file that were taken. */
  at: number;
  #rest: Uint8Array<ArrayBuffer>;

  constructor(
    readonly reader: ByteReader,
    readonly file: string,
    begun: Uint8Array<ArrayBuffer>,
  ) {
    this.#rest = begun;
    this.at = 0;
  }

  get size(): number | undefined {
    return this.reader.size;
  }

  fail(detail: string): never {
    throw new FormatError(this.file, detail, this.at);
  }

  /** Whether the next `n` bytes are at hand. */
  has(n: number): boolean {
    return this.#rest.length >= n;
  }

  /** Has them come. What is held grows with what comes: a file that lies about a length takes no memory. */
  async fill(n: number): Promise<void> {
    if (n > HEADER_LIMIT - this.at) this.fail(`cannot have ${n} bytes more in its header`);
    if (this.at + n > (this.size ?? Number.POSITIVE_INFINITY)) this.fail("ends within its header");
    while (!this.has(n)) {
      const more = new Uint8Array(Math.max(BLOCK, this.#rest.length));
      const got = await this.reader.read(more);
      if (!got) this.fail("ends within its header");
      const all = new Uint8Array(this.#rest.length + got);
      all.set(this.#rest);
      all.set(more.subarray(0, got), this.#rest.length);
      this.#rest = all;
    }
  }

  /** The next `n` bytes, which are at hand: a view, of any alignment. */
  take(n: number): Uint8Array<ArrayBuffer> {
    const taken = this.#rest.subarray(0, n);
    this.#rest = this.#rest.subarray(n);
    this.at += n;
    return taken;
  }

  view(n: number): DataView {
    const { buffer, byteOffset } = this.take(n);
    return new DataView(buffer, byteOffset, n);
  }

  async u32(): Promise<number> {
    if (!this.has(4)) await this.fill(4);
    return this.view(4).getUint32(0, true);
  }

  async u64(): Promise<number> {
    if (!this.has(8)) await this.fill(8);
    return this.#u64();
  }

  #u64(): number {
    const view = this.view(8);
    const n = view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32;
    return Number.isSafeInteger(n) ? n : this.fail(`cannot have a size of ${n}`);
  }

  async string(): Promise<string> {
    return (await this.strings(1))[0];
  }

  async strings(count: number): Promise<string[]> {
    const all: string[] = [];
    for (let i = 0; i < count; i++) {
      // A promise for each of half a million tokens and merges would take longer than all the rest.
      if (!this.has(8)) await this.fill(8);
      const n = this.#u64();
      if (!this.has(n)) await this.fill(n);
      try {
        all.push(TEXT.decode(this.take(n)));
      } catch {
        this.fail("has a string that is no UTF-8");
      }
    }
    return all;
  }

  async read(into: Uint8Array): Promise<number> {
    const part = this.take(Math.min(into.length, this.#rest.length));
    into.set(part);
    const got = part.length < into.length ? await this.reader.read(into.subarray(part.length)) : 0;
    this.at += got;
    return part.length + got;
  }

  close(): Promise<void> {
    return this.reader.close();
  }
}

const TEXT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Numbers of type `id`. 64-bit ones are refused beyond 2^53. */
async function numbers(from: Bytes, id: number, count: number): Promise<ArrayLike<number>> {
  const Kind = NUMBERS[id as keyof typeof NUMBERS];
  if (!Kind) from.fail(`has a value of the unknown type ${id}`);
  const bytes = count * Kind.BYTES_PER_ELEMENT;
  if (!from.has(bytes)) await from.fill(bytes);
  const all = new Kind(from.take(bytes).slice().buffer);
  if (all instanceof BigUint64Array || all instanceof BigInt64Array)
    return Array.from(all, (n) =>
      Number.isSafeInteger(Number(n)) ? Number(n) : from.fail(`cannot have the number ${n}`),
    );
  return all;
}

async function value(from: Bytes, type: number): Promise<Value> {
  if (type === STRING) return from.string();
  if (type !== ARRAY) return scalar(from, type);
  const of = await from.u32();
  const count = await from.u64();
  // Each element takes a byte at least, so that a count is a lie long before it is dangerous.
  if (count > HEADER_LIMIT) from.fail(`cannot have an array of ${count}`);
  if (of === STRING) return from.strings(count);
  return numbers(from, of === BOOL ? 0 : of, count);
}

async function scalar(from: Bytes, type: number): Promise<number | boolean> {
  const [n] = Array.from(await numbers(from, type === BOOL ? 0 : type, 1));
  if (type !== BOOL) return n;
  return n > 1 ? from.fail(`has a bool of ${n}`) : n === 1;
}

async function tensor(from: Bytes, end: number, alignment: number): Promise<GgufTensor> {
  const name = await from.string();
  const dims = await from.u32();
  if (dims < 1 || dims > 4) from.fail(`tensor "${brief(name)}" cannot have ${dims} dims`);
  const shape: number[] = [];
  let count = 1;
  for (let i = 0; i < dims; i++) {
    const dim = await from.u64();
    count *= dim;
    // Step by step: a product beyond 2^53 is a lie even where a later dim is 0.
    if (!Number.isSafeInteger(count)) from.fail(`tensor "${brief(name)}" has an impossible shape`);
    shape.unshift(dim);
  }
  const id = await from.u32();
  const type = BLOCKS.find((b) => b.id === id);
  if (!type) {
    const known = BLOCKS.map((b) => b.name);
    throw new UnsupportedOptionError(`${from.file}: type of tensor ${brief(name)}`, id, known);
  }
  const begin = await from.u64();
  const last = shape[dims - 1];
  if (!count || last % type.size) from.fail(`tensor "${brief(name)}" cannot have ${type.name} in rows of ${last}`);
  if (begin !== aligned(end, alignment))
    from.fail(`tensor "${brief(name)}" begins at ${begin}, the one before it ends at ${end}`);
  return { name, type, shape, begin, end: begin + (count / type.size) * type.bytes };
}

const aligned = (n: number, alignment: number) => Math.ceil(n / alignment) * alignment;

/**
 * Reads and checks a header whose first bytes are `begun`; `reader` stands at the data afterwards.
 * @throws FormatError at anything that is not as the format says, UnsupportedOptionError for another version or type of tensor
 */
export async function readGgufHeader(
  source: ByteReader,
  file: string,
  begun: Uint8Array<ArrayBuffer>,
): Promise<{ header: GgufHeader; reader: ByteReader }> {
  const from = new Bytes(source, file, begun);
  if ((await from.u32()) !== MAGIC) from.fail("is no GGUF file");
  const version = await from.u32();
  if (version < 2 || version > 3) throw new UnsupportedOptionError(`${file}: version of GGUF`, version, [2, 3]);
  const count = await from.u64();
  const keys = await from.u64();
  if (count > MOST || keys > MOST) from.fail(`cannot have ${count} tensors and ${keys} keys`);

  const metadata = new Map<string, Value>();
  for (let i = 0; i < keys; i++) {
    const key = await from.string();
    if (metadata.has(key)) from.fail(`has the key "${brief(key)}" twice`);
    metadata.set(key, await value(from, await from.u32()));
  }
  const alignment = metadata.get("general.alignment") ?? 32;
  if (typeof alignment !== "number" || alignment < 1 || alignment > MOST || alignment & (alignment - 1))
    return from.fail(`has an alignment of ${brief(alignment)}`);

  const tensors = new Map<string, GgufTensor>();
  let bytes = 0;
  for (let i = 0; i < count; i++) {
    const t = await tensor(from, bytes, alignment);
    if (tensors.has(t.name)) from.fail(`has the tensor "${brief(t.name)}" twice`);
    tensors.set(t.name, t);
    bytes = t.end;
  }
  const start = aligned(from.at, alignment);
  const size = source.size ?? Number.NaN; // no comparison with NaN is true
  const padding = aligned(bytes, alignment) - bytes;
  if (start + bytes > size || start + bytes + padding < size)
    from.fail(`has ${size} bytes where its header tells of ${start + bytes}`);
  const gap = start - from.at;
  if ((await from.read(new Uint8Array(gap))) < gap) from.fail("ends behind its header");
  return { header: { metadata, tensors, start, bytes, padding }, reader: from };
}
