/** What a tensor of a file may be made of; its dtype is that of its numbers. */
interface Writable {
  readonly data: Float32Array | Int32Array | Uint8Array;
  readonly dims: readonly number[];
}

/** A safetensors file of F32, I32 and U8 tensors (https://github.com/huggingface/safetensors#format); data begins at a multiple of 8. */
export function writeSafetensors(
  tensors: Readonly<Record<string, Writable>>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let size = 0;
  for (const [name, { data, dims }] of Object.entries(tensors)) {
    header[name] = {
      dtype: data instanceof Int32Array ? "I32" : data instanceof Uint8Array ? "U8" : "F32",
      shape: dims,
      data_offsets: [size, size + data.byteLength],
    };
    size += data.byteLength;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const start = 8 + ((text.length + 7) & ~7);
  const bytes = new Uint8Array(start + size).fill(0x20, 8, start);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(start - 8), true);
  bytes.set(text, 8);
  let at = start;
  for (const { data } of Object.values(tensors)) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}
