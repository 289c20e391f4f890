/** With `deterministic: true`: SHA-256 of what comes out. One value a row over all hosts; run.mjs prints and compares them. */

import { bits, ok } from "./assert.mjs";
import { given, source, tensors } from "./files.mjs";
import { TEXTS } from "./texts.mjs";
import { looked } from "./view.mjs";

const EMBEDDER = "models/default-embedder";

async function sha256(data) {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
  const view = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", view));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function embedded(c, path, options) {
  const extract = await c.wattention.pipeline("feature-extraction", source(c, path), {
    deterministic: true,
    ...options,
  });
  const vectors = await extract(TEXTS);
  const some = await extract(TEXTS.slice(40, 43));
  for (let i = 0; i < 3; i++) bits(some.row(i), vectors.row(40 + i), `text ${40 + i} in another batch`);
  ok(
    vectors.data.every((x) => Number.isFinite(x)),
    "finite",
  );
  extract.dispose();
  return sha256(vectors.data);
}

/** What a model of ids gives for the inputs that PyTorch was given. */
async function forwarded(c, name, folder = `tests/fixtures/models/${name}`, file = "") {
  const all = Object.entries(await tensors(c, `${folder}/expected.safetensors`));
  const inputs = Object.fromEntries(all.flatMap(([key, t]) => (key.startsWith("in.0.") ? [[key.slice(5), t]] : [])));
  const model = await c.wattention.loadModel(source(c, folder + file), { deterministic: true });
  const { last_hidden_state } = await model.forward(inputs, { outputs: ["last_hidden_state"] });
  model.dispose();
  return sha256(last_hidden_state.data);
}

/** Tokens that a decoder makes, and what it thinks of them. */
async function generated(c) {
  const model = await c.wattention.loadModel(source(c, "tests/fixtures/models/llama"), { deterministic: true });
  const input_ids = [5, 8, 30, 17];
  const made = [
    await model.generate({ input_ids: [input_ids, [9]] }, { max_new_tokens: 20, num_beams: 4, length_penalty: 0.7 }),
  ];
  const warped = { temperature: 1.3, top_k: 30, top_p: 0.95, typical_p: 0.97, eos_token_id: null };
  for (let seed = 0; seed < 20; seed++)
    for await (const token of model.stream({ input_ids }, { max_new_tokens: 25, seed, ...warped })) made.push(token);
  model.dispose();
  return sha256(JSON.stringify(made));
}

/** Every row by its name. */
export const rows = {
  "100 texts f32": (c) => embedded(c, EMBEDDER),
  "100 texts q8": (c) => embedded(c, EMBEDDER, { dtype: "q8" }),
  "100 texts q8-exact": (c) => embedded(c, EMBEDDER, { dtype: "q8-exact" }),
  "100 texts q4": (c) => embedded(c, EMBEDDER, { dtype: "q4" }),
  "100 texts, shipped file": (c) => embedded(c, "dist/shipped/default-embedder.safetensors"),
  "100 texts, ModernBERT (RoPE)": (c) => embedded(c, "tests/fixtures/embedders/modernbert-mean"),
  "100 texts, MPNet (buckets)": (c) => embedded(c, "tests/fixtures/embedders/mpnet-all"),
  "100 texts, XLM-R (Unigram)": (c) => embedded(c, "tests/fixtures/embedders/xlm-roberta-last"),
  "Nomic-BERT (RoPE)": (c) => forwarded(c, "nomic-bert"),
  "DeBERTa-v2 (log buckets)": (c) => forwarded(c, "deberta-v2"),
  "Llama, a GGUF file (Q4_K …)": (c) => forwarded(c, "llama-k", "tests/fixtures/gguf/llama-k", "/model.gguf"),
  "500 tokens drawn, beams (Llama)": generated,
  "ids and offsets of 100 texts": async (c) => {
    const extract = await c.wattention.pipeline("feature-extraction", await given(c, EMBEDDER));
    const all = TEXTS.map((text) => extract.tokenizer.encode(text));
    extract.dispose();
    return sha256(JSON.stringify(all));
  },
  "pack q8": async (c) => sha256(await c.wattention.pack(source(c, EMBEDDER), { dtype: "q8", deterministic: true })),
  "pack q4": async (c) => sha256(await c.wattention.pack(source(c, EMBEDDER), { dtype: "q4", deterministic: true })),
  "attention, rollout": async (c) => sha256((await looked(c)).matrix.data),
  "attention, SVG": async (c) => sha256((await looked(c)).svg),
  "attention, HTML": async (c) => sha256((await looked(c)).html),
  "attention, text": async (c) => sha256((await looked(c)).text),
};
