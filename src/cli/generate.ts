import { readFile } from "node:fs/promises";
import { InvalidArgumentError } from "commander";
import { InputError, pipeline } from "../host/node.ts";
import type { JsonSchema } from "../tasks/constraint/schema.ts";
import {
  type CommonOptions,
  command,
  dim,
  loading,
  milliseconds,
  readText,
  signal,
  standardInput,
  UsageError,
  whole,
  write,
  writeJson,
  writeLine,
} from "./io.ts";
import { needs } from "./rerank.ts";

export interface SamplingOptions {
  maxNewTokens?: number;
  temperature?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  seed?: number;
}

interface Options extends CommonOptions, SamplingOptions {
  file?: string;
  chat?: boolean;
  system?: string;
  regex?: string;
  schema?: string;
  stop?: string[];
  stats?: boolean;
}

export const number = (value: string): number => {
  const n = value.trim() ? Number(value) : Number.NaN;
  if (Number.isFinite(n)) return n;
  throw new InvalidArgumentError("It must be a number.");
};

/** Options of generation that were given. */
export const sampling = (o: SamplingOptions) =>
  Object.fromEntries(
    Object.entries({
      max_new_tokens: o.maxNewTokens,
      temperature: o.temperature,
      top_k: o.topK,
      top_p: o.topP,
      min_p: o.minP,
      seed: o.seed,
    }).filter(([, value]) => value !== undefined),
  );

/** The model and what is left of the arguments: the model is the first of them, unless --model says it. */
export function modelFirst(
  args: readonly string[],
  { model }: CommonOptions,
): [model: string | undefined, rest: string[]] {
  return model === undefined ? [args[0], args.slice(1)] : [model, [...args]];
}

export const generate = command("generate", "Go on with a text, or answer it, with a decoder.", [
  'generate ./stories260K "Once upon a time"',
  'generate ./Qwen2.5-0.5B-Instruct "Why is the sky blue?" --chat --temperature 0.7 --seed 1 --dtype q8',
  'generate ./Qwen2.5-0.5B-Instruct "A cat with its age." --chat --schema cat.schema.json',
])
  .argument("[model]", "what --model says too")
  .argument("[prompt]", "without it: --file, or standard input, the whole of it")
  .option("-f, --file <path>", "the prompt; - is standard input")
  .option("-n, --max-new-tokens <n>", "tokens to write; default: what the checkpoint says, else 200", whole(1))
  .option("-t, --temperature <x>", "draw tokens; the higher, the less likely ones", number)
  .option("--top-k <n>", "draw among the k likeliest", whole(1))
  .option("--top-p <p>", "draw among the likeliest that have this probability together", number)
  .option("--min-p <p>", "draw among those with this share of the likeliest one's probability", number)
  .option("--seed <n>", "the same draws each time", whole(0))
  .option("--chat", "the prompt is a user's message, in the model's chat template")
  .option("--system <text>", "the system's message before it")
  .option("--stop <text...>", "ends the text")
  .option("--regex <pattern>", "the text matches it")
  .option("--schema <file>", "the text is JSON that this JSON Schema takes")
  .option("--stats", "say on standard error how fast it was")
  .action(async (first: string | undefined, second: string | undefined, o: Options) => {
    const given = [first, second].filter((a) => a !== undefined);
    const [source, [prompt, odd]] = modelFirst(given, o);
    if (odd !== undefined) throw new UsageError("a model, --model and a prompt: give one model");
    if (prompt !== undefined && o.file) throw new UsageError("a prompt and --file: give one of them");
    if (o.regex !== undefined && o.schema) throw new UsageError("--regex and --schema: give one of them");
    const schema = o.schema && schemaOf(o.schema, await readFile(o.schema, "utf8"));
    const run = await needs(source, "a decoder (such as HuggingFaceTB/SmolLM2-135M-Instruct)", (model) =>
      pipeline("text-generation", model, loading(o)),
    );
    const text = prompt ?? (await readText(o.file ?? standardInput("prompt"))).replace(/\r?\n$/, "");
    const messages = [
      { role: "system", content: o.system },
      { role: "user", content: text },
    ];
    const input = o.chat || o.system !== undefined ? messages.filter((m) => m.content !== undefined) : text;
    const chosen = run.model.generation;
    const length = chosen.max_new_tokens ?? chosen.max_length ?? 200;
    const options = {
      ...(length === 200 && { max_new_tokens: 200 }),
      ...sampling(o),
      ...(o.stop && { stop_strings: o.stop }),
      ...(o.regex !== undefined && { regex: o.regex }),
      ...(schema && { response_format: { type: "json_schema", json_schema: schema } as const }),
      signal,
    };
    const begin = performance.now();
    let [tokens, start, made] = [0, begin, ""];
    const show = !o.json;
    for await (const token of run.stream(input, options)) {
      if (!tokens++) {
        start = performance.now();
        if (show && typeof input === "string") await write(dim(input)); // now that nothing is refused any more
      }
      made += token.text;
      if (show) await write(token.text);
    }
    const end = performance.now();
    if (show) await writeLine();
    else await writeJson({ prompt: text, generated_text: made, tokens });
    if (o.stats) {
      const speed = tokens > 1 ? ((1000 * (tokens - 1)) / (end - start)).toFixed(1) : "–";
      console.error(dim(`${tokens} tokens, the first after ${milliseconds(start - begin)}, then ${speed} a second`));
    }
    run.dispose();
  });

function schemaOf(file: string, text: string): JsonSchema {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InputError(`${file} is no JSON: ${(error as Error).message}`);
  }
}
