import fc from "fast-check";
import { expect, it, vi } from "vitest";
import { InputError, UnsupportedOptionError } from "../../src/errors.ts";
import type { GenerateOptions } from "../../src/generate/options.ts";
import type { Model } from "../../src/models/model.ts";
import { fixture, plain } from "./models.ts";

const id = fc.integer({ min: 3, max: 40 });
const prompts = fc.array(fc.array(id, { minLength: 1, maxLength: 9 }), { minLength: 1, maxLength: 3 });

const LONGROPE = {
  rope_type: "longrope",
  rope_theta: 1e4,
  factor: 4,
  short_factor: [1, 1.1, 1.2, 1.3, 1.4],
  long_factor: [1.5, 2, 3, 4, 5],
};

it.each([
  ["llama", "qwen3"],
  ["llama", "llama"],
  ["gpt2", "gpt-neox"],
  ["gpt-neox", "gpt2"], // a draft that has no more than 32 positions
  ["mistral", "gemma2"],
])("greedy search of %s gives the same tokens with drafts of %s", async (large, small) => {
  const model = await fixture(large);
  const draft = large === small ? model : await fixture(small);
  const most = large === "gpt2" ? 20 : 60;
  await fc.assert(
    fc.asyncProperty(
      prompts,
      fc.integer({ min: 1, max: most }),
      fc.integer({ min: 1, max: 9 }),
      fc.constantFrom<GenerateOptions>(
        {},
        { eos_token_id: [] },
        { repetition_penalty: 1.3 },
        { no_repeat_ngram_size: 2 },
      ),
      async (input_ids, max_new_tokens, num_assistant_tokens, more) => {
        const options = { ...more, do_sample: false, max_new_tokens };
        const expected = await model.generate({ input_ids }, options);
        const given = await model.generate({ input_ids }, { ...options, assistant_model: draft, num_assistant_tokens });
        expect(given).toEqual(expected);
      },
    ),
    { numRuns: 20 },
  );
  model.dispose();
  draft.dispose();
});

// Frequencies that change with the length of the text, once and ever on.
const ROTATIONS = [
  ["phi3", { sliding_window: null, original_max_position_embeddings: 20, rope_parameters: LONGROPE }],
  ["llama", { rope_parameters: { rope_type: "dynamic", factor: 2, rope_theta: 1e4 } }],
] as const;
it.each(ROTATIONS)("%s %j: caches and drafts change nothing where rotations change", async (name, change) => {
  const model = await fixture(name, change);
  const draft = await fixture("qwen3");
  for (const prompt of [[5], [5, 6, 7, 8, 9, 10, 11, 12, 13], Array.from({ length: 40 }, (_, i) => 3 + (i % 30))]) {
    const options = { max_new_tokens: 50, eos_token_id: [], do_sample: false };
    const run = async (more: GenerateOptions) =>
      (await model.generate({ input_ids: [prompt] }, { ...options, ...more }))[0];
    const expected = await run({});
    for (const num_assistant_tokens of [1, 5, 12])
      for (const assistant_model of [draft, model])
        expect(await run({ assistant_model, num_assistant_tokens })).toEqual(expected);
    const cache = await model.cache();
    for (let i = 0; i < 3; i++) {
      expect(await run({ cache })).toEqual(expected);
      cache.truncate(7 * i);
    }
    const loaded = await model.loadCache(await cache.save());
    expect(await run({ cache: loaded })).toEqual(expected);
    for (const c of [cache, loaded]) c.dispose();
  }
  model.dispose();
  draft.dispose();
});

it("goes on over windows, sinks and caches as without drafts", async () => {
  const draft = await fixture("qwen3", { sliding_window: 30 });
  for (const [name, cache] of [
    ["mistral", undefined],
    ["mistral", {}],
    ["llama", { window: 20, sinks: 4 }],
    ["llama", { window: 40 }],
  ] as const) {
    const model = await fixture(name, { sliding_window: 11 });
    const options = { max_new_tokens: 300, eos_token_id: [], do_sample: false };
    const run = async (more: GenerateOptions) => {
      const own = cache && (await model.cache(cache));
      const [ids] = await model.generate({ input_ids: [[5, 6, 7, 8]] }, { ...options, ...more, cache: own });
      if (own) expect(own.ids).toEqual(ids.slice(0, -1));
      return ids;
    };
    const expected = await run({});
    for (const num_assistant_tokens of [1, 4, 25])
      expect(await run({ assistant_model: draft, num_assistant_tokens })).toEqual(expected);
    model.dispose();
  }
  draft.dispose();
});

