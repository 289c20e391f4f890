import type { Config } from "../format/config.ts";
import type { Graph, Value } from "../graph/graph.ts";
import { Pooling } from "../graph/op.ts";
import { layerNorm, linear } from "../nn/blocks.ts";
import { classifier, dense } from "../nn/heads.ts";
import {
  imageEmbeddings,
  similarities,
  type Tower,
  textEmbeddings,
  towerGrid,
  towerLayers,
  towerOf,
} from "../nn/towers.ts";
import type { InputRules } from "../runtime/batch.ts";
import type { Architecture, Body } from "./architecture.ts";
import { type Towers, twoTowers } from "./twoTowers.ts";
import { ofImages } from "./vit.ts";

const tower: Tower = {
  hidden_size: 768,
  intermediate_size: 3072,
  heads: 12,
  activation: "gelu_pytorch_tanh",
  eps: 1e-6,
};
const PATCH = 16;

function textRules(config: Config): InputRules {
  return {
    heads: towerOf(config, tower).heads,
    sizes: {
      input_ids: config.int("vocab_size", { default: 32000 }),
      position_ids: config.int("max_position_embeddings", { default: 64 }),
    },
    // The last place, padding or not: SigLIP was trained with texts padded to one length.
    pooled: (ids) => ids.findLastIndex((id) => id >= 0),
  };
}

const grid = (config: Config) => towerGrid(config, 0, PATCH);

function textBody(g: Graph, config: Config, at: string): Body {
  const { hidden_size, eps } = towerOf(config, tower);
  const x = textEmbeddings(g, at, textRules(config).sizes, hidden_size);
  const layers = towerLayers(g, config, at, tower, x);
  const last_hidden_state = layerNorm(g, `${at}final_layer_norm`, layers.last_hidden_state, eps);
  const last = g.embed(g.input("pooled_rows", "B"), last_hidden_state);
  const size = config.int("projection_size", { default: hidden_size });
  return { ...layers, last_hidden_state, pooler_output: linear(g, `${at}head`, last, size) };
}

function visionBody(g: Graph, config: Config, at: string): Body {
  const { hidden_size, eps } = towerOf(config, tower);
  const layers = towerLayers(g, config, at, tower, imageEmbeddings(g, config, at, hidden_size, 0, PATCH));
  const last_hidden_state = layerNorm(g, `${at}post_layernorm`, layers.last_hidden_state, eps);
  const body = { ...layers, last_hidden_state };
  return config.bool("vision_use_head", true)
    ? { ...body, pooler_output: attentionPooling(g, config, `${at}head.`, last_hidden_state) }
    : body;
}

/** One learned query over all patches, then a feed-forward (arXiv:1810.00825). */
function attentionPooling(g: Graph, config: Config, at: string, x: Value): Value {
  const { hidden_size: width, intermediate_size, heads, activation, eps } = towerOf(config, tower);
  const project = (x: Value) =>
    g.linear(
      x,
      g.weight(`${at}attention.in_proj_weight`, [3 * width, width]),
      g.weight(`${at}attention.in_proj_bias`, [3 * width]),
    );
  const probe = g.columns(project(g.weight(`${at}probe`, [1, 1, width])), 0, width);
  const all = project(x);
  const [k, v] = [1, 2].map((part) => g.columns(all, part * width, width));
  const q = g.embed(g.input("no_rows", "B"), probe);
  const q_offsets = g.input("single_rows", "B");
  const { out } = g.attention(q, k, v, { heads, q_offsets, k_offsets: g.input("offsets", "B") });
  const y = linear(g, `${at}attention.out_proj`, out, width);
  const up = dense(g, `${at}mlp.fc1`, layerNorm(g, `${at}layernorm`, y, eps), activation, intermediate_size);
  return g.add(linear(g, `${at}mlp.fc2`, up, width), y);
}

/** SigLIP's tower of texts (arXiv:2303.15343). */
export const siglipText: Architecture = { prefix: "text_model", rules: textRules, body: textBody, heads: {} };

/** SigLIP's tower of images. */
export const siglipVision: Architecture = {
  prefix: "vision_model",
  ...ofImages(grid),
  body: visionBody,
  heads: {},
};

const towers: Towers = {
  textRules,
  textBody,
  grid,
  visionBody,
  match: (g, side, _config, at, texts, images) =>
    similarities(g, side, at, texts.pooler_output!, images.pooler_output!, true),
};

/** SigLIP: two towers; each pair of a text and an image is a yes or a no, so that logits have a bias. */
export const siglip: Architecture = {
  ...twoTowers("siglip", towers),
  heads: {
    /** Over the mean of the patches. */
    ImageClassification: (g, config, { last_hidden_state }) =>
      classifier(g, config, g.pool(last_hidden_state, Pooling.mean)),
  },
};
