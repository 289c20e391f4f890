import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Cache } from "../../src/generate/cache.ts";
import type { Model } from "../../src/models/model.ts";
import { random } from "../graph/random.ts";
import { naiveLlama } from "./llama.ts";
import { bits, fixture, plain, step } from "./models.ts";

const textOf = (length: number, seed: number) => {
  const next = random(seed);
  return Array.from({ length }, () => 3 + Math.floor(next() * 38));
};

/** Logits after each part of a text, its parts ending at `ends`. */
async function inParts(model: Model, cache: Cache, ids: readonly number[], ends: readonly number[]) {
  const logits: Float32Array[] = [];
  for (const end of ends) logits.push((await step(model, [ids.slice(0, end)], [cache]))[0]);
  return logits;
}

const far = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((most, v, i) => Math.max(most, Math.abs(v - b[i])), 0);

describe.each(["mistral", "gemma2", "qwen3"])("%s", (name) => {
  it.each([1, 4, 97, 150])(
    "forgets what its window of %i hides, and gives the logits of a plain run, bit for bit",
    async (sliding_window) => {
      const model = await fixture(name, { sliding_window });
      const ids = textOf(900, sliding_window);
      const logits = await plain(model, ids);
      const parts = fc.array(fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 500 })), {
        minLength: 3,
      });
      await fc.assert(
        fc.asyncProperty(parts, fc.nat(120), async (sizes, back) => {
          let sum = 0;
          const ends = sizes.map((n) => (sum += n)).filter((end) => end <= ids.length);
          const cache = await model.cache({ length: ids.length });
          const room = cache.bytes;
          for (const [i, x] of (await inParts(model, cache, ids, ends)).entries())
            expect(bits(x)).toEqual(bits(logits[ends[i] - 1]));
          expect(cache.bytes).toBe(room);
          // Another way on from a place before: what was forgotten is computed again.
          if (ends.length) {
            const turn = [...ids.slice(0, Math.max(0, ends.at(-1)! - back)), 7, 8];
            const [x] = await step(model, [turn], [cache]);
            expect(bits(x)).toEqual(bits((await plain(model, turn)).at(-1)!));
            const again = await model.loadCache(await cache.save());
            const both = [await cache.fork(), again];
            for (const x of await step(
              model,
              [
                [...turn, 9, 11],
                [...turn, 9, 11],
              ],
              both,
            ))
              expect(bits(x)).toEqual(bits((await plain(model, [...turn, 9, 11])).at(-1)!));
            for (const c of both) c.dispose();
          }
          cache.dispose();
        }),
        { numRuns: 4 },
      );
      model.dispose();
    },
  );
});

it.each(["mistral", "gemma2"])("texts of %s that come in parts may stand beside short ones", async (name) => {
  const model = await fixture(name);
  const texts = [textOf(700, 1), textOf(5, 2), textOf(400, 3), textOf(1, 4)];
  const caches = await Promise.all(texts.map(() => model.cache()));
  for (const more of [[], [9], [7, 8]]) {
    const all = texts.map((ids) => [...ids, ...more]);
    for (const [i, x] of (await step(model, all, caches)).entries())
      expect(bits(x)).toEqual(bits((await plain(model, all[i])).at(-1)!));
  }
  model.dispose();
});

it("a model of windows keeps as many rows for 10,000 tokens as for 1,000", async () => {
  const model = await fixture("mistral");
  const { memory } = model.session.engine;
  const plans = [1000, 10_000, 1_000_000].map((length) => model.plan({ length: 8, cache: { length } }).state);
  expect(new Set(plans).size).toBe(1);
  await model.generate({ input_ids: [[5, 6, 7]] }, { max_new_tokens: 1000, eos_token_id: [] });
  const bytes = memory.bytes;
  const [ids] = await model.generate({ input_ids: [[5, 6, 7]] }, { max_new_tokens: 10_000, eos_token_id: [] });
  expect(ids.length).toBe(10_003);
  expect(memory.bytes).toBe(bytes);
  model.dispose();
});