it("needs one run of the large model for each draft that it takes", async () => {
  const model = await fixture("llama");
  const draft = await fixture("llama");
  const runs = vi.spyOn(model.session, "perform");
  const options = { max_new_tokens: 41, eos_token_id: [], assistant_model: draft, num_assistant_tokens: 4 };
  const [ids] = await model.generate({ input_ids: [[5, 6, 7]] }, options);
  expect(ids.length).toBe(44);
  expect(runs.mock.calls.length).toBe(1 + 40 / 5);
  const streamed: number[] = [];
  for await (const { id } of model.stream({ input_ids: [[5, 6, 7]] }, options)) streamed.push(id);
  expect([5, 6, 7, ...streamed]).toEqual(ids);
});

/** Softmax over the k largest. */
function top(logits: Float32Array, k: number, temperature: number): Map<number, number> {
  const best = Array.from(logits.keys())
    .sort((a, b) => logits[b] - logits[a])
    .slice(0, k);
  const weights = best.map((i) => Math.exp((logits[i] - logits[best[0]]) / temperature));
  const sum = weights.reduce((a, b) => a + b);
  return new Map(best.map((i, n) => [i, weights[n] / sum]));
}

// The first drafts what this model might say, in other proportions; the second mostly what it would not.
it.each([
  ["llama", { rms_norm_eps: 0.05, hidden_act: "relu" }],
  ["qwen3", {}],
])("sampling with drafts of %s %j draws from the model's own distribution", async (small, change) => {
  const model = await fixture("llama");
  const draft = await fixture(small, change);
  const [prompt, top_k, temperature, runs] = [[5, 9, 12], 4, 0.4, 1000];
  const next = async (ids: number[]) => top((await plain(model, ids)).at(-1)!, top_k, temperature);
  // The first token comes without a draft, the others with one.
  const expected = new Map<string, number>();
  const walk = async (model: Model, ids: number[], p: number): Promise<void> => {
    if (ids.length === 3) expected.set(ids.join(), p);
    else for (const [id, q] of await next([...prompt, ...ids])) await walk(model, [...ids, id], p * q);
  };
  await walk(model, [], 1);
  const options = { do_sample: true, top_k, temperature, max_new_tokens: 3, eos_token_id: [] };
  const found = new Map<string, number>();
  for (let seed = 0; seed < runs; seed++) {
    const [ids] = await model.generate(
      { input_ids: [prompt] },
      { ...options, seed, assistant_model: draft, num_assistant_tokens: 2 },
    );
    const key = ids.slice(3).join();
    found.set(key, (found.get(key) ?? 0) + 1);
  }
  // Chi-squared over 64 outcomes, rare ones together: beyond 120 is one in 10⁵ choices of seeds.
  let square = 0;
  const rare = { expected: 0, found: 0 };
  for (const [key, p] of expected) {
    const seen = found.get(key) ?? 0;
    if (p * runs < 5) {
      rare.expected += p * runs;
      rare.found += seen;
    } else square += (seen - p * runs) ** 2 / (p * runs);
  }
  if (rare.expected > 0) square += (rare.found - rare.expected) ** 2 / rare.expected;
  expect([...found.keys()].filter((key) => !expected.has(key))).toEqual([]);
  expect(square).toBeLessThan(120);
  model.dispose();
  draft.dispose();
});

it("refuses what cannot go together", async () => {
  const model = await fixture("llama");
  const inputs = { input_ids: [[5, 6]] };
  for (const options of [{ num_beams: 2 }, { num_return_sequences: 2, do_sample: true }, { num_assistant_tokens: 0 }])
    await expect(model.generate(inputs, { ...options, assistant_model: model })).rejects.toThrow(
      UnsupportedOptionError,
    );
  const encoder = await fixture("bert");
  await expect(model.generate(inputs, { assistant_model: encoder })).rejects.toThrow(UnsupportedOptionError);
  await expect(model.generate({ input_ids: [[]] }, { assistant_model: model })).rejects.toThrow(InputError);
});
