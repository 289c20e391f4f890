import { UnsupportedOptionError } from "../errors.ts";
import type { Config } from "../format/config.ts";
import { type AttentionOptions, type Graph, pad, type Value } from "../graph/graph.ts";
import { configActivation, embeddings, layerNorm, linear, only } from "../nn/blocks.ts";
import { postNormLayer, stack } from "../nn/encoder.ts";
import { classifier, maskedLM, pooler } from "../nn/heads.ts";
import { logBucket, relativeRows } from "../nn/relative.ts";
import type { Architecture } from "./architecture.ts";
import { bertNames, bertOptions, QuestionAnswering, TokenClassification } from "./bert.ts";

const embeddingSize = (config: Config) => config.int("embedding_size", { default: config.int("hidden_size") });
const convWidth = (config: Config) => config.int("conv_kernel_size", { min: 0, default: 0 });

function options(config: Config) {
  return { ...bertOptions(config), eps: config.number("layer_norm_eps", { max: 1, default: 1e-7 }) };
}

const LAYER = {
  ...bertNames,
  query: "attention.self.query_proj",
  key: "attention.self.key_proj",
  value: "attention.self.value_proj",
};

/** DeBERTa v2 and v3 (arXiv:2006.03654, 2111.09543): attention that also weighs content against relative position, and the other way round. */
export const debertaV2: Architecture = {
  prefix: "deberta",
  ignore: /(^|\.)position_embeddings\.weight$|(^|\.)encoder\.(rel_embeddings|LayerNorm)\./,
  rules(config) {
    const types = config.int("type_vocab_size", { min: 0, default: 0 });
    const positions = config.bool("position_biased_input", true);
    return {
      heads: config.int("num_attention_heads"),
      sizes: {
        input_ids: config.int("vocab_size"),
        ...(types && { token_type_ids: types }),
        ...(positions && { position_ids: config.int("max_position_embeddings", { default: 512 }) }),
      },
      keep_holes: convWidth(config) > 0,
      even: true,
    };
  },
  body(g, config, at) {
    const hidden_size = config.int("hidden_size");
    const o = options(config);
    const sum = embeddings(g, at, this.rules(config).sizes, embeddingSize(config));
    const wide = sum.cols === hidden_size ? sum : linear(g, `${at}embeddings.embed_proj`, sum, hidden_size, false);
    // Masked rows are zeros.
    const first = g.unfold(layerNorm(g, `${at}embeddings.LayerNorm`, wide, o.eps), 1, 0);
    const relative = disentangled(g, config, at, o.eps);
    const width = convWidth(config);
    return stack(first, config.int("num_hidden_layers"), (x, i) => {
      const layer = `${at}encoder.layer.${i}.`;
      const attention = (q: Value, k: Value) => relative(q, k, `${layer}attention.self.`);
      const made = postNormLayer(g, layer, LAYER, x, { ...o, attention });
      return width && !i ? { ...made, x: convolve(g, config, at, first, made.x, o.eps) } : made;
    });
  },
  heads: {
    MaskedLM: (g, config, body, at) => {
      const { activation, eps } = options(config);
      const legacy = config.bool("legacy", true);
      const cls = legacy ? "cls.predictions.transform" : "lm_predictions.lm_head";
      const names = {
        dense: `${cls}.dense`,
        norm: `${cls}.LayerNorm`,
        decoder: legacy ? "cls.predictions.decoder" : `${at}embeddings.word_embeddings`,
        bias: legacy ? "cls.predictions.bias" : `${cls}.bias`,
        words: `${at}embeddings.word_embeddings`,
      };
      return maskedLM(g, config, names, body.last_hidden_state, { activation, eps, width: embeddingSize(config) });
    },
    SequenceClassification: (g, config, body) => {
      const kind = configActivation(config, "pooler_hidden_act", "gelu");
      return classifier(g, config, pooler(g, "pooler.dense", body.last_hidden_state, kind));
    },
    TokenClassification,
    QuestionAnswering,
  },
};

/** LayerNorm(y + act(Conv1d(x))): what the first layer gives and a convolution over the embeddings, added up. */
function convolve(g: Graph, config: Config, at: string, x: Value, y: Value, eps: number): Value {
  const width = convWidth(config);
  if (width % 2 === 0) throw new UnsupportedOptionError(`${config.file}: conv_kernel_size`, width, ["odd sizes"]);
  only(config, { conv_groups: 1 });
  const name = `${at}encoder.conv.conv`;
  const weight = g.weight(`${name}.weight`, [x.cols, x.cols, width]);
  const conv = g.linear(g.unfold(x, width, (width - 1) / 2), weight, g.weight(`${name}.bias`, [x.cols]));
  const sum = g.add(g.activation(conv, configActivation(config, "conv_act", "tanh")), y);
  return g.unfold(layerNorm(g, `${at}encoder.conv.LayerNorm`, sum, eps), 1, 0);
}

/** Section 3 of the paper: what the scores of a layer take besides, given its queries and keys and what its tensors' names begin with. */
function disentangled(g: Graph, config: Config, at: string, eps: number) {
  const heads = config.int("num_attention_heads");
  const hidden_size = config.int("hidden_size");
  only(config, { attention_head_size: hidden_size / heads });
  const terms = listed(config, "pos_att_type");
  const [c2p, p2c] = [terms.includes("c2p"), terms.includes("p2c")];
  const plain = { heads, scale: 1 / Math.sqrt((hidden_size / heads) * (1 + +c2p + +p2c)) };
  if (!config.bool("relative_attention") || !(c2p || p2c)) return (): AttentionOptions => plain;

  const given = config.int("max_relative_positions", { min: -1, default: -1 });
  const most = given > 0 ? given : config.int("max_position_embeddings", { default: 512 });
  const buckets = config.int("position_buckets", { min: -1, default: -1 });
  const half = buckets > 0 ? buckets : most;
  if (buckets > 0 && most <= Math.floor(buckets / 2) + 1)
    throw new UnsupportedOptionError(`${config.file}: position_buckets`, buckets, [`less than 2 · ${most - 1}`]);
  const index = relativeRows(half, (distance) => (buckets > 0 ? logBucket(distance, buckets, most) : distance));
  const table = g.weight(`${at}encoder.rel_embeddings.weight`, [2 * half, hidden_size]);
  const norm = listed(config, "norm_rel_ebd").includes("layer_norm");
  const rel = norm ? layerNorm(g, `${at}encoder.LayerNorm`, table, eps) : table;
  const own = config.bool("share_att_key") ? "" : "pos_";
  const ids = g.constant(index, index.length);
  return (q: Value, k: Value, self: string): AttentionOptions => {
    const products = (x: Value, name: string) =>
      g.headProducts(x, linear(g, `${self}${own}${name}_proj`, rel, hidden_size), heads);
    const relative = {
      c2p: c2p ? products(q, "key") : undefined,
      p2c: p2c ? products(k, "query") : undefined,
      ld: pad(2 * half),
      index: ids,
      span: (index.length - 1) / 2,
    };
    return { ...plain, relative };
  };
}

/** A list, or its parts joined by "|". */
function listed(config: Config, name: string): string[] {
  if (Array.isArray(config.raw[name])) return config.strings(name);
  const parts = config.string(name, undefined, "none").toLowerCase().split("|");
  return parts.map((part) => part.trim());
}
