import { InputError } from "../errors.ts";
import { openModel } from "../format/open.ts";
import { FORMAT, TOKENIZER, VERSION } from "../format/packed.ts";
import { byteReader, readAll, readJson } from "../format/read.ts";
import type { ModelFolder, ModelSource } from "../format/source.ts";
import { prepareTokenizer } from "../format/tokenizer/prepare.ts";
import { writeSafetensors } from "../format/writeSafetensors.ts";
import { type LoadOptions, loadOpened, open } from "../models/model.ts";
import { sentenceModules } from "./featureExtraction.ts";
import { tokenizerFiles } from "./text.ts";

/** See pipeline.ts. */
export async function pack(source: ModelSource, given: LoadOptions = {}): Promise<Uint8Array> {
  const { dtype = "q8" } = given;
  const options = { ...given, dtype };
  const { signal } = options;
  const folder = await openModel(source, options);
  try {
    if (folder.packed) throw new InputError(`${folder.name} is packed already`);
    const files = new Map<string, string>();
    const watched = watch(folder, files);
    const { st, added } = await sentenceModules(watched, signal);
    // Rerankers have it too, though they have no modules.
    await readJson(watched, "config_sentence_transformers.json", signal);
    const tokenizer = await tokenizerFiles(folder, added.prefix, { signal, chat: true });
    const prepared = tokenizer && (await prepareTokenizer(...tokenizer));

    const opened = await open(watched, { ...options, ...(st && added) });
    const { session, done } = await loadOpened(opened, options);
    const { memory } = session.engine;
    const tensors: Parameters<typeof writeSafetensors>[0] = {
      ...(prepared && { [TOKENIZER]: padded(prepared) }),
      ...Object.fromEntries(
        session.layout.weights.images.map(({ name, at, bytes, quantized }) => {
          const data = quantized ? memory.u8(at, bytes) : memory.f32(at, bytes / 4);
          return [name, { data, dims: [data.length] }];
        }),
      ),
    };
    const shapes = Object.fromEntries(Array.from(opened.shapes, ([name, { shape }]) => [name, shape]));
    const metadata = {
      format: FORMAT,
      version: VERSION,
      dtype,
      ...(prepared && { tokenizer: String(prepared.length) }),
      ...Object.fromEntries(Array.from(files, ([path, text]) => [path, JSON.stringify(JSON.parse(text))])),
      tensors: JSON.stringify(shapes),
    };
    const bytes = writeSafetensors(tensors, metadata);
    session.dispose();
    done();
    return bytes;
  } finally {
    await folder.close?.();
  }
}

/** The folder, with the JSON files that are read of it put into `files`: what loading needs is what loading reads. */
function watch(folder: ModelFolder, files: Map<string, string>): ModelFolder {
  return {
    ...folder,
    configs: new Map(), // none that is not in `files`
    async open(path, signal) {
      const reader = await folder.open(path, signal);
      if (!reader || !path.endsWith(".json") || path.endsWith(".safetensors.index.json")) return reader;
      const bytes = await readAll(reader, path);
      files.set(path, new TextDecoder().decode(bytes));
      return byteReader(bytes);
    },
  };
}

/** So that floats behind it stand at multiples of their size. */
function padded(bytes: Uint8Array) {
  const data = new Uint8Array((bytes.length + 63) & ~63);
  data.set(bytes);
  return { data, dims: [data.length] };
}
