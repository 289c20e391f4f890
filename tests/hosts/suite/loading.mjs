/** A model from each kind of source that the host has: the same bits, and PyTorch's vectors. */

import { bits, equal, fails, near, ok } from "./assert.mjs";
import { given, json, source, tensors } from "./files.mjs";

const EMBEDDER = "models/default-embedder";
const PACKED = "dist/shipped/default-embedder.safetensors";
const WEIGHTS = `${EMBEDDER}/model.safetensors`;
const TEXTS = ["a cat sleeps on the sofa", "How is memory planned?", ""];

/** Vectors of a few texts by the model as it is loaded from `what`. */
async function vectors({ wattention }, what, options) {
  const extract = await wattention.pipeline("feature-extraction", what, options);
  const found = await extract(TEXTS);
  extract.dispose();
  return found;
}

/** The first of all: what the others must equal. */
let trained;
let packed;
const modules = ["config", "tokenizer", "tokenizer_config", "modules", "sentence_bert_config", "1_Pooling/config.json"];

async function files(context) {
  const dense = "2_Dense/model.safetensors";
  return {
    ...(await given(context, EMBEDDER, [...modules, "2_Dense/config.json"])),
    [dense]: await context.read(`${EMBEDDER}/${dense}`),
  };
}

async function* pieces(bytes, size) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size);
}

