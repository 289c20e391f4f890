import { UnsupportedOptionError } from "../errors.ts";
import type { Config } from "../format/config.ts";
import { llamaLike } from "./causal.ts";

const KINDS = ["global", "local"];

/** Of each layer `global` or `local`: as a list, or as patterns with how often they come. */
function local(config: Config, layer: number): boolean {
  type Pattern = [kinds: string[], times: number];
  const good = (p: Pattern) => Array.isArray(p?.[0]) && Number.isInteger(p[1]) && p[1] <= 1 << 12;
  const patterns = config.get<Pattern[]>("attention_types", (v) => Array.isArray(v) && v.every(good), ["patterns"], []);
  const kinds = patterns.flatMap(([kinds, times]) => Array.from({ length: times }, () => kinds).flat());
  const kind = config.strings("attention_layers", KINDS)[layer] ?? kinds[layer] ?? KINDS[layer % 2];
  if (!KINDS.includes(kind)) throw new UnsupportedOptionError(`${config.file}: attention_types`, kind, KINDS);
  return kind === "local";
}

/** GPT-Neo (https://doi.org/10.5281/zenodo.5297715): GPT-2 in which every other layer sees a window, scores not scaled. */
export const gptNeo = llamaLike({
  prefix: "transformer",
  names: {
    words: "wte",
    layers: "h",
    attention: "attn.attention",
    output: "out_proj",
    up: "c_fc",
    down: "c_proj",
    norm: "ln_f",
  },
  options: {
    heads: ["num_heads", "num_attention_heads"],
    layers: ["num_layers", "num_hidden_layers"],
    eps: "layer_norm_epsilon",
  },
  bias: { qkv: false, output: true, mlp: true },
  norm: "layer",
  norms: { attention: "ln_1", feed: "ln_2" },
  activation: ["activation_function", "gelu_new"],
  mlp: "plain",
  rules: (config) => ({ sizes: { position_ids: config.int("max_position_embeddings") } }),
  embedded({ g, config, hidden_size }, x, at) {
    const table = g.weight(`${at}wpe.weight`, [config.int("max_position_embeddings"), hidden_size]);
    return g.add(x, g.embed(g.input("position_ids", "T"), table));
  },
  rope: () => undefined,
  attention: (config, _p, _at, layer) => ({
    scale: 1,
    left: local(config, layer) ? config.int("window_size", { default: 256 }) - 1 : undefined,
  }),
  ignore: /(^|\.)attention\.(bias|masked_bias)$/,
});
