import { InputError, InputTooLongError, UnsupportedOptionError } from "../errors.ts";
import { Config } from "../format/config.ts";
import type { Json } from "../format/read.ts";
import type { Tokenizer } from "../format/tokenizer.ts";
import type { InputRules } from "../runtime/batch.ts";
import type { Session } from "../runtime/session.ts";
import type { Cache } from "./cache.ts";
import { anySeed } from "./random.ts";

/** Changes the scores of what follows `ids` in place. */
export type LogitsProcessor = (ids: readonly number[], scores: Float32Array) => void | PromiseLike<void>;

/** What turns tokens into text: a `Tokenizer`. */
export type Decoder = Pick<Tokenizer, "decode" | "stream">;

/** A loaded model that drafts. */
export interface Assistant {
  readonly session: Session;
  readonly rules: InputRules;
  readonly config: Config;
  readonly prompt?: unknown;
}

/**
 * Options of `generate` and `stream`, named and meant as in transformers' GenerationConfig, and by default as the checkpoint's
 * generation_config.json says; null is as if it said nothing. Lengths count tokens; `max_length` and `min_length` count the prompt's too.
 */
export interface GenerateOptions {
  signal?: AbortSignal;
  /** Default: 20, where neither it nor `max_length` is given. */
  max_new_tokens?: number;
  max_length?: number;
  min_new_tokens?: number;
  min_length?: number;
  /** Whether tokens are drawn. Default: if the call has `temperature`, `seed` or another option of sampling. */
  do_sample?: boolean;
  temperature?: number;
  top_k?: number;
  top_p?: number;
  min_p?: number;
  typical_p?: number;
  epsilon_cutoff?: number;
  eta_cutoff?: number;
  /** A whole number: the same one draws the same tokens, on every host, whatever else is in the batch. */
  seed?: number;
  repetition_penalty?: number;
  /** Taken off the scores of tokens that were made before; by how often they were. As OpenAI has them. */
  presence_penalty?: number;
  frequency_penalty?: number;
  encoder_repetition_penalty?: number;
  no_repeat_ngram_size?: number;
  encoder_no_repeat_ngram_size?: number;
  bad_words_ids?: readonly (readonly number[])[];
  sequence_bias?: readonly (readonly [word: readonly number[], bias: number])[];
  suppress_tokens?: readonly number[] | null;
  begin_suppress_tokens?: readonly number[] | null;
  forced_bos_token_id?: number | null;
  forced_eos_token_id?: number | readonly number[] | null;
  exponential_decay_length_penalty?: readonly [start: number, factor: number];
  remove_invalid_values?: boolean;
  renormalize_logits?: boolean;
  /** Ends of a sequence. */
  eos_token_id?: number | readonly number[] | null;
  /** Also ends of a sequence: texts whose last character is in the newest token. They need `tokenizer`. */
  stop_strings?: string | readonly string[];
  bos_token_id?: number;
  pad_token_id?: number;
  decoder_start_token_id?: number;
  /** Tokens behind that one, each with its place: what Whisper's files have. */
  forced_decoder_ids?: readonly (readonly [place: number, id: number | null])[];
  num_beams?: number;
  length_penalty?: number;
  early_stopping?: boolean | "never";
  num_return_sequences?: number;
  /** Changes the scores of what may follow `ids`, after the penalties and before temperature and its like. */
  logits_processor?: LogitsProcessor;
  /** What `stop_strings` and the text of `stream` are made with. Default: the model's own, where it was loaded with one. */
  tokenizer?: Decoder;
  /** `model.cache(…)`, one for each sequence: what a prompt has in common with it is not computed again, and it holds the text afterwards. */
  cache?: Cache | readonly Cache[];
  /** A smaller decoder of the same vocabulary, whose drafts this one checks several at a time (arXiv:2211.17192): other speed, same results. */
  assistant_model?: Assistant;
  /** Tokens of a draft. Default 5. */
  num_assistant_tokens?: number;
}

