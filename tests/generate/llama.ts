import { read } from "./models.ts";

/**
 * Llama by plain loops in f64, token by token, with the cache of StreamingLLM (arXiv:2309.17453, section 3.2): keys lie unrotated, and are
 * rotated at each reading by their place in the cache. It forgets `step` tokens behind the sinks when `sinks + window` are there.
 */
export function naiveLlama({ window, sinks, step }: { window: number; sinks: number; step: number }) {
  const { config, tensors } = read("llama");
  const weight = (name: string) => Float64Array.from(tensors[name].data as Float32Array);
  const {
    hidden_size: hidden,
    num_attention_heads: heads,
    num_key_value_heads: kv,
    head_dim,
    rms_norm_eps: eps,
  } = config;
  const theta = config.rope_parameters.rope_theta;

  const linear = (name: string, x: Float64Array): Float64Array => {
    const w = weight(`${name}.weight`);
    return Float64Array.from({ length: w.length / x.length }, (_, o) =>
      x.reduce((sum, v, i) => sum + v * w[o * x.length + i], 0),
    );
  };
  const norm = (name: string, x: Float64Array): Float64Array => {
    const w = weight(`${name}.weight`);
    const scale = 1 / Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length + eps);
    return x.map((v, i) => v * scale * w[i]);
  };
  const rotate = (x: Float64Array, position: number): Float64Array => {
    const half = head_dim / 2;
    return x.map((v, i) => {
      const at = i % head_dim;
      const angle = position * theta ** (-(2 * (at % half)) / head_dim);
      const other = at < half ? -x[i + half] : x[i - half];
      return v * Math.cos(angle) + other * Math.sin(angle);
    });
  };
  const caches = Array.from({ length: config.num_hidden_layers }, () => ({
    keys: [] as Float64Array[],
    values: [] as Float64Array[],
  }));

  /** The logits of what follows `id`. */
  return (id: number): Float64Array => {
    let x = weight("model.embed_tokens.weight").slice(id * hidden, (id + 1) * hidden);
    for (const [i, { keys, values }] of caches.entries()) {
      const layer = `model.layers.${i}`;
      if (keys.length === sinks + window) for (const rows of [keys, values]) rows.splice(sinks, step);
      const a = norm(`${layer}.input_layernorm`, x);
      const project = (name: string) => linear(`${layer}.self_attn.${name}_proj`, a);
      keys.push(project("k"));
      values.push(project("v"));
      const q = rotate(project("q"), keys.length - 1);
      const turned = keys.map((k, position) => rotate(k, position));
      const attended = new Float64Array(heads * head_dim);
      for (let h = 0; h < heads; h++) {
        const own = Math.floor((h * kv) / heads) * head_dim;
        const scores = turned.map((k) => {
          let dot = 0;
          for (let d = 0; d < head_dim; d++) dot += q[h * head_dim + d] * k[own + d];
          return Math.exp(dot / Math.sqrt(head_dim));
        });
        const sum = scores.reduce((s, v) => s + v, 0);
        for (const [t, p] of scores.entries())
          for (let d = 0; d < head_dim; d++) attended[h * head_dim + d] += (p / sum) * values[t][own + d];
      }
      x = linear(`${layer}.self_attn.o_proj`, attended).map((v, j) => v + x[j]);
      const m = norm(`${layer}.post_attention_layernorm`, x);
      const up = linear(`${layer}.mlp.up_proj`, m);
      const gated = linear(`${layer}.mlp.gate_proj`, m).map((v, j) => (v / (1 + Math.exp(-v))) * up[j]);
      x = linear(`${layer}.mlp.down_proj`, gated).map((v, j) => v + x[j]);
    }
    return linear("lm_head", norm("model.norm", x));
  };
}
