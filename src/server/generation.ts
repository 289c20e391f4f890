import type { Message } from "../format/tokenizer/chat.ts";
import type { ResponseFormat } from "../tasks/constraint/constraint.ts";
import { Batcher, type Item, type QueueOptions } from "./batcher.ts";
import { invalid } from "./errors.ts";
import { Lazy, type Limits } from "./models.ts";

/** A token as a writer streams it. */
export interface WrittenToken {
  readonly id: number;
  readonly text: string;
  readonly logprob: number;
}

export interface WriteOptions {
  readonly max_new_tokens?: number;
  readonly temperature?: number;
  readonly top_p?: number;
  readonly do_sample?: boolean;
  readonly top_k?: number;
  readonly seed?: number;
  readonly regex?: string;
  readonly presence_penalty?: number;
  readonly frequency_penalty?: number;
  readonly response_format?: ResponseFormat;
  readonly chat_template_kwargs?: { readonly [variable: string]: unknown };
  readonly signal?: AbortSignal;
}

/** What writes: `pipeline("text-generation")` is one. */
export interface Writer {
  encode(input: string | readonly Message[], options?: WriteOptions): Promise<readonly number[]>;
  stream(input: string | readonly Message[], options?: WriteOptions): AsyncIterable<WrittenToken>;
  readonly model: {
    readonly rules: { readonly sizes: { readonly [input: string]: number } };
    readonly config: { readonly raw: object };
    readonly generation: { readonly [option: string]: unknown };
  };
  readonly tokenizer: { readonly has_chat_template: boolean; readonly model_max_length?: number };
}

/** One text to write. */
interface Job extends Item {
  write(writer: Writer, signal: AbortSignal): Promise<void>;
}

/** Tokens of an answer where nobody says how many: memory is taken for all that may come. */
const USUAL = 1024;

let made = 0;

/** A decoder with its queue: `lanes` texts are written at a time, their steps in turn, and others wait. */
export class GenerationModel {
  readonly created = Math.floor(Date.now() / 1000);
  readonly #lazy: Lazy<Writer>;
  readonly #batcher: Batcher<Job, undefined>;

  constructor(
    readonly name: string,
    load: () => Promise<Writer>,
    readonly limits: Limits,
    queue: QueueOptions,
  ) {
    this.#lazy = new Lazy(name, load);
    const run = async ([job]: readonly Job[], signal: AbortSignal) => {
      await job.write(await this.#lazy.get(), signal);
      return [undefined];
    };
    // A text is a batch: what several share is the engine, whose steps alternate.
    this.#batcher = new Batcher(run, { ...queue, texts: 1 });
  }

  load(): Promise<Writer> {
    return this.#lazy.get();
  }

  get ready(): boolean {
    return this.#lazy.ready;
  }

  /** How many tokens a prompt has, and how many may follow. @throws ApiError 400 in OpenAI's words */
  async measure(input: string | readonly Message[], asked: number | undefined, options: WriteOptions, param: string) {
    const { encode, model, tokenizer } = await this.load();
    if (typeof input !== "string" && !tokenizer.has_chat_template)
      throw invalid("model", `${this.name} has no chat template: ask /v1/completions`, "unsupported_model");
    const prompt = (await encode(input, options)).length;
    const { max_position_embeddings: a, n_positions: b } = model.config.raw as { [option: string]: unknown };
    const limits = [a, b, tokenizer.model_max_length, this.limits.tokens].filter((n) => typeof n === "number");
    const most = Math.min(...(limits as number[]));
    const room = most - prompt;
    if ((asked ?? 1) > room) {
      const words = `This model's maximum context length is ${most} tokens. However, you requested ${prompt + (asked ?? 1)} tokens (${prompt} in the ${param}, ${asked ?? 1} in the completion).`;
      throw invalid(param, words, "context_length_exceeded");
    }
    const usual = model.generation.max_new_tokens;
    return { prompt, most: asked ?? Math.min(room, typeof usual === "number" ? usual : USUAL) };
  }

  /**
   * Writes a text; `each` gets its tokens as they come, and ends it by false. Says whether the text ended by itself. It waits for its turn.
   * @throws QueueFullError, AbortError and what generation throws
   */
  async write(
    input: string | readonly Message[],
    { prompt, most }: { prompt: number; most: number },
    options: WriteOptions,
    each: (token: WrittenToken) => boolean | Promise<boolean>,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { model } = await this.load();
    const ends = [
      model.generation.eos_token_id ?? (model.config.raw as { eos_token_id?: unknown }).eos_token_id,
    ].flat();
    let [count, ended] = [0, false];
    const job: Job = {
      cost: prompt + most,
      key: `${made++}`, // never the same: two who ask for one text draw two
      write: async (writer, signal) => {
        for await (const token of writer.stream(input, { ...options, max_new_tokens: most, signal })) {
          ended = ends.includes(token.id);
          if (!(await each(token))) {
            ended = true;
            break;
          }
          count++;
        }
      },
    };
    await this.#batcher.submit([job], signal);
    return ended || count < most;
  }
}
