/** What greedy search, sampling and beams share: a model's decoding with the options of a call. */

import { InputError, UnsupportedOptionError } from "../errors.ts";
import type { Config } from "../format/config.ts";
import type { Json } from "../format/read.ts";
import type { InputRules } from "../runtime/batch.ts";
import type { Session } from "../runtime/session.ts";
import { Decoding, type Prompt, type Row } from "./decoding.ts";
import { type Decoder, type GenerateOptions, type LogitsProcessor, type Settings, settingsOf } from "./options.ts";
import { processorsOf } from "./processors.ts";
import { type GenerateInputs, textPrompt } from "./prompt.ts";
import { argmax } from "./scores.ts";
import { stops } from "./text.ts";

/** What generation needs of a model. */
export interface Generator {
  readonly session: Session;
  readonly rules: InputRules;
  readonly config: Config;
  /** generation_config.json, or what the config.json says of generation. */
  readonly generation: Json;
  readonly tokenizer?: Decoder;
  /** How decodings of this model begin. Default: with the tokens of `input_ids`. */
  readonly prompt?: (inputs: GenerateInputs, rules: InputRules, config: Config, settings: Settings) => Prompt;
}

/** A decoding that begins. */
export interface Begun {
  readonly decoding: Decoding;
  readonly settings: Settings;
  /** Of each sequence of the prompt. */
  readonly processors: readonly (readonly LogitsProcessor[])[];
  readonly max_length: readonly number[];
}

/** @throws InputError, UnsupportedOptionError, MemoryLimitError, AbortError and what a prompt throws */
export async function begin(model: Generator, inputs: GenerateInputs, options: GenerateOptions): Promise<Begun> {
  const { session, rules, config, generation, prompt = textPrompt, tokenizer } = model;
  if (!session.layout.outputs.next_logits)
    throw new UnsupportedOptionError("generate", config.model_type, ["models with a language head"]);
  const settings = settingsOf({ ...options, tokenizer: options.tokenizer ?? tokenizer }, generation, config);
  if (settings.assistant_model && settings.num_beams > 1)
    throw new UnsupportedOptionError("num_beams with assistant_model", settings.num_beams, [1]);
  const begun = prompt(inputs, rules, config, settings);
  const max_length = begun.sequences.map(({ ids }) => settings.max_length(ids.length));
  const processors = begun.sequences.map(({ ids, padding = 0, encoder_ids }, i) =>
    processorsOf(settings, { prompt: ids.length, padding, max_length: max_length[i], encoder_ids }),
  );
  const room = begun.sequences.map(({ ids }, i) => max_length[i] - ids.length);
  const copies = Math.max(settings.num_beams, settings.num_return_sequences);
  const caches = [options.cache ?? []].flat();
  if (caches.length && caches.length !== room.length)
    throw new InputError(`${caches.length} caches for ${room.length} sequences: each needs its own`);
  const decoding = await Decoding.open(session, rules, begun, { room, copies, caches, signal: settings.signal });
  return { decoding, settings, processors, max_length };
}

/** A token that was made. */
export interface Made {
  row: Row;
  id: number;
  logprob: number;
  done: boolean;
}

/** Whether a sequence that ends so goes no further. */
export function ends({ settings, max_length }: Begun, source: number, ids: readonly number[]): boolean {
  return (
    ids.length >= max_length[source] || settings.eos_token_id.includes(ids[ids.length - 1]) || stops(settings, ids)
  );
}

/** What may follow `ids`, as the options have it. @throws InputError if nothing may */
export async function processed(
  { processors }: Begun,
  source: number,
  ids: readonly number[],
  scores: Float32Array,
): Promise<Float32Array> {
  for (const change of processors[source]) await change(ids, scores);
  if (argmax(scores) < 0)
    throw new InputError(`no token may follow: none of ${scores.length} has a score above -Infinity`);
  return scores;
}
