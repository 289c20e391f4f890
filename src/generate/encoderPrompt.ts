import { InputError } from "../errors.ts";
import type { Config } from "../format/config.ts";
import { type Batch, type InputRules, type ModelInputs, padded } from "../runtime/batch.ts";
import type { SideRows } from "../runtime/kept.ts";
import { withSide } from "../runtime/sides.ts";
import type { Prompt, Row } from "./decoding.ts";
import type { Settings } from "./options.ts";
import { type GenerateInputs, textPrompt, unpadded } from "./prompt.ts";

/** Lays out what an encoder reads, as a batch of its own. */
export type Encode = (inputs: ModelInputs, config: Config) => Batch;

/** The side of the graph that an encoder is. */
export const ENCODER = "encoder";

/**
 * How the generation of a decoder with an encoder begins: with `decoder_input_ids`, or with the token that its kind starts with. The
 * encoder runs in the first step alone; what the decoder reads of it stays in the state.
 */
export function encoderPrompt(encode: Encode) {
  return (inputs: GenerateInputs, rules: InputRules, config: Config, settings: Settings): Prompt => {
    const { decoder_input_ids, decoder_attention_mask, ...source } = inputs;
    const batch = encode(
      { ...source, attention_mask: source.attention_mask ?? unpadded(source.input_ids, settings) },
      config,
    );
    const { B } = batch.dims;
    const start = decoder_input_ids ?? Array.from({ length: B }, () => startOf(settings.all));
    const { sequences } = textPrompt({ input_ids: start, attention_mask: decoder_attention_mask }, rules);
    if (sequences.length !== B)
      throw new InputError(`decoder_input_ids has ${sequences.length} sequences, the encoder ${B}`);
    const ids = source.input_ids && padded("input_ids", source.input_ids);
    const { T } = batch.dims;
    const first = withSide(NOTHING, ENCODER, batch);
    return {
      kept: { [ENCODER]: T },
      sequences: sequences.map((s, b) => ({
        ...s,
        encoder_ids: ids && Array.from(ids.data.subarray(b * ids.length, b * ids.length + ids.lengths[b])),
      })),
      more(rows: readonly Row[], { [ENCODER]: at }: SideRows, run: boolean) {
        const cross = {
          cross_offsets: Int32Array.from([...rows.map((r) => at + batch.offsets[r.source]), 0]),
          cross_ends: Int32Array.from([...rows.map((r) => at + batch.offsets[r.source + 1]), 0]),
        };
        if (!run) return { inputs: cross };
        const cache_rows = Int32Array.from({ length: T }, (_, i) => at + i);
        return { dims: first.dims, inputs: { ...first.inputs, [`${ENCODER}_cache_rows`]: cache_rows, ...cross } };
      },
    };
  };
}

/** Of the decoder's own side nothing: a step says that. */
const NOTHING: Batch = {
  dims: {} as Batch["dims"],
  length: 0,
  rows: new Int32Array(0),
  offsets: new Int32Array(1),
  inputs: {},
};

/**
 * What a decoder's text starts with: its token, and what Whisper's files call forced_decoder_ids, [place, token] from place 1 on. Where a
 * token is null, as the language is in those for many, the model says what comes.
 */
function startOf(config: Config): number[] {
  const good = (v: unknown) => Array.isArray(v) && v.every((pair) => Array.isArray(pair) && pair.length === 2);
  const pairs = config.get<[number, number | null][]>("forced_decoder_ids", good, ["[place, token] each"], []);
  const forced = new Map(pairs);
  const ids = [config.int(["decoder_start_token_id", "bos_token_id"], { min: 0 })];
  for (let id = forced.get(1); id != null; id = forced.get(ids.length)) ids.push(id);
  return ids;
}
