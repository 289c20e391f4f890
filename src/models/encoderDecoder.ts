import type { Config } from "../format/config.ts";
import { ENCODER, type Encode, encoderPrompt } from "../generate/encoderPrompt.ts";
import type { Dims, Value } from "../graph/graph.ts";
import { type InputRules, layOut } from "../runtime/batch.ts";
import { dimsOfSide, noRows, withKeys } from "../runtime/sides.ts";
import type { Architecture, Body } from "./architecture.ts";
import { generation } from "./generation.ts";

/** Layers one after the other, as `stack` gives them. */
export interface Layers {
  readonly last_hidden_state: Value;
  readonly hidden_states: readonly Value[];
  readonly attentions: readonly Value[];
}

/** What a decoder with an encoder gives, by the names that transformers has for it. */
export function bothSides(encoder: Layers, decoder: Layers, cross_attentions: readonly Value[]): Body {
  return {
    last_hidden_state: decoder.last_hidden_state,
    decoder_hidden_states: decoder.hidden_states,
    decoder_attentions: decoder.attentions,
    cross_attentions,
    encoder_last_hidden_state: encoder.last_hidden_state,
    encoder_hidden_states: encoder.hidden_states,
    encoder_attentions: encoder.attentions,
  };
}

/**
 * How the inputs of an encoder and of a decoder lie, and how generation with them begins. `decoder` says what the decoder takes, `source`
 * the sizes of what the encoder reads where that is no text; texts are planned as long as the decoder's.
 */
export function sides(
  encode: Encode,
  decoder: (config: Config) => InputRules,
  source?: (config: Config, batch: number) => Dims,
): Pick<Architecture, "rules" | "layOut" | "dims" | "prompt" | "generation"> {
  return {
    rules: decoder,
    layOut({ decoder_input_ids, decoder_attention_mask, decoder_position_ids, ...source }, config) {
      const keys = encode(source, config);
      const own = {
        input_ids: decoder_input_ids,
        attention_mask: decoder_attention_mask,
        position_ids: decoder_position_ids,
      };
      const rules = decoder(config);
      const main = decoder_input_ids === undefined ? noRows(keys.dims.B) : layOut(own, rules, "decoder_");
      return withKeys(main, ENCODER, keys, rules.heads);
    },
    dims(config, batch, length = 1) {
      const own: Dims = { T: batch * length, B: batch, P: batch * length * length, S: 0, R: 0 };
      const other = source?.(config, batch) ?? own;
      return { ...own, X: length * other.T, ...dimsOfSide(ENCODER, other) };
    },
    prompt: encoderPrompt(encode),
    generation,
  };
}