export const loading = {
  "files: { config, tokenizer, weights }, as objects, PyTorch's vectors": async (c) => {
    const extract = await c.wattention.pipeline("feature-extraction", await files(c));
    const { texts } = await json(c, "tests/fixtures/default-embedder/reference.json");
    const expected = Object.values(await tensors(c, "tests/fixtures/default-embedder/expected.safetensors"))[0];
    near(await extract(texts), expected, 1e-4, "embeddings");
    trained = await extract(TEXTS);
    extract.dispose();
  },
  "files as text": async (c) => {
    const all = await files(c);
    for (const name of ["config", "tokenizer", "modules"]) all[name] = JSON.stringify(all[name]);
    bits(await vectors(c, all), trained);
  },
  "files: weights as a ReadableStream, an AsyncIterable, a Blob, by names": async (c) => {
    const all = await files(c);
    const { weights } = all;
    bits(await vectors(c, { ...all, weights: new Blob([weights]).stream() }), trained, "stream");
    bits(await vectors(c, { ...all, weights: pieces(weights, 99_991) }), trained, "iterable");
    bits(await vectors(c, { ...all, weights: new Blob([weights]) }), trained, "blob");
    bits(await vectors(c, { ...all, weights: { "model.safetensors": weights.buffer } }), trained, "names");
  },
  "a packed model's bytes: Uint8Array, ArrayBuffer, Blob, stream": async (c) => {
    const bytes = await c.read(PACKED);
    packed = await vectors(c, bytes);
    for (let i = 0; i < TEXTS.length; i++) {
      const [a, b] = [packed.row(i).data, trained.row(i).data];
      ok(a.reduce((sum, x, k) => sum + x * b[k], 0) > 0.99, `8 bits are near what was trained: ${TEXTS[i]}`);
    }
    bits(await vectors(c, bytes.slice().buffer), packed, "ArrayBuffer");
    bits(await vectors(c, new Blob([bytes])), packed, "Blob");
    bits(await vectors(c, new Blob([bytes]).stream()), packed, "stream");
    bits(await vectors(c, pieces(bytes, 12_345)), packed, "iterable");
    const framed = new Uint8Array(bytes.length + 7);
    framed.set(bytes, 3);
    bits(await vectors(c, framed.subarray(3, 3 + bytes.length)), packed, "a view in a larger buffer");
  },
  "a GGUF file: its path or URL, its bytes, a stream; transformers' logits and tokens": async (c) => {
    const path = "tests/fixtures/gguf/llama-k";
    const expected = await tensors(c, `${path}/expected.safetensors`);
    const input_ids = expected["in.0.input_ids"];
    const bytes = await c.read(`${path}/model.gguf`);
    const from = async (what) => {
      const model = await c.wattention.loadModel(what);
      const { logits } = await model.forward({ input_ids }, { outputs: ["logits"] });
      const [ids] = await model.generate({ input_ids }, { max_new_tokens: 12, min_new_tokens: 12 });
      model.dispose();
      equal(ids, [...expected["out.0.greedy"].data], "greedy tokens");
      return logits;
    };
    const logits = await from(source(c, `${path}/model.gguf`));
    near(logits, expected["out.0.logits"], 2e-4, "logits");
    bits(await from(bytes), logits, "bytes");
    bits(await from(new Blob([bytes]).stream()), logits, "stream");
    bits(await from(pieces(bytes, 12_345)), logits, "iterable");
  },
  "a folder that the caller made": async (c) => {
    const folder = {
      name: "mine",
      async open(path) {
        const bytes = await c.read(`${EMBEDDER}/${path}`).catch(() => undefined);
        let at = 0;
        return (
          bytes && {
            size: bytes.length,
            async read(into) {
              const part = bytes.subarray(at, at + into.length);
              into.set(part);
              at += part.length;
              return part.length;
            },
            async close() {},
          }
        );
      },
    };
    bits(await vectors(c, folder), trained);
  },
  "path and file: URL of a folder, of a packed file": {
    needs: "files",
    async run(c) {
      bits(await vectors(c, source(c, EMBEDDER)), trained, "folder");
      bits(await vectors(c, `${source(c, EMBEDDER)}/`), trained, "folder with a slash");
      bits(await vectors(c, source(c, WEIGHTS)), trained, "weights in their folder");
      bits(await vectors(c, source(c, PACKED)), packed, "packed");
      bits(await vectors(c, new URL(`file://${source(c, PACKED)}`)), packed, "file: URL");
    },
  },
  "URL of a folder, of a packed file, with a query": {
    needs: "server",
    async run(c) {
      bits(await vectors(c, `${c.server}/repo/${EMBEDDER}`), trained, "folder");
      bits(await vectors(c, new URL(`${c.server}/repo/${EMBEDDER}/`)), trained, "folder as a URL");
      bits(await vectors(c, `${c.server}/repo/${WEIGHTS}`), trained, "weights in their folder");
      bits(await vectors(c, `${c.server}/repo/${PACKED}?v=1#x`), packed, "packed");
    },
  },
  "a path below the page's origin": {
    needs: "origin",
    async run(c) {
      bits(await vectors(c, `/repo/${PACKED}`), packed);
    },
  },
  "a hub id by its endpoint, of a revision with a token, with a fetch of the caller's": {
    needs: "server",
    async run(c) {
      const endpoint = `${c.server}/hub`;
      bits(await vectors(c, "tests/default-embedder", { endpoint }), trained, "main");
      const asked = [];
      const get = (url, init) => {
        asked.push(String(url));
        return fetch(url, init);
      };
      const headers = { authorization: "Bearer token" };
      bits(
        await vectors(c, "tests/default-embedder", { endpoint, revision: "v1", headers, fetch: get }),
        trained,
        "v1",
      );
      ok(
        asked.length > 3 && asked.every((url) => url.startsWith(`${endpoint}/tests/default-embedder/resolve/v1/`)),
        "asked",
      );
      const loaded = vectors(c, "tests/default-embedder", { endpoint, revision: "v1" });
      await fails(c, loaded, "FetchError", { status: 401 });
    },
  },
  "the model that ships": async (c) => {
    if (c.shipped) bits(await vectors(c), packed);
    else await fails(c, c.wattention.pipeline("feature-extraction"), c.noShipped ?? "MissingFileError");
  },
  "wasm: the module as the caller has it": async (c) => {
    const deterministic = await vectors(c, await c.read(PACKED), { deterministic: true });
    for (const [kind, wasm] of Object.entries(c.wasm())) {
      bits(await vectors(c, await c.read(PACKED), { wasm: await wasm() }), deterministic, kind);
      bits(await vectors(c, await c.read(PACKED), { wasm: wasm() }), deterministic, `a promise of ${kind}`);
    }
  },
  "progress: over all bytes, never back, once done": async (c) => {
    const seen = [];
    const extract = await c.wattention.pipeline("feature-extraction", source(c, EMBEDDER), {
      progress_callback: (p) => seen.push({ ...p }),
    });
    extract.dispose();
    ok(seen.length > 1, "told more than once");
    const total = seen[0].total;
    ok(total > 1e6, "bytes in total");
    for (const [i, p] of seen.entries()) ok(p.total === total && p.loaded >= (seen[i - 1]?.loaded ?? 0), "grows");
    equal(seen.at(-1), { status: "done", loaded: total, total }, "last");
    equal(seen.filter((p) => p.status === "done").length, 1, "done");
  },
  "pack: one file of a folder, the same bytes as the one that ships": async (c) => {
    const bytes = await c.wattention.pack(source(c, EMBEDDER), { dtype: "q8" });
    bits({ data: bytes, dims: [bytes.length] }, { data: await c.read(PACKED), dims: [(await c.read(PACKED)).length] });
  },
  "plan: bytes before anything is loaded, and they are what a load takes": async (c) => {
    const plan = await c.wattention.plan(source(c, PACKED), { batch: 2, length: 16 });
    const model = await c.wattention.loadModel(source(c, PACKED));
    equal(model.plan({ batch: 2, length: 16 }).total, plan.total, "total");
    model.dispose();
  },
};
