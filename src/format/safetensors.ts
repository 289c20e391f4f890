/** safetensors (https://github.com/huggingface/safetensors#format): u64 length, JSON header, then the tensors' bytes without a gap. */

import { FormatError, throwIfAborted } from "../errors.ts";
import type { ByteReader } from "../platform.ts";
import { brief, type Json, parseJson, take } from "./read.ts";

/** Every dtype of the specification; which ones a model can use is its loader's affair. */
export type Dtype =
  | "BOOL"
  | `${"U" | "I"}${8 | 16 | 32 | 64}`
  | `F${4 | 16 | 32 | 64}`
  | "BF16"
  | "C64"
  | `F6_${"E2M3" | "E3M2"}`
  | `F8_${"E5M2" | "E4M3" | "E8M0" | "E4M3FNUZ" | "E5M2FNUZ"}`;
const DTYPE = /^(BOOL|[UI](8|16|32|64)|F(4|16|32|64)|BF16|C64|F6_E(2M3|3M2)|F8_E(8M0|(5M2|4M3)(FNUZ)?))$/;

export interface TensorInfo {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** First byte and the one after the last, counted from the start of the data. */
  readonly begin: number;
  readonly end: number;
}

export interface Header {
  /** In the order of their bytes. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: Readonly<Record<string, string>>;
  /** Offset of the data in the file, and its length. */
  readonly start: number;
  readonly bytes: number;
}

/** Where a tensor's bytes go. */
export interface Target {
  /** A view to fill, asked for before every read since memory may have moved: not empty, and of whole rows. */
  window(): Uint8Array;
  /** The first `bytes` of the last window are filled. */
  flush(bytes: number): void | Promise<void>;
}

/** Called for every tensor in the order of its bytes; undefined skips it. One of no bytes gets no window. */
export type Sink<T extends TensorInfo = TensorInfo> = (info: T) => Target | undefined;

export interface StreamOptions {
  signal?: AbortSignal;
  /** The bytes that came since the last call; they add up to `Header.bytes`. */
  onProgress?(bytes: number): void;
}

export interface CheckpointTensor extends TensorInfo {
  /** The file it is in; `begin` and `end` count within that one. */
  readonly file: string;
}

export interface Checkpoint {
  /** In the order in which `stream` meets them. */
  readonly tensors: ReadonlyMap<string, CheckpointTensor>;
  /** That of the first file. */
  readonly metadata: Header["metadata"];
  /** What `stream` will read, over all files. */
  readonly bytes: number;
  /** Streams all tensors, file after file, and closes the files. Works once. @throws FormatError, AbortError */
  stream(sink: Sink<CheckpointTensor>, options?: StreamOptions): Promise<void>;
  close(): Promise<void>;
}

/** The specification's own limit. */
const HEADER_LIMIT = 1e8;

export const dtypeBits = (dtype: Dtype): number => +(/\d+/.exec(dtype)?.[0] ?? 8);

const isObject = (v: unknown): v is Json => typeof v === "object" && !!v && !Array.isArray(v);
const isSize = (v: unknown): v is number => Number.isSafeInteger(v) && (v as number) >= 0;

/**
 * Reads and checks a header, and leaves `reader` at the data; `begun` are the first 8 bytes, where they were read already.
 * @throws FormatError at anything that the specification forbids.
 */
