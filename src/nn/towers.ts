import type { Config } from "../format/config.ts";
import type { Graph, Value } from "../graph/graph.ts";
import { Activation } from "../graph/op.ts";
import { configActivation } from "./blocks.ts";
import { type LayerNames, preNormLayer, stack } from "./encoder.ts";
import { imageGrid, type PatchNames, patchEmbeddings } from "./patches.ts";

/** What CLIP's towers (arXiv:2103.00020) and those that have its names are where the config does not say. */
export interface Tower {
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly heads: number;
  readonly activation: string;
  readonly eps: number;
}

const names: LayerNames = {
  query: "self_attn.q_proj",
  key: "self_attn.k_proj",
  value: "self_attn.v_proj",
  output: "self_attn.out_proj",
  attention_norm: "layer_norm1",
  up: "mlp.fc1",
  down: "mlp.fc2",
  norm: "layer_norm2",
};

/** The sizes of a tower, as its config says them. */
export function towerOf(config: Config, tower: Tower) {
  return {
    hidden_size: config.int("hidden_size", { default: tower.hidden_size }),
    intermediate_size: config.int("intermediate_size", { default: tower.intermediate_size }),
    heads: config.int("num_attention_heads", { default: tower.heads }),
    activation: configActivation(config, "hidden_act", tower.activation),
    eps: config.number("layer_norm_eps", { max: 1, default: tower.eps }),
  };
}

/** The layers of a tower; `right` 0: tokens see those before them alone. */
export function towerLayers(g: Graph, config: Config, at: string, tower: Tower, x: Value, right?: number) {
  const { heads, ...options } = towerOf(config, tower);
  return stack(x, config.int("num_hidden_layers", { default: 12 }), (x, i) =>
    preNormLayer(g, `${at}encoder.layers.${i}.`, names, x, { ...options, attention: { heads, right } }),
  );
}

/** Words and their positions. */
export function textEmbeddings(g: Graph, at: string, sizes: { readonly [ids: string]: number }, width: number): Value {
  const table = (name: string, ids: string) =>
    g.embed(g.input(ids, "T"), g.weight(`${at}embeddings.${name}_embedding.weight`, [sizes[ids], width]));
  return g.add(table("token", "input_ids"), table("position", "position_ids"));
}

/** Patches and their positions, behind a class token where the tower has one. */
export function imageEmbeddings(
  g: Graph,
  config: Config,
  at: string,
  width: number,
  tokens: 0 | 1,
  patch_size: number,
) {
  const parts: PatchNames = {
    projection: `${at}embeddings.patch_embedding`,
    bias: !tokens,
    tokens: tokens ? [`${at}embeddings.class_embedding`] : [],
    token_dims: [],
    positions: `${at}embeddings.position_embedding.weight`,
    position_dims: [],
  };
  return patchEmbeddings(g, towerGrid(config, tokens, patch_size), parts, width);
}

export const towerGrid = (config: Config, tokens: 0 | 1, patch_size: number) =>
  imageGrid(config, { tokens, interpolate: "asked" }, { patch_size });

/** What two towers give together: each text's and each image's embedding, and how they match. `at` is where the logits' scale and bias are. */
export function similarities(g: Graph, side: Graph, at: string, text: Value, image: Value, biased: boolean) {
  const text_embeds = g.normalize(text);
  const image_embeds = side.normalize(image);
  // Each text beside each image: what a program knows of both numbers when inputs come. d numbers a pair, for a while.
  const pairs = g.mul(
    g.embed(g.input("pair_texts", "X"), text_embeds),
    g.embed(g.input("pair_images", "X"), image_embeds),
  );
  const ones = g.constant(new Float32Array(text.cols).fill(1));
  const cosines = g.columns(g.headProducts(pairs, ones, 1), 0, 1);
  const number = (name: string) => g.weight(at + name, g.shapes.get(at + name)?.shape ?? []);
  const scaled = g.mul(cosines, g.activation(number("logit_scale"), Activation.exp));
  const logits_per_text = biased ? g.add(scaled, number("logit_bias")) : scaled;
  const logits_per_image = side.embed(side.input("pairs", "X"), logits_per_text);
  return { logits_per_image, logits_per_text, text_embeds, image_embeds };
}
