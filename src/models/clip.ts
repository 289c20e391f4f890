import type { Config } from "../format/config.ts";
import type { Graph, Value } from "../graph/graph.ts";
import { Pooling } from "../graph/op.ts";
import { firstToken, layerNorm, linear } from "../nn/blocks.ts";
import { classifier } from "../nn/heads.ts";
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

const text: Tower = { hidden_size: 512, intermediate_size: 2048, heads: 8, activation: "quick_gelu", eps: 1e-5 };
const vision: Tower = { ...text, hidden_size: 768, intermediate_size: 3072, heads: 12 };
const PATCH = 32;

/** A text's vector is that of its end: files of before transformers 4.31 name another id (2), and mean the largest. */
function end(config: Config): (ids: Int32Array) => number {
  const eos = config.int("eos_token_id", { min: 0, default: 49407 });
  return (ids) => Math.max(0, ids.indexOf(eos === 2 ? ids.reduce((a, b) => Math.max(a, b)) : eos));
}

function textRules(config: Config): InputRules {
  return {
    heads: towerOf(config, text).heads,
    sizes: {
      input_ids: config.int("vocab_size", { default: 49408 }),
      position_ids: config.int("max_position_embeddings", { default: 77 }),
    },
    pooled: end(config),
  };
}

const grid = (config: Config) => towerGrid(config, 1, PATCH);

function textBody(g: Graph, config: Config, at: string): Body {
  const { hidden_size, eps } = towerOf(config, text);
  const x = textEmbeddings(g, at, textRules(config).sizes, hidden_size);
  const layers = towerLayers(g, config, at, text, x, 0);
  const last_hidden_state = layerNorm(g, `${at}final_layer_norm`, layers.last_hidden_state, eps);
  return { ...layers, last_hidden_state, pooler_output: g.embed(g.input("pooled_rows", "B"), last_hidden_state) };
}

function visionBody(g: Graph, config: Config, at: string): Body {
  const { hidden_size, eps } = towerOf(config, vision);
  const x = layerNorm(g, `${at}pre_layrnorm`, imageEmbeddings(g, config, at, hidden_size, 1, PATCH), eps);
  const layers = towerLayers(g, config, at, vision, x);
  const pooler_output = layerNorm(g, `${at}post_layernorm`, firstToken(g, layers.last_hidden_state), eps);
  return { ...layers, pooler_output };
}

const project = (g: Graph, config: Config, name: string, { pooler_output }: Body) =>
  linear(g, name, pooler_output!, config.int("projection_dim", { default: 512 }), false);

/** A tower alone, with its projection where the checkpoint has one. */
const alone = (g: Graph, config: Config, name: string, output: string, body: Body): Body =>
  g.has(`${name}.weight`) ? { ...body, [output]: project(g, config, name, body) } : body;

/** CLIP's tower of texts (arXiv:2103.00020). */
export const clipText: Architecture = {
  prefix: "text_model",
  rules: textRules,
  body: (g, config, at) => alone(g, config, "text_projection", "text_embeds", textBody(g, config, at)),
  heads: {},
};

/** CLIP's tower of images. */
export const clipVision: Architecture = {
  prefix: "vision_model",
  ...ofImages(grid),
  body: (g, config, at) => alone(g, config, "visual_projection", "image_embeds", visionBody(g, config, at)),
  heads: {},
};

const towers: Towers = {
  textRules,
  textBody,
  grid,
  visionBody,
  match(g, side, config, at, texts, images) {
    const project_to = (g: Graph, name: string, body: Body): Value => project(g, config, at + name, body);
    const embeds = [project_to(g, "text_projection", texts), project_to(side, "visual_projection", images)] as const;
    return similarities(g, side, at, ...embeds, false);
  },
};

/** CLIP: two towers whose vectors are alike where text and image match. */
export const clip: Architecture = {
  ...twoTowers("clip", towers),
  heads: {
    /** Over the mean of the patches. */
    ImageClassification: (g, config, { last_hidden_state }) =>
      classifier(g, config, g.pool(last_hidden_state, Pooling.mean)),
  },
};