/** The options of a call, those of the checkpoint, and transformers' defaults in one. */
export interface Settings
  extends Required<
    Omit<
      GenerateOptions,
      | "signal"
      | "max_new_tokens"
      | "max_length"
      | "min_new_tokens"
      | "min_length"
      | "min_p"
      | "forced_bos_token_id"
      | "exponential_decay_length_penalty"
      | "logits_processor"
      | "tokenizer"
      | "cache"
      | "assistant_model"
      | "bos_token_id"
      | "pad_token_id"
      | "decoder_start_token_id"
      | "forced_decoder_ids"
    >
  > {
  readonly eos_token_id: readonly number[];
  readonly forced_eos_token_id: readonly number[];
  readonly suppress_tokens: readonly number[];
  readonly begin_suppress_tokens: readonly number[];
  readonly stop_strings: readonly string[];
  readonly min_p?: number;
  readonly forced_bos_token_id?: number;
  readonly exponential_decay_length_penalty?: readonly [number, number];
  readonly bos_token_id?: number;
  readonly pad_token_id?: number;
  readonly logits_processor?: LogitsProcessor;
  readonly tokenizer?: Decoder;
  readonly signal?: AbortSignal;
  readonly assistant_model?: Assistant;
  /** Tokens that a sequence may have, which begins with `prompt` of them. @throws InputError where that is too many already */
  max_length(prompt: number): number;
  /** Tokens before which it may not end. */
  min_length(prompt: number): number;
  /** All that the call or the checkpoint says. */
  readonly all: Config;
}

/** Options of transformers that are not here, each with the value at which it does nothing. */
const REFUSED: { readonly [option: string]: unknown } = {
  constraints: undefined,
  diversity_penalty: 0,
  dola_layers: undefined,
  force_words_ids: undefined,
  guidance_scale: 1,
  max_time: undefined,
  num_beam_groups: 1,
  penalty_alpha: undefined,
  prompt_lookup_num_tokens: undefined,
  token_healing: false,
  top_h: undefined,
  watermarking_config: undefined,
};

const SAMPLING = ["temperature", "top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff", "seed"];

const READ = new Set(
  `max_new_tokens max_length min_new_tokens min_length do_sample ${SAMPLING.join(" ")} repetition_penalty presence_penalty
  frequency_penalty encoder_repetition_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids sequence_bias
  suppress_tokens begin_suppress_tokens forced_bos_token_id forced_eos_token_id exponential_decay_length_penalty
  remove_invalid_values renormalize_logits eos_token_id stop_strings bos_token_id pad_token_id decoder_start_token_id
  forced_decoder_ids num_beams   length_penalty early_stopping num_return_sequences logits_processor tokenizer signal cache
  assistant_model num_assistant_tokens use_cache`.split(/\s+/),
);

/** What of a config.json is about generation: where there is no generation_config.json, that counts, the decoder's config behind it. */
export function legacyGeneration(config: Config): Json {
  const inner = ["decoder", "generator", "text_config"].map((name) => config.raw[name]).find((c) => c) as
    | Json
    | undefined;
  const of = (raw: Json) =>
    Object.entries(raw).filter(([name, v]) => v != null && (READ.has(name) || Object.hasOwn(REFUSED, name)));
  const legacy = config.raw.force_bos_token_to_be_generated ? { forced_bos_token_id: config.raw.bos_token_id } : {};
  return { ...legacy, ...Object.fromEntries([...of(inner ?? {}), ...of(config.raw)]) };
}

