import { UnsupportedOptionError } from "../errors.ts";
import type { Config } from "../format/config.ts";
import type { Graph, Value } from "../graph/graph.ts";
import { activationOf, linear } from "../nn/blocks.ts";
import { stack } from "../nn/encoder.ts";
import { logBucketT5, relativeBias } from "../nn/relative.ts";
import { type InputRules, layOut } from "../runtime/batch.ts";
import type { Architecture } from "./architecture.ts";
import { languageHead } from "./causal.ts";
import { bothSides, sides } from "./encoderDecoder.ts";

type Side = "encoder" | "decoder";

const rules = (config: Config): InputRules => ({
  heads: config.int("num_heads", { default: 8 }),
  sizes: { input_ids: config.int("vocab_size") },
  drop_first: true,
});

/** The activation, and whether it gates: feed_forward_proj is its name, or gated-NAME, where gelu is the approximation by tanh. */
function feedForward(config: Config, otherwise: string) {
  const name = config.string("feed_forward_proj", undefined, otherwise);
  const [, gated, kind] = /^(gated-)?([a-z0-9_]+)$/.exec(name) ?? [];
  if (!kind) throw new UnsupportedOptionError(`${config.file}: feed_forward_proj`, name, ["relu", "gated-gelu"]);
  const own = gated && kind === "gelu" ? "gelu_new" : kind;
  return { gated: !!gated, kind: activationOf(own, `${config.file}: feed_forward_proj`) };
}

/** T5 (arXiv:1910.10683): relative positions in the scores alone, RMS norms before, no biases, scores that are not scaled. */
function t5Like(feed: string, scaled: (config: Config) => boolean): Architecture {
  return {
    prefix: "transformer",
    ...sides((inputs, config) => layOut(inputs, rules(config)), rules),
    body(g, config, at) {
      const build = (g: Graph, side: Side, memory?: Value) => layers(g, config, at, side, feed, memory);
      const encoder = build(g.side("encoder"), "encoder");
      const decoder = build(g, "decoder", encoder.last_hidden_state);
      return bothSides(encoder, decoder, decoder.cross_attentions);
    },
    heads: {
      ConditionalGeneration: (g, config, { last_hidden_state }, at) => {
        const scale = scaled(config) ? 1 / Math.sqrt(config.int("d_model")) : 1;
        // Files of T5 1.1 say that words are tied where they are not, or have a head of their own and say nothing.
        const name = scale === 1 && g.has("lm_head.weight") ? "lm_head" : words(g, at);
        return languageHead(g, config, last_hidden_state, at, { words: name, own: name, scale });
      },
    },
    ignore:
      /(^|\.)(encoder|decoder)\.embed_tokens\.weight$|^lm_head\.weight$|^shared\.weight$|decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight$/,
  };
}

/** Files that hold shared tensors once have the words' table under any of its names. */
const words = (g: Graph, at: string): string =>
  ["shared", "encoder.embed_tokens", "decoder.embed_tokens"].map((n) => at + n).find((n) => g.has(`${n}.weight`)) ??
  `${at}shared`;

function layers(g: Graph, config: Config, at: string, side: Side, feed: string, memory?: Value) {
  const width = config.int("d_model");
  const { heads, sizes } = rules(config);
  const inner = heads * config.int("d_kv", { default: 64 });
  const d_ff = config.int("d_ff");
  const { gated, kind } = feedForward(config, feed);
  const eps = config.number("layer_norm_epsilon", { max: 1, default: 1e-6 });
  const buckets = config.int("relative_attention_num_buckets", { min: 4, default: 32 });
  // Half of a side's buckets are single distances: the others need some that lie beyond.
  const single = Math.floor((side === "encoder" ? Math.floor(buckets / 2) : buckets) / 2);
  const most = config.int("relative_attention_max_distance", { min: single + 1, default: 128 });
  const norm = (name: string, x: Value) => g.rmsNorm(x, g.weight(`${name}.weight`, [width]), eps);
  const count = config.int(side === "decoder" ? ["num_decoder_layers", "num_layers"] : "num_layers");

  const table = g.weight(`${at}${side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight`, [buckets, heads]);
  const bias = relativeBias(g, table, heads, most, (n) => logBucketT5(n, buckets, most, side === "encoder"));
  const x = g.embed(g.input("input_ids", "T"), g.weight(`${words(g, at)}.weight`, [sizes.input_ids, width]));
  const cross_attentions: Value[] = [];
  const made = stack(x, count, (x, i) => {
    const layer = `${at}${side}.block.${i}.layer.`;
    const keep = (v: Value) => (side === "decoder" ? g.cache(v) : v);
    const attend = (name: string, x: Value, options: { bias?: Value; right?: number }, from?: Value) => {
      const own = norm(`${layer}${name.split(".")[0]}.layer_norm`, x);
      const [q, k, v] = ["q", "k", "v"].map((n) =>
        linear(g, `${layer}${name}.${n}`, n === "q" ? own : (from ?? own), inner, false),
      );
      const { out, probabilities } = g.attention(q, keep(k), keep(v), { heads, scale: 1, ...options });
      return { x: g.add(linear(g, `${layer}${name}.o`, out, width, false), x), probabilities };
    };
    const right = side === "decoder" ? 0 : undefined;
    const { x: y, probabilities } = attend("0.SelfAttention", x, { bias, right });
    const crossed = memory && attend("1.EncDecAttention", y, {}, memory);
    if (crossed) cross_attentions.push(crossed.probabilities);
    const last = `${layer}${memory ? 2 : 1}`;
    const z = crossed?.x ?? y;
    const m = norm(`${last}.layer_norm`, z);
    const into = (name: string) => linear(g, `${last}.DenseReluDense.${name}`, m, d_ff, false);
    const fed = gated ? g.glu(into("wi_0"), into("wi_1"), kind) : g.activation(into("wi"), kind);
    return { x: g.add(linear(g, `${last}.DenseReluDense.wo`, fed, width, false), z), probabilities };
  });
  const last_hidden_state = norm(`${at}${side}.final_layer_norm`, made.last_hidden_state);
  return {
    ...made,
    last_hidden_state,
    hidden_states: made.hidden_states.with(-1, last_hidden_state),
    cross_attentions,
  };
}

/** T5 and T5 1.1: of those with a head of their own, logits are not scaled. */
export const t5 = t5Like("relu", (config) =>
  config.bool("scale_decoder_outputs", config.bool("tie_word_embeddings", true)),
);

/** mT5 (arXiv:2010.11934). */
export const mt5 = t5Like("gated-gelu", () => false);
