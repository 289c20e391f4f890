/** Every task against what transformers and sentence-transformers said (tests/oracle), and every family against PyTorch. */

import { bits, cosine, distance, equal, near, ok } from "./assert.mjs";
import { given, json, source, tensors } from "./files.mjs";

const isScore = (field) => field.startsWith("score");

function plain(value) {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || !value) return value;
  return Object.fromEntries(Object.entries(value).flatMap(([field, v]) => (isScore(field) ? [] : [[field, plain(v)]])));
}

function scores(value) {
  if (typeof value !== "object" || !value) return [];
  return Object.entries(value).flatMap(([field, v]) => (isScore(field) ? [v].flat() : scores(v)));
}

/** Equal but for scores, which may differ by 1e-4. */
function same(actual, expected, message) {
  equal(plain(actual), plain(expected), message);
  const [a, e] = [scores(actual), scores(expected)];
  equal(a.length, e.length, `scores of ${message}`);
  ok(
    a.every((score, i) => Math.abs(score - e[i]) < 1e-4),
    `${message}: scores ${a} instead of ${e}`,
  );
}

/** Python's places, counted in code points, as ours, in UTF-16 units. */
function placed(found, text) {
  const units = (points) => [...text].slice(0, points).join("").length;
  return { ...found, start: units(found.start), end: units(found.end) };
}

const CALLS = {
  "text-classification": async (classify, { inputs, options: { truncation, ...o }, output }) =>
    // transformers gives a pair without top_k alone, and lists of one for top_k 1; transformers.js does neither.
    same(await classify(inputs, o), [output].flat(o.top_k === 1 ? 2 : 1), "labels"),
  "fill-mask": async (fill, { inputs, options, output }) => same(await fill(inputs, options), output, "tokens"),
  "question-answering": async (ask, { inputs, options: { max_question_len, ...o }, output }) => {
    const list = [inputs].flat();
    const all = (key) => (list.length > 1 ? list.map((x) => x[key]) : list[0][key]);
    const expected = [output].flat().map((a, i) => placed(a, list[list.length > 1 ? i : 0].context));
    same([await ask(all("question"), all("context"), o)].flat(), expected, "answers");
  },
  "token-classification": async (label, { inputs, options, output }) => {
    const many = (x) => (Array.isArray(inputs) ? x : [x]);
    const expected = many(output).map((list, i) => list.map((e) => placed(e, [inputs].flat()[i])));
    same(many(await label(inputs, options)), expected, "entities");
  },
  "cross-encoder.rank": async (rank, { inputs, options, output }) =>
    same(await rank(inputs.query, inputs.documents, options), output, "ranks"),
};

async function answers(c, folder, task, name = task) {
  const run = await c.wattention.pipeline(task, source(c, `tests/fixtures/tasks/${folder}`));
  const { calls } = await json(c, `tests/fixtures/tasks/${folder}/expected.json`);
  const mine = calls.filter((call) => call.task === name);
  ok(mine.length > 0, "there are calls");
  for (const call of mine) await CALLS[name](run, call);
  run.dispose();
}

/** Drops what belongs to padding, which nobody defines: rows of [B, T, …] and, in [B, H, T, T], rows of masked queries. */
function kept({ data, dims }, mask) {
  const [B, T] = mask?.dims ?? [];
  const heads = dims.length === 4 && dims[2] === T ? dims[1] : 1;
  if (!mask || (heads === 1 && dims[1] !== T)) return data;
  const row = data.length / (B * heads * T);
  return data.filter((_, at) => mask.data[Math.floor(at / row / heads / T) * T + (Math.floor(at / row) % T)]);
}

async function compareModel(c, name) {
  const folder = `tests/fixtures/models/${name}`;
  const all = await tensors(c, `${folder}/expected.safetensors`);
  const model = await c.wattention.loadModel(source(c, folder));
  let compared = 0;
  for (let i = 0; ; i++) {
    const of = (kind) => {
      const start = `${kind}.${i}.`;
      return Object.entries(all).flatMap(([key, t]) => (key.startsWith(start) ? [[key.slice(start.length), t]] : []));
    };
    const inputs = Object.fromEntries(of("in"));
    const wanted = of("out");
    if (!wanted.length) break;
    const outputs = [...new Set(wanted.map(([key]) => key.split(".")[0]))].filter((output) => output !== "greedy");
    const got = outputs.length ? await model.forward(inputs, { outputs }) : {};
    for (const [key, want] of wanted) {
      if (key === "greedy") {
        const { decoder_input_ids, ...source } = inputs;
        const n = want.dims[1] - (model.config.bool("is_encoder_decoder") ? 1 : inputs.input_ids.dims[1]);
        const made = await model.generate(source, { max_new_tokens: n, min_new_tokens: n, do_sample: false });
        equal(made.flat(), Array.from(want.data), `${name} in.${i} ${key}`);
        compared++;
        continue;
      }
      const [output, layer] = key.split(".");
      const g = layer === undefined ? got[output] : got[output][layer];
      equal(g.dims, want.dims, `dims of ${name} ${key}`);
      const d = distance(kept(g, inputs.attention_mask), kept(want, inputs.attention_mask));
      ok(d < 2e-4, `${name} in.${i} ${key}: off by ${d}`);
      compared++;
    }
  }
  model.dispose();
  ok(compared > 0, `${name} has expected outputs`);
}