/** @throws UnsupportedOptionError naming what is unknown, not here, or no such value */
export function settingsOf(call: GenerateOptions, checkpoint: Json, model: Config): Settings {
  const given = Object.fromEntries(Object.entries(call).filter(([, v]) => v !== undefined)) as Json;
  for (const name of Object.keys(given))
    if (!READ.has(name) && !Object.hasOwn(REFUSED, name)) throw new UnsupportedOptionError(name, given[name]);
  const file: Json = { ...checkpoint };
  // A length that the call gives is not outdone by the other one of the file.
  if (given.max_length != null) delete file.max_new_tokens;
  if (given.min_length != null) delete file.min_new_tokens;
  const all = new Config({ ...file, ...given, model_type: undefined }, "generate");
  for (const [name, idle] of Object.entries(REFUSED)) {
    const value = all.raw[name] ?? idle;
    if (value !== idle) throw new UnsupportedOptionError(name, value, idle === undefined ? [] : [idle]);
  }

  const most = 2 ** 53 - 1;
  const whole = (name: string, otherwise: number, min = 0) => all.int(name, { min, max: most, default: otherwise });
  const number = (name: string, otherwise: number, min = 0, max = 1e12) =>
    all.number(name, { min, max, default: otherwise });
  const share = (name: string, otherwise: number) => number(name, otherwise, 0, 1);
  const above = (name: string) => number(name, 1, Number.MIN_VALUE);
  const maybe = (name: string) => (all.has(name) ? whole(name, 0) : undefined);
  const isId = (v: unknown) => Number.isInteger(v) && (v as number) >= 0;
  const isIds = (v: unknown) => Array.isArray(v) && v.every(isId);
  const ids = (name: string) => [all.get<number | number[]>(name, (v) => isId(v) || isIds(v), ["ids"], [])].flat();
  const isWord = (v: unknown) => isIds(v) && (v as number[]).length > 0;
  const isBias = (v: unknown) => Array.isArray(v) && isWord(v[0]) && typeof v[1] === "number";
  const list = <T>(name: string, good: (v: unknown) => boolean, what: string) =>
    all.get<T[]>(name, (v) => Array.isArray(v) && v.every(good), [what], []);
  const isText = (v: unknown) => typeof v === "string" && v !== "";
  const isDecay = (v: unknown) => Array.isArray(v) && v.length === 2 && v.every((n) => typeof n === "number");

  const positions = model.int(["max_position_embeddings", "n_positions"], { max: most, default: most });
  const lengths = { new: maybe("max_new_tokens"), all: maybe("max_length") };
  const least = { new: maybe("min_new_tokens"), all: whole("min_length", 0) };
  const settings: Settings = {
    do_sample: all.bool("do_sample") || (given.do_sample == null && SAMPLING.some((name) => given[name] != null)),
    temperature: above("temperature"),
    top_k: whole("top_k", 50),
    top_p: share("top_p", 1),
    min_p: all.has("min_p") ? share("min_p", 0) : undefined,
    typical_p: number("typical_p", 1, Number.MIN_VALUE, 1),
    epsilon_cutoff: share("epsilon_cutoff", 0),
    eta_cutoff: share("eta_cutoff", 0),
    seed: all.has("seed") ? whole("seed", 0) : anySeed(),
    repetition_penalty: above("repetition_penalty"),
    presence_penalty: number("presence_penalty", 0, -1e12),
    frequency_penalty: number("frequency_penalty", 0, -1e12),
    encoder_repetition_penalty: above("encoder_repetition_penalty"),
    no_repeat_ngram_size: whole("no_repeat_ngram_size", 0),
    encoder_no_repeat_ngram_size: whole("encoder_no_repeat_ngram_size", 0),
    bad_words_ids: list("bad_words_ids", isWord, "lists of ids"),
    sequence_bias: list("sequence_bias", isBias, "lists of ids, each with a number"),
    suppress_tokens: ids("suppress_tokens"),
    begin_suppress_tokens: ids("begin_suppress_tokens"),
    forced_bos_token_id: maybe("forced_bos_token_id"),
    forced_eos_token_id: ids("forced_eos_token_id"),
    exponential_decay_length_penalty: all.has("exponential_decay_length_penalty")
      ? all.get("exponential_decay_length_penalty", isDecay, ["[start, factor]"])
      : undefined,
    remove_invalid_values: all.bool("remove_invalid_values"),
    renormalize_logits: all.bool("renormalize_logits"),
    eos_token_id: ids("eos_token_id"),
    stop_strings: [all.get<string | string[]>("stop_strings", (v) => [v].flat().every(isText), ["texts"], [])].flat(),
    bos_token_id: maybe("bos_token_id"),
    pad_token_id: all.raw.pad_token_id === -1 ? undefined : maybe("pad_token_id"),
    num_beams: whole("num_beams", 1, 1),
    length_penalty: number("length_penalty", 1, -1e3, 1e3),
    early_stopping: all.get(
      "early_stopping",
      (v) => typeof v === "boolean" || v === "never",
      [true, false, "never"],
      false,
    ),
    num_return_sequences: whole("num_return_sequences", 1, 1),
    min_length: (prompt) => (least.new === undefined ? least.all : prompt + least.new),
    logits_processor: call.logits_processor,
    tokenizer: call.tokenizer,
    assistant_model: call.assistant_model,
    num_assistant_tokens: whole("num_assistant_tokens", 5, 1),
    signal: call.signal,
    max_length(prompt) {
      if (lengths.new !== undefined) return prompt + lengths.new;
      if (lengths.all === undefined && prompt >= positions) throw new InputTooLongError(prompt + 1, positions);
      const max = lengths.all ?? Math.min(prompt + 20, positions);
      if (prompt >= max) throw new InputError(`max_length is ${max}, and the prompt has ${prompt} tokens`);
      return max;
    },
    all,
  };
  const { num_return_sequences: n, num_beams, do_sample } = settings;
  if (num_beams > 1 ? n > num_beams : n > 1 && !do_sample)
    throw new UnsupportedOptionError("num_return_sequences", n, num_beams > 1 ? [`1 to ${num_beams}`] : [1]);
  if (settings.stop_strings.length && !settings.tokenizer)
    throw new InputError("stop_strings need the model's tokenizer: give it as tokenizer");
  return settings;
}
