import { FormatError } from "../errors.ts";
import { byteReader, take } from "../format/read.ts";
import { readHeader } from "../format/safetensors.ts";
import { writeSafetensors } from "../format/writeSafetensors.ts";
import { Tensor } from "../tensor.ts";

const FILE = "vector index";
const METADATA = "wattention.ids";

export interface IndexFile {
  ids: string[];
  /** [n, dim] */
  vectors: Tensor;
  /** What the caller of `save` added. */
  metadata: Readonly<Record<string, string>>;
}

/** A vector index as a safetensors file: `vectors`, with the ids in the metadata. */
export function writeIndex({ ids, vectors, metadata }: IndexFile): Uint8Array {
  return writeSafetensors({ vectors }, { ...metadata, [METADATA]: JSON.stringify(ids) });
}

/** @throws FormatError if the bytes are no saved index */
export async function readIndex(bytes: Uint8Array): Promise<IndexFile> {
  const reader = byteReader(bytes);
  const { tensors, metadata, start } = await readHeader(reader, FILE);
  const info = tensors.get("vectors");
  if (tensors.size !== 1 || info?.dtype !== "F32" || info.shape.length !== 2)
    throw new FormatError(FILE, "has no vectors [n, dim] of F32 alone");
  const [n, dim] = info.shape;
  let ids: unknown;
  try {
    ids = JSON.parse(metadata[METADATA]);
  } catch {
    throw new FormatError(FILE, `its ${METADATA} are no JSON`);
  }
  if (!Array.isArray(ids) || ids.length !== n || new Set(ids).size !== n || ids.some((id) => typeof id !== "string"))
    throw new FormatError(FILE, `needs ${n} different ids`);
  const data = await take(reader, n * dim * 4);
  if (data.length < n * dim * 4) throw new FormatError(FILE, "is cut off", start + data.length);
  return { ids, vectors: new Tensor(new Float32Array(data.buffer, 0, n * dim), info.shape), metadata };
}
