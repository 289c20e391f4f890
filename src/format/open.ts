import { MissingFileError, throwIfAborted } from "../errors.ts";
import { FORMAT, openPacked } from "./packed.ts";
import { byteReader, take } from "./read.ts";
import { type Header, readHeader } from "./safetensors.ts";
import { type ModelFolder, type ModelSource, openFolder, type SourceOptions } from "./source.ts";

/**
 * Opens a source. Of a file, the header is read, since only that says whether it is GGUF or a packed model; `close` the folder unless a load
 * comes of it.
 * @throws what openFolder throws, FormatError, MissingFileError
 */
export async function openModel(
  source: ModelSource,
  options: SourceOptions & { signal?: AbortSignal } = {},
): Promise<ModelFolder> {
  const folder = await openFolder(source, options);
  if (folder.configs) return folder; // this function gave it
  const { signal } = options;
  const { name, weights } = folder;
  const found: ModelFolder = { name, weights, configs: new Map(), open: folder.open.bind(folder) };
  if (folder === source || weights?.length !== 1) return found;
  const [file] = weights;
  const reader = await folder.open(file, signal);
  if (!reader) throw new MissingFileError(file, name);
  try {
    const begun = await take(reader, 8);
    if (begun[0] === 0x47 && begun[1] === 0x47 && begun[2] === 0x55 && begun[3] === 0x46)
      return await (await import("./gguf/open.ts")).openGguf(name, file, reader, begun);
    const header = await readHeader(reader, file, begun);
    const close = () => reader.close();
    if (header.metadata.format !== FORMAT) return { ...found, opened: { file, reader, header }, close };
    return { ...found, packed: openPacked(file, reader, header), open: small(header.metadata), close };
  } catch (error) {
    await reader.close();
    throwIfAborted(signal);
    throw error;
  }
}

const small = (metadata: Header["metadata"]) => async (path: string) =>
  Object.hasOwn(metadata, path) ? byteReader(new TextEncoder().encode(metadata[path])) : undefined;
