import type { AttentionOptions, Graph, Value } from "../graph/graph.ts";
import type { Activation } from "../graph/op.ts";
import { layerNorm, linear } from "./blocks.ts";

/** What a checkpoint calls the parts of a layer. */
export interface LayerNames {
  readonly query: string;
  readonly key: string;
  readonly value: string;
  readonly output: string;
  readonly attention_norm: string;
  readonly up: string;
  readonly down: string;
  readonly norm: string;
}

export interface LayerOptions {
  /** Queries, keys and values have biases (the default). */
  readonly qkv_bias?: boolean;
  /** What the attention does besides, which may depend on its queries and keys. */
  readonly attention: AttentionOptions | ((q: Value, k: Value) => AttentionOptions);
  readonly intermediate_size: number;
  readonly activation: Activation;
  readonly eps: number;
}

/** The encoder layer of arXiv:1706.03762: attention and feed-forward, each added to its input and normalised after that. */
export function postNormLayer(
  g: Graph,
  at: string,
  names: LayerNames,
  x: Value,
  o: LayerOptions,
): { x: Value; probabilities: Value } {
  const [q, k, v] = [names.query, names.key, names.value].map((name) => linear(g, at + name, x, x.cols));
  const attended = g.attention(q, k, v, typeof o.attention === "function" ? o.attention(q, k) : o.attention);
  const projected = linear(g, at + names.output, attended.out, x.cols);
  const y = layerNorm(g, at + names.attention_norm, g.add(projected, x), o.eps);
  const inner = g.activation(linear(g, at + names.up, y, o.intermediate_size), o.activation);
  const lowered = linear(g, at + names.down, inner, x.cols);
  return { x: layerNorm(g, at + names.norm, g.add(lowered, y), o.eps), probabilities: attended.probabilities };
}

/** The same with norms before attention and feed-forward (arXiv:2002.04745). `scales`: what their results are multiplied by. */
export function preNormLayer(
  g: Graph,
  at: string,
  names: LayerNames,
  x: Value,
  o: LayerOptions & { feedForward?: (x: Value) => Value; scales?: readonly [attention: string, feedForward: string] },
): { x: Value; probabilities: Value } {
  const scaled = (x: Value, i: 0 | 1) => (o.scales ? g.mul(x, g.weight(at + o.scales[i], [x.cols])) : x);
  const a = layerNorm(g, at + names.attention_norm, x, o.eps);
  const [q, k, v] = [names.query, names.key, names.value].map((name) => linear(g, at + name, a, x.cols, o.qkv_bias));
  const attended = g.attention(q, k, v, typeof o.attention === "function" ? o.attention(q, k) : o.attention);
  const y = g.add(scaled(linear(g, at + names.output, attended.out, x.cols), 0), x);
  const m = layerNorm(g, at + names.norm, y, o.eps);
  const plain = (m: Value) => g.activation(linear(g, at + names.up, m, o.intermediate_size), o.activation);
  const lowered = linear(g, at + names.down, (o.feedForward ?? plain)(m), x.cols);
  return { x: g.add(scaled(lowered, 1), y), probabilities: attended.probabilities };
}

/** Applies `layer` `count` times and keeps what lies between, as transformers' `hidden_states` and `attentions` do. */
export function stack(x: Value, count: number, layer: (x: Value, i: number) => { x: Value; probabilities: Value }) {
  const hidden_states = [x];
  const attentions: Value[] = [];
  for (let i = 0; i < count; i++) {
    const { x: next, probabilities } = layer(x, i);
    hidden_states.push(next);
    attentions.push(probabilities);
    x = next;
  }
  return { last_hidden_state: x, hidden_states, attentions };
}
