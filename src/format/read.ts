/** Reading files that may lie: whole, as JSON, or chunk by chunk. */

import { FormatError, InputError } from "../errors.ts";
import type { ByteReader, Folder } from "../platform.ts";

export type Json = Record<string, unknown>;

/** Bytes at hand or on their way. A stream can be read once. */
export type ByteSource = Uint8Array | ArrayBuffer | Blob | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>;

interface Chunks {
  next(): PromiseLike<{ done?: boolean; value?: unknown }> | { done?: boolean; value?: unknown };
  return?(): unknown;
}

/** No JSON file of a model comes near this: the largest tokenizer.json known has a third of it. */
const JSON_LIMIT = 1e8;

/** What an error may show of a value from a file, which can be huge or nested deeper than the stack. */
export const brief = (value: unknown): unknown =>
  typeof value === "string"
    ? value.slice(0, 80)
    : typeof value === "object" && value
      ? `an ${Array.isArray(value) ? "array" : "object"}`
      : value;

/**
 * `name` as a file's name, or with `folders` as a path, below the folder that `file` is in.
 * @throws FormatError if it is none, leads out of the folder, or would make some host throw an error of its own.
 */
export function safePath(name: unknown, file: string, folders = false): string {
  const safe = (part: string) => /^[^\\/:\0-\x1f\ud800-\udfff]{1,255}$/u.test(part) && /[^.]/.test(part);
  if (typeof name !== "string" || !(folders ? name.split("/") : [name]).every(safe))
    throw new FormatError(file, `"${brief(name)}" is no name of a file beside it`);
  return name;
}

/** Reads chunks of any sizes as one file. */
export function chunkReader(chunks: Chunks, size?: number): ByteReader {
  let rest = new Uint8Array(0);
  let ended = false;
  return {
    size,
    async read(into) {
      let n = 0;
      while (n < into.length && !ended)
        if (rest.length) {
          const part = rest.subarray(0, into.length - n);
          into.set(part, n);
          n += part.length;
          rest = rest.subarray(part.length);
        } else {
          const { done, value } = await chunks.next();
          if (done) ended = true;
          else if (value instanceof Uint8Array) rest = value as Uint8Array<ArrayBuffer>;
          else throw new InputError("a stream of weights must yield Uint8Arrays");
        }
      return n;
    },
    async close() {
      ended = true;
      try {
        await chunks.return?.();
      } catch {} // An unread rest that fails harms nobody.
    },
  };
}

export const isBytes = (v: unknown): v is ByteSource =>
  typeof v === "object" &&
  !!v &&
  (ArrayBuffer.isView(v) ||
    v instanceof ArrayBuffer ||
    v instanceof Blob ||
    "getReader" in v ||
    Symbol.asyncIterator in v);

export function byteReader(source: ByteSource): ByteReader {
  if (source instanceof ArrayBuffer) source = new Uint8Array(source);
  if (ArrayBuffer.isView(source))
    return chunkReader(
      [new Uint8Array(source.buffer, source.byteOffset, source.byteLength)].values(),
      source.byteLength,
    );
  const size = source instanceof Blob ? source.size : undefined;
  if (source instanceof Blob) source = source.stream();
  // Not every browser can iterate a ReadableStream.
  if (!("getReader" in source)) return chunkReader(source[Symbol.asyncIterator](), size);
  const reader = source.getReader();
  return chunkReader({ next: () => reader.read(), return: () => reader.cancel() }, size);
}

/** The next bytes, at most `most`. The buffer grows with what comes: a file that lies about its length takes no memory. */
export async function take(reader: ByteReader, most: number, expected = 1 << 16): Promise<Uint8Array<ArrayBuffer>> {
  let bytes = new Uint8Array(Math.min(most, expected));
  for (let n = 0; ; ) {
    n += await reader.read(bytes.subarray(n));
    if (n < bytes.length || n === most) return bytes.subarray(0, n);
    const old = bytes;
    bytes = new Uint8Array(Math.min(most, 2 * n + 16));
    bytes.set(old);
  }
}

/** The whole of a file, closed afterwards. @throws FormatError if it has more than `limit` bytes. */
export async function readAll(reader: ByteReader, file: string, limit = JSON_LIMIT): Promise<Uint8Array<ArrayBuffer>> {
  try {
    // One byte more than the file has shows its end in the same read.
    const bytes = await take(reader, limit + 1, reader.size === undefined ? undefined : reader.size + 1);
    if (bytes.length > limit) throw new FormatError(file, `has more than ${limit} bytes`);
    return bytes;
  } finally {
    await reader.close();
  }
}

/** @throws FormatError unless `bytes` are the JSON of an object (of an array, if `array`). */
export function parseJson<T extends object = Json>(bytes: Uint8Array, file: string, array = false, offset?: number): T {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    // Also a RangeError, where an engine's parser is recursive and the nesting deep.
    throw new FormatError(file, `is no JSON: ${(cause as Error).message}`, offset);
  }
  if (typeof value !== "object" || !value || Array.isArray(value) !== array)
    throw new FormatError(file, `must hold an ${array ? "array" : "object"}`, offset);
  return value as T;
}

/** A JSON file; undefined where the folder has none of that name. A config is kept in `configs`, if there are any, and read from there. */
export async function readJson<T extends object = Json>(
  folder: Folder & { readonly configs?: Map<string, unknown> },
  path: string,
  signal?: AbortSignal,
  array = false,
): Promise<T | undefined> {
  const { configs } = folder;
  if (configs?.has(path)) return configs.get(path) as T | undefined;
  const reader = await folder.open(path, signal);
  const json = reader && parseJson<T>(await readAll(reader, path), path, array);
  if (path.endsWith("config.json")) configs?.set(path, json);
  return json;
}
