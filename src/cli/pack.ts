import { open, stat } from "node:fs/promises";
import { pack as make } from "../host/node.ts";
import { platform } from "../platform.ts";
import { type CommonOptions, command, loading, megabytes, signal, UsageError, writeJson, writeLine } from "./io.ts";

interface Options extends CommonOptions {
  output: string;
  force?: boolean;
}

export const pack = command("pack", "Make one file of a model: smaller, and loaded as fast as it is read.", [
  "pack ./all-MiniLM-L6-v2 -o minilm-q8.safetensors",
  "pack sentence-transformers/all-MiniLM-L6-v2 --dtype q4 -o minilm-q4.safetensors",
  'embed "a cat" --model minilm-q8.safetensors',
])
  .argument("[model]", "as --model")
  .requiredOption("-o, --output <file>", "what to write")
  .option("--force", "write over what is there")
  .action(async (arg: string | undefined, { model, output, force, ...o }: Options) => {
    if (arg !== undefined && model !== undefined) throw new UsageError("a model and --model: give one of them");
    if (!output.endsWith(".safetensors")) throw new UsageError(`--output ${output}: its name must end in .safetensors`);
    const there = await stat(output).catch(() => undefined);
    if (there && !force) throw new UsageError(`${output} is there already (--force writes over it)`);
    let before = 0;
    const { progress_callback, ...load } = loading(o);
    const bytes = await make(arg ?? model ?? platform().shippedModel(), {
      ...load,
      progress_callback: (p) => {
        before = p.total;
        progress_callback?.(p);
      },
    });
    signal.throwIfAborted();
    const file = await open(output, force ? "w" : "wx");
    try {
      await file.writeFile(bytes);
    } finally {
      await file.close();
    }
    if (o.json) return writeJson({ output, dtype: o.dtype ?? "q8", weights: before, bytes: bytes.length });
    await writeLine(`${output}: ${megabytes(bytes.length)}, of weights of ${megabytes(before)}`);
  });
