import { UnsupportedOptionError } from "../errors.ts";
import type { Config } from "../format/config.ts";
import type { AttentionOptions, Graph, Value } from "../graph/graph.ts";
import { configActivation, embeddings, layerNorm, linear, only } from "../nn/blocks.ts";
import { postNormLayer, stack } from "../nn/encoder.ts";
import { classifier, maskedLM, pooler } from "../nn/heads.ts";
import { log } from "../numeric.ts";
import type { Architecture } from "./architecture.ts";
import { bertNames, bertOptions, QuestionAnswering, TokenClassification } from "./bert.ts";

const embeddingSize = (config: Config) =>
  config.int("embedding_size", { default: config.int("hidden_size") });
const convWidth = (config: Config) => config.int("conv_kernel_size", { min: 0, default: 0 });

function options(config: Config) {
  return { ...bertOptions(config), eps: config.number("layer_norm_eps", { max: 1, default: 1e-7 }) };
}

/** DeBERTa v2 and v3 (arXiv:2006.03654, 2111.09543): attention that also weighs content against relative position, and the other way round. */
export const debertaV2: Architecture = {
  prefix: "deberta",
  ignore: /(^|\.)position_embeddings\.weight$|(^|\.)encoder\.LayerNorm\./,
  rules(config) {
    const positions = config.bool("position_biased_input", true);
    return {
      heads: config.int("num_attention_heads"),
      sizes: {
        input_ids: config.int("vocab_size"),
        token_type_ids: config.int("type_vocab_size", { min: 0, default: 0 }),
        ...(positions && { position_ids: config.int("max_position_embeddings", { default: 512 }) }),
      },
      keep_holes: convWidth(config) > 0,
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
      const self = `${layer}attention.self.`;
      const names = {
        ...bertNames(layer),
        query: `${self}query_proj`,
        key: `${self}key_proj`,
        value: `${self}value_proj`,
      };
      const attention = (q: Value, k: Value) => relative(q, k, self);
      const made = postNormLayer(g, names, x, { ...o, attention });
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
      return classifier(g, config, "classifier", pooler(g, "pooler.dense", body.last_hidden_state, kind));
    },
    TokenClassification,
    QuestionAnswering,
  },
};

/** LayerNorm(y + act(Conv1d(x))): what the first layer gives and a convolution over the embeddings, added up. */
function convolve(g: Graph, config: Config, at: string, x: Value, y: Value, eps: number): Value {
  const width = convWidth(config);
  const groups = config.int("conv_groups", { default: 1 });
  if (width % 2 === 0) throw new UnsupportedOptionError("conv_kernel_size", width, ["odd sizes"]);
  if (x.cols % groups) throw new UnsupportedOptionError("conv_groups", groups, [`divisors of ${x.cols}`]);
  const name = `${at}encoder.conv.conv`;
  const weight = g.weight(`${name}.weight`, [x.cols, x.cols / groups, width], false, groups);
  const bias = g.weight(`${name}.bias`, [x.cols]);
  const conv = g.linear(g.unfold(x, width, (width - 1) / 2), weight, bias);
  const kind = configActivation(config, "conv_act", "tanh");
  const sum = g.add(g.activation(conv, kind), y);
  return g.unfold(layerNorm(g, `${at}encoder.conv.LayerNorm`, sum, eps), 1, 0);
}

/** The attention of section 3 of the paper: for a layer's queries and keys the terms by relative position that its scores take besides. */
function disentangled(g: Graph, config: Config, at: string, eps: number) {
  const heads = config.int("num_attention_heads");
  const hidden_size = config.int("hidden_size");
  const head_dim = hidden_size / heads;
  only(config, { attention_head_size: head_dim });
  const list = typeof config.raw.pos_att_type === "string"
    ? config.string("pos_att_type").toLowerCase().split("|").map((s) => s.trim())
    : config.strings("pos_att_type");
  const c2p = list.includes("c2p");
  const p2c = list.includes("p2c");
  const plain: AttentionOptions = { heads, scale: 1 / Math.sqrt(head_dim * (1 + +c2p + +p2c)) };
  if (!config.bool("relative_attention")) return () => plain;

  const given = config.int("max_relative_positions", { min: -1, default: -1 });
  const most = given < 1 ? config.int("max_position_embeddings", { default: 512 }) : given;
  const buckets = config.int("position_buckets", { min: -1, default: -1 });
  const half = buckets > 0 ? buckets : most;
  const index = g.constant(...positionIndex(half, buckets, most))
  const table = g.weight(`${at}encoder.rel_embeddings.weight`, [2 * half, hidden_size]);
  const norm = config.string("norm_rel_ebd", undefined, "none").toLowerCase().split("|").some((s) => s.trim() === "layer_norm");
  const rel = norm ? layerNorm(g, `${at}encoder.LayerNorm`, table, eps) : table;
  const shared = config.bool("share_att_key");
  return (q: Value, k: Value, self: string): AttentionOptions => {
    const products = (x: Value, name: string) =>
      g.headProducts(x, linear(g, `${self}${shared ? "" : "pos_"}${name}_proj`, rel, hidden_size), heads);
    return {
      ...plain,
      relative: {
        c2p: c2p ? products(q, "key") : undefined,
        p2c: p2c ? products(k, "query") : undefined,
        ld: 1,
        index,
        span: 1,
      },
    };
  };
}
