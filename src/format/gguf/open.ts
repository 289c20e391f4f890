import type { ByteReader } from "../../platform.ts";
import { byteReader } from "../read.ts";
import type { ModelFolder } from "../source.ts";
import { ggufCheckpoint } from "./checkpoint.ts";
import { ggufConfig, Metadata } from "./config.ts";
import { readGgufHeader } from "./header.ts";
import { ggufTokenizer } from "./tokenizer.ts";

/**
 * A GGUF file as a folder: config.json and the tokenizer's files as its metadata say, and its tensors as a checkpoint. `begun` are
 * its first bytes.
 * @throws FormatError, UnsupportedModelError, UnsupportedOptionError
 */
export async function openGguf(
  name: string,
  file: string,
  source: ByteReader,
  begun: Uint8Array<ArrayBuffer>,
): Promise<ModelFolder> {
  const { header, reader } = await readGgufHeader(source, file, begun);
  const metadata = new Metadata(file, header.metadata);
  const { config, undo } = ggufConfig(metadata, header);
  const checkpoint = ggufCheckpoint(file, reader, header, undo);
  let made: ReturnType<typeof ggufTokenizer>;
  const tokenizer = () => {
    made ??= ggufTokenizer(metadata);
    return made;
  };
  const files: { readonly [path: string]: () => object | undefined } = {
    "config.json": () => config,
    "tokenizer.json": () => tokenizer()?.tokenizer,
    "tokenizer_config.json": () => tokenizer()?.config,
  };
  return {
    name,
    configs: new Map(),
    checkpoint,
    async open(path) {
      const json = Object.hasOwn(files, path) ? files[path]() : undefined;
      return json && byteReader(new TextEncoder().encode(JSON.stringify(json)));
    },
    close: () => reader.close(),
  };
}
