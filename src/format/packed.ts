/**
 * Packed models: a safetensors file whose tensors are the weights as they lie in an engine's memory, so that loading is reading
 * (docs/decisions/0011-packed-models.md). Its metadata holds the small files of the model's folder by their paths, and:
 *
 *   format     "wattention"
 *   version    of the layout of the tensors: VERSION
 *   dtype      what the weights are kept as
 *   tensors    JSON: the dims of the checkpoint's tensors by name, from which the graph is built
 *   tokenizer  bytes of the first tensor that are a prepared tokenizer (format/tokenizer/prepare.ts), where there is one
 */

import { FormatError, throwIfAborted } from "../errors.ts";
import type { ByteReader } from "../platform.ts";
import { brief, parseJson, take } from "./read.ts";
import type { Header, StreamOptions, TensorInfo } from "./safetensors.ts";

export const FORMAT = "wattention";
/** Moves when a matrix of some format lies otherwise, another format is chosen for it, or its name is made otherwise. */
export const VERSION = "2";
export const TOKENIZER = "tokenizer";

/** Bytes read at once: an abort waits for no more, and progress is seen. */
const MOST = 1 << 22;

/** An opened packed file: its tensors are read once, from the first to the last. */
export interface Packed {
  readonly file: string;
  readonly dtype: string;
  /** The checkpoint's tensors, as far as a graph asks. */
  readonly shapes: ReadonlyMap<string, { readonly shape: readonly number[] }>;
  /** The weights. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Of all tensors. */
  readonly bytes: number;
  /** The prepared tokenizer; asked for before the weights are read. */
  tokenizer(): Promise<Uint8Array | undefined>;
  /** Reads the weights to where `place` says (undefined skips one), through views that `view` gives, and closes the file. */
  read(
    place: (info: TensorInfo) => number | undefined,
    view: (at: number, length: number) => Uint8Array,
    options: StreamOptions,
  ): Promise<void>;
  close(): Promise<void>;
}

/** @throws FormatError if it is of another version */
export function openPacked(file: string, reader: ByteReader, { tensors, metadata, start, bytes }: Header): Packed {
  const { version, dtype = "", tensors: shapes = "" } = metadata;
  if (version !== VERSION)
    throw new FormatError(
      file,
      `is packed in version ${brief(version)}, this package reads ${VERSION}: make it again with wattention pack MODEL --dtype ${brief(dtype)} -o FILE`,
    );
  const first = tensors.values().next().value;
  const own = metadata.tokenizer === undefined ? undefined : first;
  const size = Number(metadata.tokenizer);
  if (metadata.tokenizer !== undefined && !(own?.name === TOKENIZER && size >= 0 && size <= own.end))
    throw new FormatError(file, `must begin with a tokenizer of ${brief(metadata.tokenizer)} bytes`);
  const weights = new Map(tensors);
  if (own) weights.delete(TOKENIZER);

  let at = 0;
  let nowhere: Uint8Array | undefined;
  /** Reads on to byte `end`: into views, or nowhere. */
  const advance = async (end: number, view: (length: number) => Uint8Array | undefined, options: StreamOptions) => {
    while (at < end) {
      throwIfAborted(options.signal);
      const length = Math.min(end - at, MOST);
      nowhere ??= view(0) ? undefined : new Uint8Array(1 << 16);
      const into = view(length) ?? nowhere!.subarray(0, length);
      const n = await reader.read(into);
      if (n < into.length) throw new FormatError(file, "ends within its tensors", start + at + n);
      at += n;
      options.onProgress?.(n);
    }
    throwIfAborted(options.signal);
  };
  return {
    file,
    dtype,
    shapes: shapesOf(shapes, file),
    tensors: weights,
    bytes,
    close: () => reader.close(),
    async tokenizer() {
      if (!own || at) return;
      // Of a stream nobody knows the length: what its header tells of may never come.
      const bytes = await take(reader, own.end, reader.size === undefined ? undefined : own.end);
      at = bytes.length;
      if (at < own.end) throw new FormatError(file, "ends within its tensors", start + at);
      return bytes.subarray(0, size);
    },
    async read(place, view, options) {
      try {
        if (at) options.onProgress?.(at);
        if (own) await advance(own.end, () => undefined, options);
        // What lies together in the file and in memory is read together.
        const spans: { to: number | undefined; begin: number; end: number }[] = [];
        for (const info of weights.values()) {
          const to = place(info);
          const last = spans.at(-1);
          const next = last?.to === undefined ? undefined : last.to + last.end - last.begin;
          if (last && to === next) last.end = info.end;
          else spans.push({ to, begin: info.begin, end: info.end });
        }
        for (const { to, begin, end } of spans)
          await advance(end, (length) => (to === undefined ? undefined : view(to + at - begin, length)), options);
        if (await reader.read(new Uint8Array(1)))
          throw new FormatError(file, "has bytes after its tensors", start + bytes);
      } finally {
        await reader.close();
      }
    },
  };
}

function shapesOf(text: string, file: string): Packed["shapes"] {
  const fail = (what: unknown): never => {
    throw new FormatError(file, `has no dims of ${brief(what)} in its metadata`);
  };
  const json = parseJson(new TextEncoder().encode(text), `${file}: tensors`);
  return new Map(
    Object.entries(json).map(([name, shape]) => {
      if (!Array.isArray(shape) || !shape.every((d) => Number.isSafeInteger(d) && d >= 0)) return fail(name);
      return [name, { shape: shape as number[] }];
    }),
  );
}
