import type { Config, Names } from "../format/config.ts";
import type { Graph, Node, Value } from "../graph/graph.ts";
import { Activation } from "../graph/op.ts";
import { entry } from "../options.ts";

/** The blocks that the models share, each with the tensor names that its PyTorch module has. */

/** x · weightᵀ + bias; the bias is there if the checkpoint must have it. */
export function linear(g: Graph, name: string, x: Value, out: number, bias = true): Node {
  return g.linear(x, g.weight(`${name}.weight`, [out, x.cols]), bias ? g.weight(`${name}.bias`, [out]) : undefined);
}

export function layerNorm(g: Graph, name: string, x: Value, eps: number, bias = true): Node {
  return g.layerNorm(
    x,
    g.weight(`${name}.weight`, [x.cols]),
    bias ? g.weight(`${name}.bias`, [x.cols]) : undefined,
    eps,
  );
}

/** What BERT calls the tables that it sums, by the input that picks their rows. */
const TABLES = {
  input_ids: "word_embeddings",
  token_type_ids: "token_type_embeddings",
  position_ids: "position_embeddings",
};

/** The sum of a row of each table: `sizes` says how many rows those have that the model has. */
export function embeddings(g: Graph, at: string, sizes: { readonly [ids: string]: number }, width: number): Value {
  return Object.entries(TABLES)
    .filter(([ids]) => sizes[ids])
    .map(([ids, name]) => g.embed(g.input(ids, "T"), g.weight(`${at}embeddings.${name}.weight`, [sizes[ids], width])))
    .reduce((sum, rows) => g.add(sum, rows));
}

const ACTIVATIONS: { readonly [name: string]: Activation } = {
  gelu: Activation.gelu,
  gelu_python: Activation.gelu,
  gelu_new: Activation.gelu_tanh,
  gelu_fast: Activation.gelu_tanh,
  gelu_pytorch_tanh: Activation.gelu_tanh,
  quick_gelu: Activation.quick_gelu,
  relu: Activation.relu,
  relu2: Activation.relu2,
  silu: Activation.silu,
  swish: Activation.silu,
  tanh: Activation.tanh,
  sigmoid: Activation.sigmoid,
  linear: Activation.none,
};

/** An activation by its name in transformers' ACT2FN. @throws UnsupportedOptionError */
export const activationOf = (name: string, option: string): Activation => entry(ACTIVATIONS, name, option);

export function configActivation(config: Config, names: Names, otherwise: string): Activation {
  return activationOf(config.string(names, undefined, otherwise), `${config.file}: ${[names].flat()[0]}`);
}

/** Refuses options that would change what a model gives and that its family does not have: where they are there, they must be these. */
export function only(config: Config, values: { readonly [name: string]: unknown }): void {
  for (const [name, value] of Object.entries(values)) config.get(name, (v) => v === value, [value], value);
}

/** The hidden state of each sequence's first token, which classifiers read: [B, cols]. */
export function firstToken(g: Graph, x: Value, scale = 1): Node {
  return g.embed(g.input("first_rows", "B"), x, scale);
}

/** The same of the second token, which is the distillation token of models that have one. */
export function secondToken(g: Graph, x: Value, scale = 1): Node {
  return g.embed(g.input("second_rows", "B"), x, scale);
}
