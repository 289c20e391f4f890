/** The tensors of a GGUF file under the names, in the order and with the numbers that the model's checkpoint has. */

import { FormatError, InputError, throwIfAborted } from "../../errors.ts";
import type { ByteReader } from "../../platform.ts";
import type { Checkpoint, CheckpointTensor } from "../checkpoint.ts";
import { brief } from "../read.ts";
import type { Target } from "../safetensors.ts";
import type { BlockType } from "./blocks.ts";
import type { GgufHeader, GgufTensor } from "./header.ts";

/** What llama.cpp's converter did to a tensor, to be undone. */
export interface Undo {
  /** The name in the model's checkpoint. */
  readonly name: string;
  /** Rows of this many heads are interleaved: the halves of each are to follow each other. */
  readonly heads?: number;
  /** Was added to each number. */
  readonly added?: number;
  /** Rows were made columns. */
  readonly transposed?: boolean;
  /** Numbers are divisors. */
  readonly divisors?: boolean;
}

/** Bytes of rows that are read at once. */
const CHUNK = 1 << 18;

/** @throws FormatError if two tensors have one name */
export function ggufCheckpoint(
  file: string,
  reader: ByteReader,
  { tensors, start, bytes, padding }: GgufHeader,
  undo: (tensor: GgufTensor) => Undo,
): Checkpoint {
  const all = new Map<string, CheckpointTensor & { readonly from: GgufTensor; readonly undo: Undo }>();
  for (const from of tensors.values()) {
    const done = undo(from);
    const { name, transposed, added, divisors, heads = 1 } = done;
    const { type, begin, end, shape } = from;
    if (all.has(name)) throw new FormatError(file, `has the tensor "${brief(name)}" twice`);
    if (heads > 1 && (shape[0] % (2 * heads) || (shape.length === 1 && type.size > 1)))
      throw new FormatError(file, `tensor "${brief(from.name)}" has no ${heads} heads in ${shape[0]} rows`);
    const changed = added || divisors || transposed || type.size > 1;
    const dtype = changed ? "F32" : (type.name as "F32" | "F16" | "BF16");
    all.set(name, { name, dtype, shape: transposed ? shape.toReversed() : shape, begin, end, file, from, undo: done });
  }
  let streamed = false;
  return {
    tensors: all,
    metadata: {},
    bytes: bytes + padding,
    close: () => reader.close(),
    async stream(sink, { signal, onProgress } = {}) {
      if (streamed) throw new InputError("a checkpoint can be streamed once");
      streamed = true;
      try {
        let at = 0;
        const read = async (n: number) => {
          throwIfAborted(signal);
          const raw = new Uint8Array(n);
          const got = await reader.read(raw);
          throwIfAborted(signal);
          if (got < n) throw new FormatError(file, "ends within its tensors", start + at + got);
          at += n;
          onProgress?.(n);
          return raw;
        };
        const skip = async (to: number) => {
          while (at < to) await read(Math.min(CHUNK, to - at));
        };
        for (const t of all.values()) {
          await skip(t.begin);
          const target = sink(t);
          if (target) await pour(t, target, read);
          else await skip(t.end);
        }
        const tail = new Uint8Array(padding + 1);
        const left = await reader.read(tail);
        if (left > padding) throw new FormatError(file, "has bytes after its tensors", start + bytes + padding);
        onProgress?.(padding);
      } finally {
        await reader.close();
      }
    },
  };
}

/** Reads a tensor, some whole rows at a time, and fills the target's windows with what they are in the checkpoint. */
async function pour(
  { dtype, from: { type, shape }, undo }: CheckpointTensor & { from: GgufTensor; undo: Undo },
  target: Target,
  read: (n: number) => Promise<Uint8Array>,
): Promise<void> {
  const cols = undo.heads && shape.length === 1 ? 1 : shape[shape.length - 1];
  const rows = shape.reduce((a, b) => a * b, 1) / cols;
  const row = (cols / type.size) * type.bytes;
  const few = undo.transposed ? rows : undo.heads ? rows / undo.heads : 1;
  const group = few * Math.max(1, Math.floor(CHUNK / (few * row)));
  const total = rows * cols * (dtype === "F32" ? 4 : 2);
  let ready = new Uint8Array(0);
  for (let at = 0, done = 0; at < total; ) {
    const want = Math.min(target.window().length, total - at);
    while (ready.length < want) {
      const n = Math.min(group, rows - done);
      done += n;
      const raw = deinterleaved(await read(n * row), few, row, undo.heads);
      const made = dtype === "F32" ? bytesOf(changed(numbers(raw, type), undo, cols)) : raw;
      const both = new Uint8Array(ready.length + made.length);
      both.set(ready);
      both.set(made, ready.length);
      ready = both;
    }
    // Asked for again: memory may have moved.
    target.window().set(ready.subarray(0, want));
    ready = ready.subarray(want);
    await target.flush(want);
    at += want;
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) => new Uint8Array(buffer, byteOffset, byteLength);

/** llama.cpp rotates neighbours, transformers halves: rows 0, 2, 4 … of each head come first. */
function deinterleaved(raw: Uint8Array, head: number, row: number, heads?: number): Uint8Array {
  if (!heads) return raw;
  const out = new Uint8Array(raw.length);
  for (let r = 0; r < raw.length / row; r++) {
    const i = r % head;
    const to = r - i + (i >> 1) + (i & 1) * (head / 2);
    out.set(raw.subarray(r * row, (r + 1) * row), to * row);
  }
  return out;
}

function numbers(raw: Uint8Array, { unpack, size, bytes }: BlockType): Float32Array {
  const out = new Float32Array((raw.length / bytes) * size);
  if (unpack) for (let at = 0, n = 0; at < raw.length; at += bytes, n += size) unpack(raw, at, out, n);
  else bytesOf(out).set(raw);
  return out;
}

function changed(x: Float32Array, { added, divisors, transposed }: Undo, cols: number): Float32Array {
  if (added) for (let i = 0; i < x.length; i++) x[i] -= added;
  if (divisors) for (let i = 0; i < x.length; i++) x[i] = 1 / x[i];
  if (!transposed) return x;
  const out = new Float32Array(x.length);
  const rows = x.length / cols;
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) out[c * rows + r] = x[r * cols + c];
  return out;
}
