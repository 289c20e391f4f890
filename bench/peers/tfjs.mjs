/**
 * TensorFlow.js with its WebAssembly backend (SIMD, one thread). It has no MiniLM of its own, so the encoder is written here with its ops as a
 * user of it would: its fused matmul takes the bias, all else is op by op. BERT: arXiv 1810.04805; names are the checkpoint's.
 */
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { installed, minilm, readSafetensors, versionOf } from "../material.mjs";
import { meanOfRows } from "../runners.mjs";

const NAME = "@tensorflow/tfjs-backend-wasm";

export const tfjsWasm = () => ({
  name: "tfjs-backend-wasm f32",
  group: "f32",
  exact: true,
  why_not: () => installed(NAME),
  files: () => [minilm.weights],
  async load() {
    // As `import` under Node resolves them: both in their CommonJS form, so that there is one tfjs-core.
    const [tf, wasm] = await Promise.all([import("@tensorflow/tfjs-core"), import(NAME)]);
    wasm.setWasmPaths(`${dirname(fileURLToPath(import.meta.resolve(NAME)))}/`);
    wasm.setThreadsCount(1);
    tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
    await tf.setBackend("wasm");
    await tf.ready();
    const { config, tensors } = { config: minilm.config(), tensors: readSafetensors(minilm.weights) };
    const weight = {};
    for (const [name, { data, shape }] of Object.entries(tensors)) {
      if (!/(weight|bias)$/.test(name)) continue;
      const tensor = tf.tensor(data, shape);
      // A Linear's weight once as its matmul reads it, [in, out]: transposing at each call would cost tfjs a pass.
      const isLinear = shape.length === 2 && !name.startsWith("embeddings.");
      weight[name] = isLinear ? tf.tidy(() => tf.transpose(tensor)) : tensor;
      if (isLinear) tensor.dispose();
    }
    const forward = encoder(tf, weight, config);
    return {
      version: versionOf(NAME),
      async run(ids) {
        const out = tf.tidy(() => forward(ids));
        const data = await out.data();
        out.dispose();
        return meanOfRows(data, ids.length);
      },
      dispose: () => tf.dispose(weight),
    };
  },
});

/** Ids [T] to last_hidden_state [T, hidden_size]. */
function encoder(tf, weight, { num_hidden_layers, num_attention_heads: heads, hidden_size: width, layer_norm_eps }) {
  const size = width / heads;
  const linear = (x, at) =>
    tf.fused.matMul({ a: x, b: weight[`${at}.weight`], bias: weight[`${at}.bias`], activation: "linear" });
  const norm = (x, at) => {
    const { mean, variance } = tf.moments(x, -1, true);
    const scaled = tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, layer_norm_eps)));
    return tf.add(tf.mul(scaled, weight[`${at}.weight`]), weight[`${at}.bias`]);
  };
  const gelu = (x) => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1));
  const split = (x, rows) => tf.transpose(tf.reshape(x, [rows, heads, size]), [1, 0, 2]);
  const attend = (x, at, rows) => {
    const [q, k, v] = ["query", "key", "value"].map((name) => split(linear(x, `${at}.self.${name}`), rows));
    const probabilities = tf.softmax(tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(size)));
    const mixed = tf.reshape(tf.transpose(tf.matMul(probabilities, v), [1, 0, 2]), [rows, width]);
    return norm(tf.add(linear(mixed, `${at}.output.dense`), x), `${at}.output.LayerNorm`);
  };
  return (ids) => {
    const rows = ids.length;
    const words = tf.gather(weight["embeddings.word_embeddings.weight"], tf.tensor1d(ids, "int32"));
    const positions = tf.slice(weight["embeddings.position_embeddings.weight"], [0, 0], [rows, width]);
    const type = tf.slice(weight["embeddings.token_type_embeddings.weight"], [0, 0], [1, width]);
    let x = norm(tf.add(tf.add(words, positions), type), "embeddings.LayerNorm");
    for (let i = 0; i < num_hidden_layers; i++) {
      const at = `encoder.layer.${i}`;
      x = attend(x, `${at}.attention`, rows);
      const inner = gelu(linear(x, `${at}.intermediate.dense`));
      x = norm(tf.add(linear(inner, `${at}.output.dense`), x), `${at}.output.LayerNorm`);
    }
    return x;
  };
}
