import type { Config } from "../format/config.ts";
import { alibiSlopes } from "../nn/relative.ts";
import { bloomNames } from "./bloom.ts";
import { grouped, llamaLike, NORMS } from "./causal.ts";

const bias = ["bias", false] as const;
const fresh = (config: Config) => config.bool("new_decoder_architecture");
const parallel = (config: Config) => config.bool("parallel_attn", true);

/** The nearest bfloat16: transformers rounds Falcon's slopes so. */
function rounded(x: number): number {
  const [bits] = new Uint32Array(Float32Array.of(x).buffer);
  return new Float32Array(Uint32Array.of((bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000).buffer)[0];
}

/** Falcon (arXiv:2311.16867): attention and feed-forward side by side, few keys, rotated or by ALiBi. */
export const falcon = llamaLike({
  prefix: "transformer",
  names: bloomNames,
  options: { hidden_size: ["hidden_size", "n_embed"], inner: "ffn_hidden_size", eps: "layer_norm_epsilon" },
  kv_heads(config) {
    const heads = config.int("num_attention_heads");
    if (fresh(config)) return config.int("num_kv_heads", { default: heads });
    return config.bool("multi_query", true) ? 1 : heads;
  },
  bias: { qkv: bias, output: bias, mlp: bias },
  norm: "layer",
  norms(config) {
    if (!parallel(config)) return NORMS.before;
    const two = fresh(config) && config.int("num_ln_in_parallel_attn", { default: 2 }) === 2;
    return two ? { attention: "ln_attn", feed: "ln_mlp" } : { attention: "input_layernorm" };
  },
  parallel,
  activation: ["activation", "gelu"],
  mlp: "plain",
  rope: (config, type) => (config.bool("alibi") ? undefined : config.rope(type)),
  qkv: (p, at, x, bias) => grouped(p, `${at}query_key_value`, x, bias),
  attention: (config, { g, heads, head_dim }) =>
    config.bool("alibi") ? { slopes: g.constant(alibiSlopes(heads).map((x) => rounded(x) / Math.sqrt(head_dim))) } : {},
});
