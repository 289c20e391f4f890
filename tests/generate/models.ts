import { readFileSync } from "node:fs";
import { writeSafetensors } from "../../src/format/writeSafetensors.ts";
import { Decoding, type Keeper } from "../../src/generate/decoding.ts";
import { type LoadOptions, loadModel, type Model } from "../../src/host/node.ts";
import { Tensor } from "../../src/tensor.ts";
import { random } from "../graph/random.ts";

const folder = new URL("../fixtures/models/", import.meta.url);

/** An f16. */
const half = (n: number) => {
  const [sign, exponent, fraction] = [n >> 15 ? -1 : 1, (n >> 10) & 31, n & 1023];
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
};

/** The config and the tensors of a tiny model with random weights. */
export function read(name: string) {
  const config = JSON.parse(readFileSync(new URL(`${name}/config.json`, folder), "utf8"));
  const file = readFileSync(new URL(`${name}/model.safetensors`, folder));
  const start = 8 + Number(file.readBigUInt64LE(0));
  const { __metadata__, ...header } = JSON.parse(file.subarray(8, start).toString());
  const tensors: { [name: string]: Tensor } = {};
  for (const [name, info] of Object.entries(header)) {
    const { shape, data_offsets } = info as { shape: number[]; data_offsets: [number, number] };
    const [from, to] = data_offsets.map((n) => start + n);
    const data = Float32Array.from({ length: (to - from) / 2 }, (_, i) => half(file.readUInt16LE(from + 2 * i)));
    tensors[name] = new Tensor(data, shape);
  }
  return { config, tensors };
}

/** Such a model, with some of its config changed: fewer layers, where it says so. */
export function fixture(name: string, change: object = {}, options: LoadOptions = {}): Promise<Model> {
  const { config, tensors } = read(name);
  const all = { ...config, ...change };
  for (const key of Object.keys(tensors))
    if (Number(/\b(?:layers|h)\.(\d+)/.exec(key)?.[1]) >= (all.num_hidden_layers ?? all.n_layer)) delete tensors[key];
  return loadModel({ config: all, weights: writeSafetensors(tensors) }, options);
}

/** Logits of every token in one run without a state: what everything else is compared with. */
export async function plain(model: Model, ids: readonly number[]): Promise<Float32Array[]> {
  const { logits } = (await model.forward({ input_ids: [ids] }, { outputs: ["logits"] })) as { logits: Tensor };
  const size = logits.dims[2];
  return ids.map((_, t) => (logits.data as Float32Array).slice(t * size, (t + 1) * size));
}

/** Logits of what follows each text, with the caches. */
export async function step(
  model: Model,
  texts: readonly (readonly number[])[],
  caches?: readonly Keeper[],
): Promise<Float32Array[]> {
  const sequences = texts.map((ids) => ({ ids, reads: ids }));
  const decoding = await Decoding.open(model.session, model.rules, { sequences }, { room: 0, caches });
  try {
    return await decoding.step(decoding.rows);
  } finally {
    decoding.dispose();
  }
}

export const bits = (x: Float32Array) => new Uint32Array(x.slice().buffer);

/** A Llama of any size with random weights. */
export function randomLlama(
  { hidden = 64, layers = 2, heads = 4, kv_heads = 2, vocab = 96, inner = 2 * hidden },
  options: LoadOptions = {},
): Promise<Model> {
  const next = random(hidden + layers);
  const tensors: { [name: string]: Tensor } = {};
  const put = (name: string, rows: number, cols?: number) => {
    const numbers = (_: unknown) => (cols ? (next() - 0.5) * 4 * cols ** -0.5 : 0.5 + next());
    tensors[`${name}.weight`] = new Tensor(
      Float32Array.from({ length: rows * (cols ?? 1) }, numbers),
      cols ? [rows, cols] : [rows],
    );
  };
  const head_dim = hidden / heads;
  put("model.embed_tokens", vocab, hidden);
  for (let i = 0; i < layers; i++) {
    const at = `model.layers.${i}.`;
    put(`${at}input_layernorm`, hidden);
    put(`${at}post_attention_layernorm`, hidden);
    put(`${at}self_attn.q_proj`, hidden, hidden);
    put(`${at}self_attn.k_proj`, kv_heads * head_dim, hidden);
    put(`${at}self_attn.v_proj`, kv_heads * head_dim, hidden);
    put(`${at}self_attn.o_proj`, hidden, hidden);
    put(`${at}mlp.gate_proj`, inner, hidden);
    put(`${at}mlp.up_proj`, inner, hidden);
    put(`${at}mlp.down_proj`, hidden, inner);
  }
  put("model.norm", hidden);
  put("lm_head", vocab, hidden);
  const config = {
    model_type: "llama",
    architectures: ["LlamaForCausalLM"],
    hidden_size: hidden,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: kv_heads,
    intermediate_size: inner,
    vocab_size: vocab,
    tie_word_embeddings: false,
  };
  return loadModel({ config, weights: writeSafetensors(tensors) }, options);
}
