import { InputError, UnsupportedOptionError } from "../errors.ts";
import type { Config } from "../format/config.ts";
import type { InputRules } from "../runtime/batch.ts";
import type { Session } from "../runtime/session.ts";
import { Decoding, type Prompt, type Row } from "./decoding.ts";
import type { GenerateOptions } from "./options.ts";
import { type GenerateInputs, textPrompt } from "./prompt.ts";

/** What generation needs of a model. */
export interface Generator {
  readonly session: Session;
  readonly rules: InputRules;
  readonly config: Config;
  /** How decodings of this model begin. Default: with the tokens of `input_ids`. */
  readonly prompt?: (inputs: GenerateInputs, rules: InputRules, config: Config, options: GenerateOptions) => Prompt;
}

export async function generate(
  { session, rules, config, prompt = textPrompt }: Generator,
  inputs: GenerateInputs,
  options: GenerateOptions,
): Promise<number[][]> {
  if (!session.layout.outputs.next_logits)
    throw new UnsupportedOptionError("generate", config.model_type, ["models with a language head"]);
  const { max_new_tokens = 20, min_new_tokens = 0, eos_token_id, signal } = options;
  const eos = [eos_token_id ?? (config.raw.eos_token_id as number | number[] | undefined) ?? []].flat();
  const begun = prompt(inputs, rules, config, options);
  const caches = cachesOf(options, begun.sequences.length);
  const decoding = await Decoding.open(session, rules, begun, { room: max_new_tokens, caches, signal });
  try {
    const { rows } = decoding;
    for (let live: readonly Row[] = rows, made = 0; live.length && made < max_new_tokens; made++) {
      const logits = await decoding.step(live);
      live = live.filter((row, i) => {
        if (made < min_new_tokens) for (const id of eos) logits[i][id] = Number.NEGATIVE_INFINITY;
        const id = argmax(logits[i]);
        row.ids.push(id);
        row.next = [id];
        return !eos.includes(id);
      });
    }
    return rows.map((r) => r.ids);
  } finally {
    decoding.dispose();
  }
}

/** A cache for each sequence, or none. @throws InputError */
export function cachesOf({ cache = [] }: GenerateOptions, sequences: number) {
  const caches = [cache].flat();
  if (caches.length && caches.length !== sequences)
    throw new InputError(`${caches.length} caches for ${sequences} sequences: each needs its own`);
  return caches;
}

/** The first of the largest. */
export function argmax(x: Float32Array): number {
  let best = 0;
  for (let i = 1; i < x.length; i++) if (x[i] > x[best]) best = i;
  return best;
}
