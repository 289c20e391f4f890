import { InputError, TokenOutOfRangeError } from "../errors.ts";
import { type Ids, type InputRules, type ModelInputs, padded } from "../runtime/batch.ts";
import type { Prompt } from "./decoding.ts";

/** A text, or what an encoder reads and, where it is not the usual start alone, how its decoder's text begins. */
export type GenerateInputs = Pick<
  ModelInputs,
  "input_ids" | "attention_mask" | "pixel_values" | "input_features" | "decoder_input_ids" | "decoder_attention_mask"
>;

/** A decoder's prompt: the tokens that the mask leaves. @throws InputError, ShapeError, TokenOutOfRangeError */
export function textPrompt(inputs: GenerateInputs, { sizes }: InputRules): Prompt {
  const ids = padded("input_ids", inputs.input_ids as Ids);
  const mask = inputs.attention_mask && padded("attention_mask", inputs.attention_mask);
  if (mask && (mask.length !== ids.length || mask.lengths.length !== ids.lengths.length))
    throw new InputError("attention_mask and input_ids differ in their dims");
  const sequences = ids.lengths.map((length, b) => {
    const at = b * ids.length;
    const all = Array.from(ids.data.subarray(at, at + length));
    const reads = all.filter((_, t) => !mask || mask.data[at + t] > 0);
    if (!reads.length) throw new InputError(`input_ids[${b}] has no token that counts`);
    for (const [t, id] of all.entries())
      if (id < 0 || id >= sizes.input_ids) throw new TokenOutOfRangeError(at + t, id, sizes.input_ids);
    return { ids: all, reads };
  });
  return { sequences };
}
