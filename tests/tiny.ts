import type { ModelFiles } from "../src/format/source.ts";
import { writeSafetensors } from "../src/format/writeSafetensors.ts";
import { Tensor } from "../src/tensor.ts";
import { random } from "./graph/random.ts";

export interface TinyOptions {
  hidden?: number;
  layers?: number;
  heads?: number;
  vocab?: number;
  positions?: number;
  seed?: number;
}

/** A BERT with random weights, as the files of its folder: small enough to load thousands of times. */
export function tinyBert({
  hidden = 24,
  layers = 2,
  heads = 3,
  vocab = 50,
  positions = 64,
  seed = 1,
}: TinyOptions = {}): ModelFiles & { weights: Uint8Array } {
  const next = random(seed);
  const tensors: { [name: string]: Tensor } = {};
  const put = (name: string, dims: number[], around = 0) => {
    const data = Float32Array.from({ length: dims.reduce((a, b) => a * b) }, () => around + (next() - 0.5) * 0.6);
    tensors[name] = new Tensor(data, dims);
  };
  const linear = (name: string, out: number, width: number) => {
    put(`${name}.weight`, [out, width]);
    put(`${name}.bias`, [out]);
  };
  const norm = (name: string) => {
    put(`${name}.weight`, [hidden], 1);
    put(`${name}.bias`, [hidden]);
  };
  const inner = 2 * hidden + 1;
  put("embeddings.word_embeddings.weight", [vocab, hidden]);
  put("embeddings.position_embeddings.weight", [positions, hidden]);
  put("embeddings.token_type_embeddings.weight", [2, hidden]);
  norm("embeddings.LayerNorm");
  for (let i = 0; i < layers; i++) {
    const at = `encoder.layer.${i}.`;
    for (const part of ["query", "key", "value"]) linear(`${at}attention.self.${part}`, hidden, hidden);
    linear(`${at}attention.output.dense`, hidden, hidden);
    norm(`${at}attention.output.LayerNorm`);
    linear(`${at}intermediate.dense`, inner, hidden);
    linear(`${at}output.dense`, hidden, inner);
    norm(`${at}output.LayerNorm`);
  }
  linear("pooler.dense", hidden, hidden);
  const config = {
    model_type: "bert",
    architectures: ["BertModel"],
    hidden_size: hidden,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    intermediate_size: inner,
    vocab_size: vocab,
    max_position_embeddings: positions,
    type_vocab_size: 2,
  };
  return { config, weights: writeSafetensors(tensors) };
}
