import type { Config } from "../format/config.ts";
import type { Outputs } from "../graph/fuse.ts";
import type { Graph, Value } from "../graph/graph.ts";
import { Activation } from "../graph/op.ts";
import { firstToken, layerNorm, linear } from "./blocks.ts";

/** The last layer of a classifier: a logit for each of the config's labels. */
export function classifier(g: Graph, config: Config, x: Value, name = "classifier"): Outputs {
  return { logits: linear(g, name, x, config.labels().length) };
}

/** Start and end of an answer: a logit for each token and bound. */
export function questionAnswering(g: Graph, name: string, x: Value): Outputs {
  const logits = linear(g, name, x, 2);
  return { start_logits: g.columns(logits, 0, 1), end_logits: g.columns(logits, 1, 1) };
}

/** Dense layer and activation before the last one. */
export function dense(g: Graph, name: string, x: Value, kind: Activation, out = x.cols, bias = true): Value {
  return g.activation(linear(g, name, x, out, bias), kind);
}

/** What classifiers read of a sequence: activation(dense(its first token)). */
export function pooler(g: Graph, name: string, x: Value, kind = Activation.tanh): Value {
  return dense(g, name, firstToken(g, x), kind);
}

/** A body with what its pooler gives, where the checkpoint has one. */
export function withPooler<B extends { readonly last_hidden_state: Value }>(g: Graph, name: string, body: B) {
  return g.has(`${name}.weight`) ? { ...body, pooler_output: pooler(g, name, body.last_hidden_state) } : body;
}

export interface MaskedLMNames {
  /** Dense layer and norm before the decoder. */
  readonly dense: string;
  readonly norm: string;
  /** What the decoder's own weight and bias are called where they are not tied. */
  readonly decoder: string;
  /** The bias of a tied decoder. */
  readonly bias: string;
  /** The embedding table. */
  readonly words: string;
}

interface MaskedLMOptions {
  readonly activation: Activation;
  readonly eps: number;
  /** Of the embeddings, where they are narrower. */
  readonly width?: number;
}

/** The masked-language head: dense, activation, norm, then the embedding table as projection (or a decoder of its own). */
export function maskedLM(g: Graph, config: Config, names: MaskedLMNames, x: Value, o: MaskedLMOptions): Outputs {
  const y = layerNorm(g, names.norm, dense(g, names.dense, x, o.activation, o.width), o.eps);
  return decoder(g, config, names, y);
}

/** The same for a family whose names are always these, above the embeddings that BERT has. */
export const maskedLMOf =
  (names: Omit<MaskedLMNames, "words">, options: (config: Config) => MaskedLMOptions) =>
  (g: Graph, config: Config, { last_hidden_state }: { readonly last_hidden_state: Value }, at: string): Outputs =>
    maskedLM(g, config, { ...names, words: `${at}embeddings.word_embeddings` }, last_hidden_state, options(config));

/** A logit for each word of the vocabulary. */
export function decoder(
  g: Graph,
  config: Config,
  names: Pick<MaskedLMNames, "decoder" | "words"> & { readonly bias?: string },
  x: Value,
): Outputs {
  const vocab_size = config.int("vocab_size");
  const tied = config.bool("tie_word_embeddings", true);
  const weight = g.weight(`${tied ? names.words : names.decoder}.weight`, [vocab_size, x.cols]);
  const own = !tied && g.has(`${names.decoder}.bias`) ? `${names.decoder}.bias` : names.bias;
  return { logits: g.linear(x, weight, own === undefined ? undefined : g.weight(own, [vocab_size])) };
}

/** RoBERTa's classifier: a dense layer over the first token, then the logits. */
export function classificationHead(g: Graph, config: Config, x: Value, kind: Activation): Outputs {
  return classifier(g, config, pooler(g, "classifier.dense", x, kind), "classifier.out_proj");
}
