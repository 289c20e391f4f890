import { Option } from "commander";
import { pipeline, type Tensor } from "../host/node.ts";
import type { FeatureExtractionOptions } from "../tasks/featureExtraction.ts";
import {
  type CommonOptions,
  calling,
  command,
  digits,
  loading,
  reading,
  readTexts,
  type TextOptions,
  UsageError,
  write,
} from "./io.ts";

interface Options extends CommonOptions, TextOptions {
  pooling?: NonNullable<FeatureExtractionOptions["pooling"]>;
  normalize?: boolean;
  promptName?: string;
  format: "jsonl" | "json" | "npy";
}

/** Texts of one call: enough to keep the engine busy, few enough that results flow. */
const PART = 64;

const MODES = ["mean", "max", "cls", "lasttoken", "mean_sqrt_len_tokens", "weightedmean", "none"];

/** The head of a NumPy file (format 1.0) of f32 in rows. */
function npyHead(dims: readonly number[]): Uint8Array {
  const about = `{'descr': '<f4', 'fortran_order': False, 'shape': (${dims.join(", ")}), }`;
  const length = Math.ceil((about.length + 11) / 64) * 64 - 10;
  return Buffer.concat([
    Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, length & 255, length >> 8),
    Buffer.from(`${about.padEnd(length - 1)}\n`),
  ]);
}

/** Nested arrays of a tensor, its numbers as short as they can be. */
function json({ data, dims }: Tensor, axis = 0, at = 0): string {
  const size = dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  const parts = Array.from({ length: dims[axis] }, (_, i) =>
    axis + 1 === dims.length ? digits(data[at + i]) : json({ data, dims } as Tensor, axis + 1, at + i * size),
  );
  return `[${parts.join(",")}]`;
}

export const embed = reading(
  command("embed", "Turn texts into vectors: one JSON array a line.", [
    'embed "a cat" "a dog"',
    "embed --file lines.txt --format npy > vectors.npy",
    "embed --model sentence-transformers/all-MiniLM-L6-v2 --json < lines.txt",
  ]).argument("[texts...]", "without them: --file, or standard input, a text a line (an empty line is one too)"),
)
  .addOption(new Option("--pooling <mode>", "default: what the model's folder says, else mean").choices(MODES))
  .option("--normalize", "to length 1; default: what the model's folder says")
  .option("--no-normalize", "leave the length as it is")
  .option("--prompt-name <name>", "put one of the folder's prompts before each text")
  .addOption(
    new Option("--format <format>", "json is what --json gives").choices(["jsonl", "json", "npy"]).default("jsonl"),
  )
  .action(async (args: string[], o: Options) => {
    const format = o.json ? "json" : o.format;
    if (format === "npy" && process.stdout.isTTY) throw new UsageError("npy is no text: redirect standard output");
    if (format === "npy" && o.pooling === "none")
      throw new UsageError("npy holds one vector a text: --pooling none has more");
    const texts = await readTexts(args, o, "text", true);
    const extract = await pipeline("feature-extraction", o.model, loading({ ...o, json: format === "json" }));
    const { progress_callback, ...call } = calling("embedding", { json: format === "json" });
    const pooling = o.pooling ?? (extract.pools ? undefined : "mean");
    const vectors = async (part: string[]) =>
      extract(part, { ...call, pooling, normalize: o.normalize, prompt_name: o.promptName });

    let dims: readonly number[] = [];
    let done = 0;
    const part = pooling === "none" ? 1 : PART; // one by one: no padding
    do {
      const tensor = await vectors(texts.slice(done, done + part));
      const n = tensor.dims[0];
      const rows = () => Array.from({ length: n }, (_, i) => json(tensor.row(i)));
      if (!done) {
        dims = [texts.length, ...tensor.dims.slice(1)];
        if (format === "npy") await write(npyHead(dims));
        if (format === "json") await write(`{${pooling === "none" ? "" : `"dims":[${dims}],`}"vectors":[\n`);
      }
      if (format === "npy") await write(new Uint8Array(tensor.data.buffer));
      else if (n) await write(format === "json" ? (done ? ",\n" : "") + rows().join(",\n") : `${rows().join("\n")}\n`);
      done += n;
      progress_callback({ done, total: texts.length });
    } while (done < texts.length);
    if (format === "json") await write("\n]}\n");
    extract.dispose();
  });
