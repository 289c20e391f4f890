import { MissingFileError } from "../errors.ts";
import { openModel } from "../format/open.ts";
import { readAll, readJson } from "../format/read.ts";
import type { ModelFolder, ModelSource } from "../format/source.ts";
import { type EncodeOptions, type Encoding, Tokenizer } from "../format/tokenizer.ts";
import { type LoadOptions, loadModel, type Model, type Modules } from "../models/model.ts";
import { platform } from "../platform.ts";
import { type EncoderInputs, positionsOf } from "../runtime/batch.ts";
import type { Tensor } from "../tensor.ts";

/** What every call of a task takes. */
export interface CallOptions {
  signal?: AbortSignal;
  /** After each part of a long input: how many of the texts are done. */
  progress_callback?: (progress: { done: number; total: number }) => void;
}

/** Tokens of one run: what stays in a few megabytes of scratch. Batching changes no bit of a result, so this is no option. */
const RUN_TOKENS = 2048;

/** The files of a folder's tokenizer: in the folder itself, or where its transformer is. */
export async function tokenizerFiles(
  folder: ModelFolder,
  prefix = "",
  { signal, chat = false }: { signal?: AbortSignal; chat?: boolean } = {},
) {
  const read = async (file: string) =>
    (await readJson(folder, file, signal)) ?? (await readJson(folder, prefix + file, signal));
  const json = await read("tokenizer.json");
  const config = json && (await read("tokenizer_config.json"));
  // Newer folders have the template of conversations in a file of its own; only who may need it asks for it.
  const template = chat && !config?.chat_template ? await folder.open("chat_template.jinja", signal) : undefined;
  const chat_template = template && new TextDecoder().decode(await readAll(template, "chat_template.jinja"));
  return json && ([json, chat_template ? { ...config, chat_template } : config] as const);
}

const typesOf = ({ token_type_ids, input_ids }: TextIds) => token_type_ids ?? input_ids.map(() => 0);

async function tokenizerOf(folder: ModelFolder, prefix?: string, options?: { signal?: AbortSignal; chat?: boolean }) {
  const prepared = await folder.packed?.tokenizer();
  if (prepared) return Tokenizer.loadPrepared(prepared);
  const files = await tokenizerFiles(folder, prefix, options);
  return files && Tokenizer.load(...files);
}

/** A text as the model reads it: what a task's `encode` gives, or ids of one's own, the model's special tokens among them. */
export interface TextIds {
  readonly input_ids: readonly number[];
  readonly token_type_ids?: readonly number[];
  /** How many of the first are not pooled: those of a prompt. */
  readonly skip?: number;
}

/** A model with its tokenizer: what all tasks over texts stand on. */
export class TextModel {
  private constructor(
    readonly model: Model,
    readonly tokenizer: Tokenizer,
    /** Most tokens that a text may have, special ones included. */
    readonly max_length: number,
    /** Whether tokens that go on with a word show it (##). */
    readonly wordpiece: boolean,
  ) {}

  /** `modules` sees the folder first and may add what follows the transformer. */
  static async load(
    source: ModelSource = platform().shippedModel(),
    options: LoadOptions = {},
    modules?: (folder: ModelFolder) => Promise<Modules & { max_length?: number; chat?: Tokenizer["chat"] }>,
  ): Promise<TextModel> {
    const folder = await openModel(source, options);
    try {
      const added = await modules?.(folder);
      const tokenizer = await tokenizerOf(folder, added?.prefix, { signal: options.signal, chat: !!added?.chat });
      if (tokenizer) tokenizer.chat = added?.chat;
      if (!tokenizer) throw new MissingFileError("tokenizer.json", folder.name);
      const model = await loadModel(folder, { ...options, ...added });
      model.tokenizer = tokenizer;
      model.tokenizer = tokenizer;
      return new TextModel(
        model,
        tokenizer,
        Math.min(
          added?.max_length ?? Number.POSITIVE_INFINITY,
          tokenizer.model_max_length ?? Number.POSITIVE_INFINITY,
          positionsOf(model.rules),
        ),
        tokenizer.model_type === "WordPiece",
      );
    } catch (error) {
      await folder.close?.();
      throw error;
    }
  }

  /** A text (or pair) as ids, cut to what the model takes. */
  encode(text: string, text_pair?: string, options?: EncodeOptions): Encoding {
    const limit = Number.isFinite(this.max_length)
      ? { truncation: true, max_length: this.max_length, ...options }
      : { truncation: false };
    return this.tokenizer.encode(text, { text_pair, ...limit });
  }

  /** Runs encodings in batches of bounded size; results come in the order of the encodings, `read` once for each batch. */
  async run<E extends TextIds>(
    encodings: readonly E[],
    outputs: readonly string[],
    read: (tensors: { [name: string]: Tensor }, first: number, count: number) => void,
    { signal, progress_callback, inputs }: CallOptions & { inputs?: (e: readonly E[]) => Partial<EncoderInputs> } = {},
  ): Promise<void> {
    for (let first = 0; first < encodings.length; ) {
      let end = first;
      for (let tokens = 0; end < encodings.length; end++) {
        tokens += encodings[end].input_ids.length;
        if (tokens > RUN_TOKENS && end > first) break;
      }
      const part = encodings.slice(first, end);
      const input_ids = part.map((e) => e.input_ids);
      const typed = "token_type_ids" in this.model.rules.sizes && { token_type_ids: part.map(typesOf) };
      const result = await this.model.forward({ input_ids, ...typed, ...inputs?.(part) }, { outputs, signal });
      read(result as { [name: string]: Tensor }, first, part.length);
      first = end;
      progress_callback?.({ done: first, total: encodings.length });
    }
  }

  /** Runs encodings; `read` gets each with its part of every output: a row, or rows up to the longest text of its batch. */
  each<E extends TextIds>(
    encodings: readonly E[],
    outputs: readonly string[],
    read: (e: E, ...parts: Float32Array[]) => void,
    options?: CallOptions & { inputs?: (e: readonly E[]) => Partial<EncoderInputs> },
  ): Promise<void> {
    const take = (tensors: { [name: string]: Tensor }, first: number, count: number) => {
      for (let i = 0; i < count; i++) {
        const part = ({ data }: Tensor) => data.subarray((i * data.length) / count, ((i + 1) * data.length) / count);
        read(encodings[first + i], ...outputs.map((name) => part(tensors[name])));
      }
    };
    return this.run(encodings, outputs, take, options);
  }

  dispose(): void {
    this.model.dispose();
  }
}

/** What a task has beside its call. */
export interface TaskMembers {
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  dispose(): void;
  [Symbol.dispose](): void;
}

/** A task: a function with the model behind it. */
export type Task<F extends (...args: never[]) => unknown> = F & TaskMembers;

export function task<F extends (...args: never[]) => unknown>(
  text: Pick<TextModel, "model" | "tokenizer" | "dispose">,
  call: F,
): Task<F> {
  const dispose = () => text.dispose();
  return Object.assign(call, { model: text.model, tokenizer: text.tokenizer, dispose, [Symbol.dispose]: dispose });
}
