import { type LayerNames, postNormLayer, stack } from "../nn/encoder.ts";
import { withPooler } from "../nn/heads.ts";
import { logBucketT5, relativeBias } from "../nn/relative.ts";
import type { Architecture } from "./architecture.ts";
import { bertEmbeddings, bertNames, bertOptions, bertRules } from "./bert.ts";
import { roberta } from "./roberta.ts";

const BUCKETS = 32;
/** Keys that are further away than this share a bucket. */
const MAX_DISTANCE = 128;

/** T5's buckets. */
export const bucket = (distance: number): number => logBucketT5(distance, BUCKETS, MAX_DISTANCE, true);

const LAYER: LayerNames = {
  ...bertNames,
  query: "attention.attn.q",
  key: "attention.attn.k",
  value: "attention.attn.v",
  output: "attention.attn.o",
  attention_norm: "attention.LayerNorm",
};

/** MPNet (arXiv:2004.09297): RoBERTa with a bias by relative position (T5's), one table for all layers. */
export const mpnet: Architecture = {
  prefix: "mpnet",
  rules(config) {
    const { heads, sizes } = bertRules(config);
    const { input_ids, position_ids } = sizes;
    return { heads, sizes: { input_ids, position_ids }, padded_positions: 1 }; // whatever pad_token_id says
  },
  body(g, config, at) {
    const rules = this.rules(config);
    const { heads } = rules;
    const size = config.int("relative_attention_num_buckets", { min: BUCKETS, default: BUCKETS });
    const table = g.weight(`${at}encoder.relative_attention_bias.weight`, [size, heads]);
    const attention = { heads, bias: relativeBias(g, table, heads, MAX_DISTANCE, bucket) };
    const options = { ...bertOptions(config), attention };
    const first = bertEmbeddings(g, config, at, config.int("hidden_size"), rules);
    const body = stack(first, config.int("num_hidden_layers"), (x, i) => {
      return postNormLayer(g, `${at}encoder.layer.${i}.`, LAYER, x, options);
    });
    return withPooler(g, `${at}pooler.dense`, body);
  },
  heads: roberta.heads,
};
