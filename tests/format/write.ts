/** Writes safetensors files for tests. */

export interface Written {
  dtype: string;
  shape: number[];
  data: ArrayBufferView;
}

const DTYPES = new Map<unknown, string>([
  [Float32Array, "F32"],
  [Float64Array, "F64"],
  [Int32Array, "I32"],
  [BigInt64Array, "I64"],
  [Uint8Array, "U8"],
]);

/** A tensor whose dtype follows from its array. */
export function tensor(data: ArrayBufferView, shape: number[], dtype = DTYPES.get(data.constructor)): Written {
  if (!dtype) throw new Error(`give the dtype of ${data.constructor.name}`);
  return { data, shape, dtype };
}

/** The header that describes `tensors` laid end to end in the order given. */
export function headerOf(tensors: Record<string, Written>, metadata?: Record<string, string>): Record<string, object> {
  let at = 0;
  const entries = Object.entries(tensors).map(([name, { dtype, shape, data }]): [string, object] => {
    const data_offsets = [at, at + data.byteLength];
    at += data.byteLength;
    return [name, { dtype, shape, data_offsets }];
  });
  // Not by assignment: a tensor may be called __proto__.
  return Object.fromEntries([...(metadata ? [["__metadata__", metadata] as [string, object]] : []), ...entries]);
}

/** A file of a header, given as an object or as text, and data. Text is taken as it is, an object padded to 8 bytes. */
export function assemble(header: object | string | Uint8Array, data: Uint8Array, length?: number | bigint): Uint8Array {
  let text: Uint8Array;
  if (header instanceof Uint8Array) text = header;
  else if (typeof header === "string") text = new TextEncoder().encode(header);
  else {
    const json = new TextEncoder().encode(JSON.stringify(header));
    text = new Uint8Array(Math.ceil(json.length / 8) * 8).fill(32);
    text.set(json);
  }
  const file = new Uint8Array(8 + text.length + data.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(length ?? text.length), true);
  file.set(text, 8);
  file.set(data, 8 + text.length);
  return file;
}

export function concat(parts: readonly ArrayBufferView[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((n, p) => n + p.byteLength, 0));
  let at = 0;
  for (const p of parts) {
    all.set(new Uint8Array(p.buffer, p.byteOffset, p.byteLength), at);
    at += p.byteLength;
  }
  return all;
}

export function writeSafetensors(tensors: Record<string, Written>, metadata?: Record<string, string>): Uint8Array {
  return assemble(headerOf(tensors, metadata), concat(Object.values(tensors).map((t) => t.data)));
}

export const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
