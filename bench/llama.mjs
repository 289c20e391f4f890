/**
 * A Llama of 110 million random weights (width 768, 12 layers, 12 heads, 32,000 words), as a folder in ../build/bench: what speed is measured on,
 * since it does not depend on what weights say. `node llama.mjs` makes it.
 */
import { closeSync, existsSync, mkdirSync, openSync, statSync, writeFileSync, writeSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { work } from "./material.mjs";

const config = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  hidden_size: 768,
  intermediate_size: 2048,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  num_key_value_heads: 12,
  head_dim: 64,
  vocab_size: 32000,
  max_position_embeddings: 2048,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  hidden_act: "silu",
  tie_word_embeddings: true,
  bos_token_id: 1,
  eos_token_id: 2,
};

/** Tensors by name: their shapes. */
function tensors() {
  const { hidden_size: h, intermediate_size: m, vocab_size: v } = config;
  const all = { "model.embed_tokens.weight": [v, h] };
  for (let i = 0; i < config.num_hidden_layers; i++) {
    const layer = `model.layers.${i}.`;
    for (const name of ["q", "k", "v", "o"]) all[`${layer}self_attn.${name}_proj.weight`] = [h, h];
    for (const name of ["gate", "up"]) all[`${layer}mlp.${name}_proj.weight`] = [m, h];
    all[`${layer}mlp.down_proj.weight`] = [h, m];
    for (const name of ["input", "post_attention"]) all[`${layer}${name}_layernorm.weight`] = [h];
  }
  return { ...all, "model.norm.weight": [h] };
}

/** @returns its folder, made anew if it is not there whole */
export function llama() {
  const folder = work("llama-110m");
  const file = `${folder}/model.safetensors`;
  let at = 0;
  const header = {};
  for (const [name, shape] of Object.entries(tensors())) {
    const bytes = 4 * shape.reduce((a, b) => a * b, 1);
    header[name] = { dtype: "F32", shape, data_offsets: [at, at + bytes] };
    at += bytes;
  }
  const text = JSON.stringify(header);
  const head = Buffer.from(text + " ".repeat(-text.length & 7));
  if (existsSync(file) && statSync(file).size === 8 + head.length + at) return folder;
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/config.json`, JSON.stringify(config));
  const fd = openSync(file, "w");
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(head.length));
  writeSync(fd, length);
  writeSync(fd, head);
  let state = 88172645;
  const uniform = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32 - 0.5;
  };
  for (const { shape } of Object.values(header)) {
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(1);
    // Near normal, of a deviation that keeps sizes as they are.
    if (shape.length > 1) for (let i = 0; i < data.length; i++) data[i] = 0.06 * (uniform() + uniform() + uniform());
    writeSync(fd, new Uint8Array(data.buffer));
  }
  closeSync(fd);
  return folder;
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) console.log(llama());