export async function readHeader(reader: ByteReader, file: string, begun?: Uint8Array<ArrayBuffer>): Promise<Header> {
  const fail = (detail: string, offset = 8): never => {
    throw new FormatError(file, detail, offset);
  };
  // No comparison with NaN is true.
  const size = reader.size ?? Number.NaN;
  const prefix = begun ?? (await take(reader, 8));
  if (prefix.length < 8) fail("is too short for a safetensors file", prefix.length);
  const view = new DataView(prefix.buffer, prefix.byteOffset);
  const length = view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32;
  const start = 8 + length;
  if (length > HEADER_LIMIT || start > size) fail(`cannot have a header of ${length} bytes`, 0);
  const text = await take(reader, length);
  if (text.length < length) fail("ends within its header", 8 + text.length);
  // The specification's rule; white space or a byte order mark would get past the JSON parser.
  if (text[0] !== 0x7b) fail("must begin its header with {");

  const json = parseJson(text, file, false, 8);
  const metadata = "__metadata__" in json ? json.__metadata__ : {};
  if (!isObject(metadata) || Object.values(metadata).some((v) => typeof v !== "string"))
    return fail("must have strings in its __metadata__");
  let keys = Object.keys(json).length + Object.keys(metadata).length;
  const infos: TensorInfo[] = [];
  for (const [name, info] of Object.entries(json)) {
    if (name === "__metadata__") continue;
    const tensor = `tensor "${brief(name)}"`;
    if (!isObject(info) || Object.keys(info).length !== 3)
      return fail(`${tensor} must have dtype, shape and data_offsets, and no more`);
    const { dtype, shape, data_offsets } = info as { dtype: Dtype; shape: number[]; data_offsets: number[] };
    if (typeof dtype !== "string" || !DTYPE.test(dtype)) fail(`${tensor} has the unknown dtype ${brief(dtype)}`);
    let count = 1;
    // Step by step: a product beyond 2^53 is a lie even where a later dim is 0.
    const fits = (dim: unknown) => {
      count *= isSize(dim) ? dim : Number.NaN;
      return isSize(count);
    };
    if (!Array.isArray(shape) || !shape.every(fits)) fail(`${tensor} has an impossible shape`);
    if (!Array.isArray(data_offsets) || data_offsets.length !== 2 || !data_offsets.every(isSize))
      fail(`${tensor} has impossible data_offsets`);
    const [begin, end] = data_offsets;
    if ((end - begin) * 8 !== count * dtypeBits(dtype))
      fail(`${tensor} cannot have ${count} × ${dtype} in bytes ${begin} to ${end}`, start + begin);
    keys += 3;
    infos.push({ name, dtype, shape, begin, end });
  }
  infos.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let bytes = 0;
  for (const { name, begin, end } of infos) {
    if (begin !== bytes)
      fail(`tensor "${brief(name)}" begins at ${begin}, the one before it ends at ${bytes}`, start + begin);
    bytes = end;
  }
  // A parser keeps the last of equal keys. But each key has a colon in the text, outside of strings.
  for (let i = 0, quoted = false; i < length; i++)
    if (text[i] === 0x22) quoted = !quoted;
    else if (quoted) i += +(text[i] === 0x5c);
    else keys -= +(text[i] === 0x3a);
  if (keys) fail("has a key twice in its header");
  const end = start + bytes;
  if (end < size || end > size) fail(`has ${size} bytes where its header tells of ${end}`, Math.min(size, end));
  return {
    tensors: new Map(infos.map((info) => [info.name, info])),
    metadata: metadata as Header["metadata"],
    start,
    bytes,
  };
}

/**
 * Reads the data from where `readHeader` left it, each tensor's bytes straight into the windows that `sink` gives.
 * @throws FormatError if the file ends too soon or goes on after the last tensor, AbortError.
 */
export async function streamTensors(
  reader: ByteReader,
  file: string,
  header: Header,
  sink: Sink,
  { signal, onProgress }: StreamOptions = {},
): Promise<void> {
  let unwanted: Uint8Array | undefined;
  for (const info of header.tensors.values()) {
    const target = sink(info);
    for (let at = info.begin; at < info.end; ) {
      throwIfAborted(signal);
      if (!target) unwanted ??= new Uint8Array(1 << 18);
      const part = (target?.window() ?? unwanted!).subarray(0, info.end - at);
      const n = await reader.read(part);
      if (n < part.length || !n)
        throw new FormatError(file, `ends within tensor "${brief(info.name)}"`, header.start + at + n);
      throwIfAborted(signal);
      await target?.flush(n);
      onProgress?.(n);
      at += n;
    }
  }
  if (await reader.read(new Uint8Array(1)))
    throw new FormatError(file, "has bytes after its tensors", header.start + header.bytes);
}
