/** A model's tensors, be they in one safetensors file or in several. */

import { FormatError, InputError, MissingFileError, throwIfAborted } from "../errors.ts";
import type { ByteReader } from "../platform.ts";
import { FORMAT } from "./packed.ts";
import { brief, readJson, safePath } from "./read.ts";
import { type Checkpoint, type CheckpointTensor, type Header, readHeader, streamTensors } from "./safetensors.ts";
import type { ModelFolder } from "./source.ts";

export type { Checkpoint, CheckpointTensor } from "./safetensors.ts";

const SINGLE = "model.safetensors";
const INDEX = `${SINGLE}.index.json`;

/**
 * Opens the weights of `folder`, or those below `prefix` in it (`"2_Dense/"`), and reads the headers of all their files. The files
 * stay open for `stream`: what they come from may be readable only once.
 * @throws MissingFileError, FormatError
 */
export async function openCheckpoint(
  folder: ModelFolder,
  { signal, prefix = "" }: { signal?: AbortSignal; prefix?: string } = {},
): Promise<Checkpoint> {
  if (folder.checkpoint && !prefix) return folder.checkpoint;
  const files: { file: string; reader: ByteReader; header?: Header }[] = [];
  const tensors = new Map<string, CheckpointTensor>();
  const close = async () => {
    for (const { reader } of files) await reader.close();
  };
  const missing = (file: string): never => {
    throw new MissingFileError(file, folder.name);
  };
  const add = async (name: string): Promise<boolean> => {
    const file = prefix + name;
    const opened = folder.opened?.file === file ? folder.opened : undefined;
    const reader = opened?.reader ?? (await folder.open(file, signal));
    if (!reader) return false;
    const entry: (typeof files)[0] = { file, reader };
    files.push(entry);
    entry.header = opened?.header ?? (await readHeader(reader, file));
    if (entry.header.metadata.format === FORMAT)
      throw new FormatError(file, "is a packed model, which is given by the path or URL of this file");
    for (const info of entry.header.tensors.values()) {
      const other = tensors.get(info.name)?.file;
      if (other) throw new FormatError(file, `has the tensor "${brief(info.name)}", which ${other} has too`);
      tensors.set(info.name, { ...info, file });
    }
    return true;
  };
  const addAll = async (names: Iterable<string>) => {
    for (const name of names) (await add(name)) || missing(prefix + name);
  };
  const addShards = async () => {
    const file = prefix + INDEX;
    const index = await readJson(folder, file, signal);
    if (!index) {
      const pickle = await folder.open(`${prefix}pytorch_model.bin`, signal);
      await pickle?.close();
      return missing(
        `${prefix + SINGLE} or ${file}${pickle ? " (its pytorch_model.bin must be converted to safetensors)" : ""}`,
      );
    }
    const map = Object.entries(index.weight_map ?? {});
    if (!map.length) throw new FormatError(file, "has no weight_map");
    await addAll(new Set(map.map(([, shard]) => safePath(shard, file))));
    for (const [name, shard] of map)
      if (tensors.get(name)?.file !== prefix + shard)
        throw new FormatError(file, `says wrongly that "${brief(name)}" is in ${shard}`);
  };
  try {
    const { weights } = folder;
    if (!prefix && weights?.length) await addAll(weights);
    else if (!(await add(SINGLE))) await addShards();
  } catch (error) {
    await close();
    throwIfAborted(signal);
    throw error;
  }
  let streamed = false;
  return {
    tensors,
    metadata: files[0].header!.metadata,
    bytes: files.reduce((sum, { header }) => sum + header!.bytes, 0),
    close,
    async stream(sink, options) {
      if (streamed) throw new InputError("a checkpoint can be streamed once");
      streamed = true;
      try {
        for (const { file, reader, header } of files) {
          await streamTensors(reader, file, header!, ({ name }) => sink(tensors.get(name)!), options);
          await reader.close();
        }
      } finally {
        await close();
      }
    },
  };
}