describe("a cache with a window", () => {
  it.each([
    { window: 16, sinks: 4, step: 4 },
    { window: 7, sinks: 1, step: 1 },
    { window: 20, sinks: 0, step: 5 },
    { window: 1, sinks: 3, step: 1 },
  ])("gives what naive loops in f64 give: $window tokens, $sinks sinks", async ({ window, sinks, step: size }) => {
    const model = await fixture("llama");
    const ids = textOf(260, window);
    const naive = naiveLlama({ window, sinks, step: size });
    const expected = ids.map(naive);
    for (const parts of [[1, 9, 30, 31, 100, 260], [260], ids.map((_, i) => i + 1)]) {
      const cache = await model.cache({ window, sinks });
      for (const [i, x] of (await inParts(model, cache, ids, parts)).entries())
        expect(far(x, expected[parts[i] - 1])).toBeLessThan(2e-5);
      expect(cache.bytes).toBe(model.plan({ length: 1, cache: { window, sinks } }).state);
      cache.dispose();
    }
    model.dispose();
  });

  it("gives the same bits however the text is cut, forked or taken back", async () => {
    const model = await fixture("llama");
    const ids = textOf(200, 3);
    const options = { window: 24, sinks: 4 };
    const whole = await inParts(
      model,
      await model.cache(options),
      ids,
      ids.map((_, i) => i + 1),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }), fc.nat(80), async (sizes, back) => {
        const cache = await model.cache(options);
        let sum = 0;
        const ends = sizes.map((n) => (sum += n)).filter((end) => end <= ids.length);
        for (const [i, x] of (await inParts(model, cache, ids, ends)).entries())
          expect(bits(x)).toEqual(bits(whole[ends[i] - 1]));
        const fork = await cache.fork();
        cache.dispose();
        const end = Math.max(1, (ends.at(-1) ?? 1) - back);
        expect(bits((await step(model, [ids.slice(0, end)], [fork]))[0])).toEqual(bits(whole[end - 1]));
        fork.dispose();
      }),
      { numRuns: 30 },
    );
    model.dispose();
  });

  // In a model of one layer, keys and values depend on a token and its place alone: what is kept must be what a text of the kept tokens has.
  it.each([
    ["llama", { num_hidden_layers: 1 }],
    ["gpt-neox", { num_hidden_layers: 1 }],
    ["qwen3", { num_hidden_layers: 1 }],
    ["gptj", { n_layer: 1 }],
    ["bloom", { n_layer: 1 }],
    ["phi", { num_hidden_layers: 1 }],
    ["gemma2", { num_hidden_layers: 1, sliding_window: 200 }],
    ["gemma2", { num_hidden_layers: 1, sliding_window: 6 }],
    ["llama", { num_hidden_layers: 1, rope_parameters: { rope_type: "linear", factor: 3, rope_theta: 1e4 } }],
    [
      "llama",
      {
        num_hidden_layers: 1,
        rope_parameters: { rope_type: "yarn", factor: 4, rope_theta: 1e4, original_max_position_embeddings: 16 },
      },
    ],
  ])("turns keys to their new places: %s %j", async (name, change) => {
    const model = await fixture(name, change);
    const ids = textOf(1500, 9);
    const [window, sinks] = [40, 4];
    const cache = await model.cache({ window, sinks });
    const given = (await step(model, [ids], [cache]))[0];
    // Ten go at a time, when 44 are there.
    const kept = 44 - 10 + (((ids.length - 45) % 10) + 1);
    const expected = (await plain(model, [...ids.slice(0, sinks), ...ids.slice(ids.length - kept + sinks)])).at(-1)!;
    expect(far(given, expected)).toBeLessThan(2e-5);
    model.dispose();
  });

  it("turns keys of layers with windows of their own too", async () => {
    const model = await fixture("gemma2", { sliding_window: 6 });
    const ids = textOf(500, 4);
    const cache = await model.cache({ window: 40, sinks: 4 });
    await step(model, [ids], [cache]);
    const position = 44 - 10 + ((ids.length - 45) % 10); // of the last token
    // The first layer is one of these: its keys depend on a token and its place alone.
    const fresh = await model.cache();
    await step(model, [ids.slice(ids.length - position - 1)], [fresh]);
    const last = async (cache: Cache) => {
      const bytes = await cache.save();
      const start = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
      const { shape, data_offsets } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)))["rows.0"];
      const end = start + data_offsets[1];
      return new Float32Array(bytes.slice(end - 6 * shape[1] * 4, end).buffer);
    };
    expect(far(await last(cache), await last(fresh))).toBeLessThan(5e-6);
    model.dispose();
  });

  it("takes no more memory for 10,000 tokens than for 100", async () => {
    const model = await fixture("llama");
    const { memory } = model.session.engine;
    const cache = await model.cache({ window: 64, sinks: 4 });
    const options = { eos_token_id: [], cache };
    await model.generate({ input_ids: [[5, 6, 7]] }, { ...options, max_new_tokens: 100 });
    const [bytes, own] = [memory.bytes, cache.bytes];
    const [ids] = await model.generate({ input_ids: [cache.ids] }, { ...options, max_new_tokens: 10_000 });
    expect([memory.bytes, cache.bytes]).toEqual([bytes, own]);
    expect(ids.length).toBeGreaterThan(10_000);
    model.dispose();
  });
});