async function compareEmbedder(c, name) {
  const folder = `tests/fixtures/embedders/${name}`;
  const { texts } = await json(c, `${folder}/reference.json`);
  const extract = await c.wattention.pipeline("feature-extraction", source(c, folder));
  for (const [key, want] of Object.entries(await tensors(c, `${folder}/expected.safetensors`))) {
    const [kind, which] = key.split(".");
    let got;
    if (kind === "tokens") got = (await extract(texts[+which], { pooling: "none", prompt: "" })).row(0);
    else if (!which) got = await extract(texts);
    else got = await extract(texts, which === "plain" ? { prompt: "" } : { prompt_name: which });
    near(got, want, 1e-5, `${name} ${key}`);
  }
  extract.dispose();
}

const DOCUMENTS = [
  "The cat sat on the mat.",
  "Shares fell on Monday.",
  { id: "bread", text: "How to bake bread at home." },
  "The river bank was steep.",
];

export const tasks = {
  "feature-extraction of sentence-transformers folders": async (c) => {
    for (const name of c.lists.embedders) await compareEmbedder(c, name);
  },
  "models of every family": async (c) => {
    for (const name of c.lists.models) await compareModel(c, name);
  },
  "text-classification": (c) => answers(c, "classify", "text-classification"),
  "token-classification": (c) => answers(c, "ner", "token-classification"),
  "fill-mask": (c) => answers(c, "mask", "fill-mask"),
  "question-answering": (c) => answers(c, "qa", "question-answering"),
  "text-ranking": (c) => answers(c, "rerank", "text-ranking", "cross-encoder.rank"),
  "zero-shot-classification by entailment, and by embeddings": async (c) => {
    const { nli, embedding } = await json(c, "tests/fixtures/zero-shot.json");
    const files = await given(c, "tests/fixtures/tasks/classify");
    for (const { labels, texts, candidate_labels, options, output } of nli) {
      const config = { ...files.config, id2label: { ...labels }, label2id: undefined };
      const classify = await c.wattention.pipeline("zero-shot-classification", { ...files, config });
      same(await classify(texts, candidate_labels, options), output, "labels");
      classify.dispose();
    }
    const classify = await c.wattention.pipeline("zero-shot-classification", source(c, "models/default-embedder"));
    for (const { texts, candidate_labels, options, output } of embedding)
      same(await classify(texts, candidate_labels, options), output, "labels by embeddings");
    classify.dispose();
  },
  "sentence-similarity": async (c) => {
    const { similarity } = await json(c, "tests/fixtures/zero-shot.json");
    const similar = await c.wattention.pipeline("sentence-similarity", source(c, "models/default-embedder"));
    const found = await similar(similarity.source_sentence, similarity.sentences);
    const scored = (list) => Array.from(list, (score) => ({ score }));
    same(scored(found), scored(similarity.output), "similarities");
    similar.dispose();
  },
  "semantic-search: add, search, replace, remove, save, load": async (c) => {
    const where = source(c, "models/default-embedder");
    const search = await c.wattention.pipeline("semantic-search", where);
    equal(await search.search("anything"), [], "an empty index");
    await search.add(DOCUMENTS);
    equal(search.size, 4, "size");
    const found = await search.search(["loaf recipe", "stock market", "water's edge", "kitten"], { top_k: 2 });
    equal(
      found.map((list) => list[0].text),
      ["How to bake bread at home.", "Shares fell on Monday.", "The river bank was steep.", "The cat sat on the mat."],
      "best",
    );
    equal([found[0][0].id, found[0].length], ["bread", 2], "id");
    const file = await search.save();
    await search.add([{ id: "bread", text: "Bridges of Geneva." }]);
    ok((await search.search("loaf recipe"))[0].text !== "How to bake bread at home.", "replaced");
    equal(await search.remove(["bread", "nobody"]), 1, "removed");
    equal(search.size, 3, "size after removing");
    const other = await c.wattention.pipeline("semantic-search", where);
    await other.load(file);
    equal(
      await other.search(["loaf recipe", "stock market", "water's edge", "kitten"], { top_k: 2 }),
      found,
      "after loading",
    );
    search.dispose();
    other.dispose();
  },
  "VectorIndex: the dot products, best first": async ({ wattention: { VectorIndex, Tensor } }) => {
    const [n, dim] = [37, 20];
    const data = Float32Array.from({ length: n * dim }, (_, i) => ((i * 7919) % 101) / 101 - 0.5);
    const index = await VectorIndex.create(dim);
    await index.add(
      Array.from({ length: n }, (_, i) => `v${i}`),
      new Tensor(data, [n, dim]),
    );
    const query = data.slice(3 * dim, 4 * dim);
    const dot = (i) => query.reduce((sum, x, k) => sum + x * data[i * dim + k], 0);
    const expected = Array.from({ length: n }, (_, i) => dot(i)).sort((a, b) => b - a);
    const [hits] = await index.search(new Tensor(query, [dim]), { top_k: 10 });
    equal(hits.length, 10, "hits");
    for (const [i, { id, score }] of hits.entries()) {
      ok(Math.abs(score - dot(+id.slice(1))) < 1e-5, `score of ${id}`);
      ok(Math.abs(score - expected[i]) < 1e-5, `place ${i}`);
    }
    const { index: again } = await VectorIndex.load(await index.save());
    equal(await again.search(new Tensor(query, [dim]), { top_k: 10 }), [hits], "saved and loaded");
    index.dispose();
    again.dispose();
  },
  "8 and 4 bits: near PyTorch's vectors": async (c) => {
    const { texts } = await json(c, "tests/fixtures/default-embedder/reference.json");
    const all = Object.values(await tensors(c, "tests/fixtures/default-embedder/expected.safetensors"))[0];
    const width = all.dims[1];
    // Mean cosine; tests/conformance/quantized.test.ts holds each model to bounds of its own.
    for (const [dtype, least] of Object.entries({ f32: 0.999999, q8: 0.99, "q8-exact": 0.999, q4: 0.93 })) {
      const extract = await c.wattention.pipeline("feature-extraction", source(c, "models/default-embedder"), {
        dtype,
      });
      const some = await extract(texts.slice(0, 40));
      let mean = 0;
      for (let i = 0; i < 40; i++) mean += cosine(some.row(i).data, all.data.subarray(i * width, (i + 1) * width)) / 40;
      extract.dispose();
      ok(mean > least, `${dtype}: mean cosine ${mean}`);
    }
  },
  "scaledDotProductAttention and MultiheadAttention against a loop": async ({ wattention }) => {
    const { scaledDotProductAttention, MultiheadAttention, Tensor } = wattention;
    const [B, H, T, D] = [2, 3, 7, 10];
    const make = (seed) =>
      new Tensor(
        Float32Array.from({ length: B * H * T * D }, (_, i) => (((i + seed) * 7919) % 97) / 48 - 1),
        [B, H, T, D],
      );
    const [q, k, v] = [make(1), make(2), make(3)];
    const { out, probs } = await scaledDotProductAttention(q, k, v, { causal: true, probs: true });
    const expected = new Float32Array(B * H * T * D);
    const weights = new Float32Array(B * H * T * T);
    for (let bh = 0; bh < B * H; bh++)
      for (let i = 0; i < T; i++) {
        const row = (x, t) => x.data.subarray((bh * T + t) * D, (bh * T + t + 1) * D);
        const s = Array.from({ length: i + 1 }, (_, j) =>
          Math.exp(row(q, i).reduce((sum, x, d) => sum + x * row(k, j)[d], 0) / Math.sqrt(D)),
        );
        const total = s.reduce((a, b) => a + b);
        for (const [j, e] of s.entries()) {
          weights[(bh * T + i) * T + j] = e / total;
          for (let d = 0; d < D; d++) expected[(bh * T + i) * D + d] += (e / total) * row(v, j)[d];
        }
      }
    near(out, { data: expected, dims: [B, H, T, D] }, 1e-5, "out");
    near(probs, { data: weights, dims: [B, H, T, T] }, 1e-5, "probs");
    const layer = new MultiheadAttention(12, 3, { causal: true });
    const x = new Tensor(
      Float32Array.from({ length: 2 * 5 * 12 }, (_, i) => Math.fround((i % 13) / 13 - 0.5)),
      [2, 5, 12],
    );
    const once = await layer.forward(x, x, x);
    equal(
      [once.out.dims, once.weights.dims],
      [
        [2, 5, 12],
        [2, 3, 5, 5],
      ],
      "dims",
    );
    for (let r = 0; r < 30; r++) {
      const row = once.weights.data.subarray(r * 5, r * 5 + 5);
      ok(
        Math.abs(row.reduce((a, b) => a + b) - 1) < 1e-5 && row.subarray((r % 5) + 1).every((p) => p === 0),
        `row ${r}`,
      );
    }
    bits((await layer.forward(x, x, x)).out, once.out, "a second run");
    layer.dispose?.();
  },
};
