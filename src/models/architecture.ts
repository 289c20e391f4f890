import type { Config } from "../format/config.ts";
import type { Generator } from "../generate/loop.ts";
import type { Outputs } from "../graph/fuse.ts";
import type { Dims, Graph, Value } from "../graph/graph.ts";
import type { Batch, InputRules, ModelInputs } from "../runtime/batch.ts";

/** What a checkpoint was trained to do, as the class names in `architectures` say it: BertFor… */
export type Head =
  | "MaskedLM"
  | "CausalLM"
  | "SequenceClassification"
  | "TokenClassification"
  | "QuestionAnswering"
  | "ConditionalGeneration"
  | "ImageClassification"
  | "ImageClassificationWithTeacher"
  | "AudioClassification";

/** What a model gives before any head, by the names that transformers has for it. */
export interface Body {
  readonly last_hidden_state: Value;
  readonly pooler_output?: Value;
  readonly hidden_states?: readonly Value[];
  readonly attentions?: readonly Value[];
  /**
   * hidden_states: the input of each layer, and the last one's output. attentions: probabilities of each layer's attention. Of a decoder
   * with an encoder: those of each, decoder_… and encoder_…, encoder_last_hidden_state and cross_attentions.
   */
  readonly [output: string]: Value | readonly Value[] | undefined;
}

/** A model family: how its config and tensors become a graph. */
export interface Architecture {
  /** The name of the body in checkpoints with a head: `bert` in `bert.encoder…`. */
  readonly prefix: string;
  /** What its ids may be, and how its positions count. */
  rules(config: Config): InputRules;
  /** Builds the body; names of its tensors begin with `at`. */
  body(g: Graph, config: Config, at: string): Body;
  /** What each head adds: logits, or start_logits and end_logits. */
  readonly heads: { readonly [H in Head]?: (g: Graph, config: Config, body: Body, at: string) => Outputs };
  /** Of a family with a language head, one that goes on with a text: what does so (generation.ts). */
  readonly generation?: () => Promise<typeof import("../generate/index.ts")>;
  /** Lays out what `forward` takes, where that is not text alone. */
  layOut?(inputs: ModelInputs, config: Config): Batch;
  /** What `layOut` makes of so many inputs, of `length` tokens or their usual size. */
  dims?(config: Config, batch: number, length: number | undefined): Dims;
  /** How its generation begins, where that is not with `input_ids` alone. */
  readonly prompt?: Generator["prompt"];
  /** Tensors that checkpoints of this family may hold without use, besides heads and position buffers. */
  readonly ignore?: RegExp;
}
