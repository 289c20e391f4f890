import { InputError, TokenOutOfRangeError } from "../errors.ts";
import type { Config } from "../format/config.ts";
import { type Ids, type InputRules, type ModelInputs, padded } from "../runtime/batch.ts";
import type { Prompt } from "./decoding.ts";
import type { Settings } from "./options.ts";

/** A text, or what an encoder reads and, where it is not the usual start alone, how its decoder's text begins. */
export type GenerateInputs = Pick<
  ModelInputs,
  "input_ids" | "attention_mask" | "pixel_values" | "input_features" | "decoder_input_ids" | "decoder_attention_mask"
>;

/** What transformers takes for the mask where none is given: pads do not count, unless a pad also ends texts. */
export function unpadded(
  input_ids: Ids | undefined,
  { pad_token_id: pad, eos_token_id }: Pick<Settings, "pad_token_id" | "eos_token_id">,
): Ids | undefined {
  if (input_ids === undefined || pad === undefined || eos_token_id.includes(pad)) return undefined;
  const { data, lengths, length } = padded("input_ids", input_ids);
  if (!data.includes(pad)) return undefined;
  return { data: data.map((id) => +(id !== pad && id >= 0)), dims: [lengths.length, length] };
}

/** A decoder's prompt: the tokens that the mask leaves. @throws InputError, TokenOutOfRangeError */
export function textPrompt(
  inputs: GenerateInputs,
  { sizes }: InputRules,
  _config?: Config,
  settings?: Settings,
): Prompt {
  for (const [name, value] of Object.entries(inputs))
    if (value !== undefined && name !== "input_ids" && name !== "attention_mask")
      throw new InputError(`generation takes input_ids and attention_mask, not ${name}`);
  const given = inputs.input_ids as Ids;
  const ids = padded("input_ids", given);
  const seen = inputs.attention_mask ?? (settings && unpadded(given, settings));
  const mask = seen && padded("attention_mask", seen);
  if (mask && (mask.length !== ids.length || mask.lengths.length !== ids.lengths.length))
    throw new InputError("attention_mask and input_ids differ in their dims");
  const sequences = ids.lengths.map((length, b) => {
    const at = b * ids.length;
    const all = Array.from(ids.data.subarray(at, at + length));
    const counts = (t: number) => !mask || mask.data[at + t] > 0;
    const reads = all.filter((_, t) => counts(t));
    if (!reads.length) throw new InputError(`input_ids[${b}] has no token that counts`);
    for (const [t, id] of all.entries())
      if (id < 0 || id >= sizes.input_ids) throw new TokenOutOfRangeError(at + t, id, sizes.input_ids);
    return { ids: all, reads, padding: all.findIndex((_, t) => counts(t)) };
  });
  return { sequences };
}
