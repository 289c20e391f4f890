import { byteReader } from "../../src/format/read.ts";
import { type Header, readHeader, type Sink, streamTensors, type TensorInfo } from "../../src/format/safetensors.ts";
import type { ByteReader, Folder } from "../../src/platform.ts";

/** A sink that gathers tensors, through windows of `window` rows. */
export function gather(rows = 3): { sink: Sink; data: Map<string, Uint8Array> } {
  const data = new Map<string, Uint8Array>();
  const sink = ({ name, shape, begin, end }: TensorInfo) => {
    const size = end - begin;
    const row = size / (shape[0] || 1) || 1;
    const all = new Uint8Array(size);
    let at = 0;
    data.set(name, all);
    let window: Uint8Array;
    return {
      window: () => {
        window = new Uint8Array(Math.ceil(rows * row));
        return window;
      },
      flush: (bytes: number) => {
        all.set(window.subarray(0, bytes), at);
        at += bytes;
      },
    };
  };
  return { sink, data };
}

/** Reads a whole safetensors file through the code under test. */
export async function readTensors(
  source: Uint8Array | ByteReader,
  rows?: number,
): Promise<{ header: Header; data: Map<string, Uint8Array> }> {
  const reader = source instanceof Uint8Array ? byteReader(source) : source;
  const header = await readHeader(reader, "x.safetensors");
  const { sink, data } = gather(rows);
  await streamTensors(reader, "x.safetensors", header, sink);
  return { header, data };
}

/** Chunks of the given sizes over and over. */
export async function* chunks(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length];
    yield bytes.slice(at, at + size);
    at += size;
    if (i % sizes.length === 0 && sizes.every((n) => n === 0)) throw new Error("no progress");
  }
}

export const folderOf = (files: Readonly<Record<string, Uint8Array>>, opened: string[] = []): Folder => ({
  name: "a test",
  async open(path) {
    opened.push(path);
    return Object.hasOwn(files, path) ? byteReader(files[path]) : undefined;
  },
});
