import { InputError, TokenOutOfRangeError } from "../errors.ts";
import type { Config } from "../format/config.ts";
import { type EncoderInputs, type InputRules, padded } from "../runtime/batch.ts";
import type { Prompt } from "./decoding.ts";
import type { Settings } from "./options.ts";

export type GenerateInputs = Pick<EncoderInputs, "input_ids" | "attention_mask">;

/**
 * A decoder's prompt: the tokens that the mask leaves. Without a mask, pads are left out, as transformers does it.
 * @throws InputError, TokenOutOfRangeError
 */
export function textPrompt(
  inputs: GenerateInputs,
  { sizes }: InputRules,
  _config: Config,
  { pad_token_id: pad, eos_token_id }: Pick<Settings, "pad_token_id" | "eos_token_id">,
): Prompt {
  const ids = padded("input_ids", inputs.input_ids);
  const mask = inputs.attention_mask && padded("attention_mask", inputs.attention_mask);
  if (mask && (mask.length !== ids.length || mask.lengths.length !== ids.lengths.length))
    throw new InputError("attention_mask and input_ids differ in their dims");
  const padded_ids = pad !== undefined && !eos_token_id.includes(pad);
  const sequences = ids.lengths.map((length, b) => {
    const at = b * ids.length;
    const all = Array.from(ids.data.subarray(at, at + length));
    const counts = (t: number) => (mask ? mask.data[at + t] > 0 : !padded_ids || all[t] !== pad);
    const reads = all.filter((_, t) => counts(t));
    if (!reads.length) throw new InputError(`input_ids[${b}] has no token that counts`);
    for (const [t, id] of all.entries())
      if (id < 0 || id >= sizes.input_ids) throw new TokenOutOfRangeError(at + t, id, sizes.input_ids);
    return { ids: all, reads, padding: all.findIndex((_, t) => counts(t)) };
  });
  return { sequences };
}
