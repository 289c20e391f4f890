import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import {
  AbortError,
  EngineError,
  FormatError,
  InputError,
  MemoryLimitError,
  UnsupportedOptionError,
} from "../../src/errors.ts";
import type { Cache } from "../../src/generate/cache.ts";
import type { Model } from "../../src/models/model.ts";
import { bits, fixture, plain, randomLlama, step } from "./models.ts";

const models: { [name: string]: Model } = {};
const model = async (name: string): Promise<Model> => {
  models[name] ??= await fixture(name);
  return models[name];
};
afterAll(() => {
  for (const m of Object.values(models)) m.dispose();
});

const id = fc.integer({ min: 3, max: 40 });
const action = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("go on" as const),
      more: fc.array(fc.array(id, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 3 }),
    }),
  },
  fc.record({ do: fc.constantFrom("fork" as const, "save" as const), which: fc.nat(9) }),
  fc.record({
    do: fc.constantFrom("truncate" as const, "turn" as const, "dispose" as const),
    which: fc.nat(9),
    to: fc.nat(20),
  }),
);

describe.each(["llama", "gpt2", "gpt-neox", "mistral", "gemma2", "qwen3", "bloom", "opt", "gpt-oss"])("%s", (name) => {
  it("prefix reuse, forks, saving and ragged batches give the logits of a plain run, bit for bit", async () => {
    const m = await model(name);
    await fc.assert(
      fc.asyncProperty(fc.array(action, { minLength: 1, maxLength: 8 }), async (actions) => {
        const texts: { ids: number[]; cache: Cache }[] = [{ ids: [], cache: await m.cache() }];
        const at = (n: number) => texts[n % texts.length];
        for (const a of actions) {
          if (a.do === "go on") {
            const going = texts.slice(0, a.more.length);
            for (const [i, t] of going.entries()) {
              // Positions of gpt2 end at 32.
              if (t.ids.length + a.more[i].length > 30) t.ids = t.ids.slice(0, 3);
              t.ids = [...t.ids, ...a.more[i]];
            }
            const given = await step(
              m,
              going.map((t) => t.ids),
              going.map((t) => t.cache),
            );
            for (const [i, t] of going.entries()) {
              expect(bits(given[i])).toEqual(bits((await plain(m, t.ids)).at(-1)!));
              expect(t.cache.ids).toEqual(t.ids);
            }
          } else if (a.do === "fork") {
            const { ids, cache } = at(a.which);
            texts.push({ ids, cache: await cache.fork() });
          } else if (a.do === "save") {
            const t = at(a.which);
            const saved = await t.cache.save();
            t.cache.dispose();
            t.cache = await m.loadCache(saved);
          } else if (a.do === "truncate") at(a.which).cache.truncate(a.to);
          else if (a.do === "turn") {
            const t = at(a.which);
            t.ids = [...t.ids.slice(0, a.to), 7];
          } else if (texts.length > 1) texts.splice(a.which % texts.length, 1)[0].cache.dispose();
        }
        for (const { cache } of texts) cache.dispose();
      }),
      { numRuns: 40 },
    );
  });

  it("generate gives the same with a cache, and the cache holds what was read", async () => {
    const m = await model(name);
    const cache = await m.cache({ length: 24 });
    const options = { max_new_tokens: 8, eos_token_id: [] };
    for (const prompt of [
      [5, 9, 12],
      [5, 9, 12, 30, 31, 32, 33],
      [5, 9],
      [17, 9, 4, 8],
    ]) {
      const [ids] = await m.generate({ input_ids: [prompt] }, { ...options, cache });
      expect(ids).toEqual((await m.generate({ input_ids: [prompt] }, options))[0]);
      expect(cache.ids).toEqual(ids.slice(0, -1));
    }
    cache.dispose();
  });
});

it.each(["f32", "q8", "q8-exact", "q4"] as const)(
  "rows of %s are the same bits, one at a time or all at once",
  async (dtype) => {
    for (const deterministic of [false, true]) {
      const model = await randomLlama(
        { hidden: 72, heads: 3, kv_heads: 1, vocab: 101, inner: 150 },
        { dtype, deterministic },
      );
      const ids = Array.from({ length: 130 }, (_, i) => (i * i * 7 + 3 * i) % 101);
      const expected = await plain(model, ids);
      const cache = await model.cache({ length: ids.length });
      for (const end of [1, 2, 3, 40, 41, 95, 96, 97, 98, 130])
        expect(bits((await step(model, [ids.slice(0, end)], [cache]))[0])).toEqual(bits(expected[end - 1]));
      model.dispose();
    }
  },
);

describe("caches", () => {
  it("serve beams and several samples, and what follows them", async () => {
    const m = await model("llama");
    const cache = await m.cache();
    const input_ids = [[5, 9, 12]];
    for (const options of [
      { num_beams: 3, num_return_sequences: 2 },
      { do_sample: true, seed: 4, num_return_sequences: 3 },
      { do_sample: false },
    ])
      for (let i = 0; i < 2; i++) {
        const all = { ...options, max_new_tokens: 9, eos_token_id: [] };
        expect(await m.generate({ input_ids }, { ...all, cache })).toEqual(await m.generate({ input_ids }, all));
        expect(bits((await step(m, [[...cache.ids, 8]], [cache]))[0])).toEqual(
          bits((await plain(m, cache.ids)).at(-1)!),
        );
      }
    cache.dispose();
  });

  it("hold what was read when a call is aborted", async () => {
    const m = await model("llama");
    const cache = await m.cache();
    const input_ids = [[5, 9, 12]];
    const options = { max_new_tokens: 300, eos_token_id: [], cache };
    const abort = new AbortController();
    let made = 0;
    const logits_processor = () => {
      if (++made === 50) abort.abort();
    };
    await expect(m.generate({ input_ids }, { ...options, logits_processor, signal: abort.signal })).rejects.toThrow(
      AbortError,
    );
    expect(cache.length).toBeGreaterThan(40);
    for await (const { id } of m.stream({ input_ids }, options)) if (id >= 0 && ++made > 120) break;
    expect(cache.length).toBeGreaterThan(60);
    const { cache: _, ...plainly } = options;
    expect(await m.generate({ input_ids }, options)).toEqual(await m.generate({ input_ids }, plainly));
    cache.dispose();
  });
  it("say what they take before it is taken, and what is given back is used again", async () => {
    const m = await fixture("llama");
    const { memory } = m.session.engine;
    const { state, total } = m.plan({ length: 3, cache: { length: 5000 } });
    const cache = await m.cache({ length: 5000 });
    expect(cache.bytes).toBe(state);
    await m.generate({ input_ids: [[5, 6, 7]] }, { max_new_tokens: 5, eos_token_id: [], cache });
    expect(memory.bytes).toBe(total);
    cache.dispose();
    for (let i = 0; i < 20; i++) (await m.cache({ length: 5000 })).dispose();
    expect(memory.bytes).toBe(total);
    m.dispose();
  });

  it.each([
    ["llama", {}],
    ["gemma2", {}],
    ["llama", { window: 20, sinks: 3 }],
  ] as const)(
    "%s %j: what lay in memory before is never read, and nothing is written behind the plan",
    async (name, window) => {
      const [m, other] = [await fixture(name), await fixture(name)];
      const { memory } = m.session.engine;
      const options = { length: 60, ...window };
      const cache = await m.cache(options);
      const ids = Array.from({ length: 50 }, (_, i) => 3 + ((i * 7) % 38));
      const { weights, state, scratch } = m.plan({ length: 50, cache: options });
      memory.ensure(weights + state + scratch + 300_000);
      const poison = memory.u8(weights, memory.bytes - weights).fill(0xff); // every float a NaN
      const clean = await other.cache(options);
      for (const end of [21, 22, 49, 50])
        expect(bits((await step(m, [ids.slice(0, end)], [cache]))[0])).toEqual(
          bits((await step(other, [ids.slice(0, end)], [clean]))[0]),
        );
      expect(poison.findLastIndex((byte) => byte !== 0xff)).toBeLessThan(state + scratch);
      m.dispose();
      other.dispose();
    },
  );

  it("grow when more comes than they were made for, others beside them unharmed", async () => {
    const m = await model("llama");
    const [a, b] = [await m.cache({ length: 2 }), await m.cache({ length: 3 })];
    const texts = [
      [5, 6],
      [8, 9, 10],
    ];
    for (let i = 0; i < 5; i++) {
      for (const [n, cache] of [a, b].entries()) {
        const [given] = await step(m, [texts[n]], [cache]);
        expect(bits(given)).toEqual(bits((await plain(m, texts[n])).at(-1)!));
        texts[n].push(11 + i, 12 + n, 13);
      }
    }
    a.dispose();
    b.dispose();
  });

  it("refuse what does not fit, with both numbers, and go on", async () => {
    const m = await fixture("llama", {}, { memory_limit: 1 << 20 });
    const cache = await m.cache({ length: 50 });
    const error = await m.cache({ length: 50_000 }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(MemoryLimitError);
    expect((error as MemoryLimitError).limit).toBe(1 << 20);
    expect((error as MemoryLimitError).needed).toBeGreaterThan(50_000 * 4 * 4);
    await expect(m.generate({ input_ids: [[5, 6]] }, { max_new_tokens: 50_000, cache })).rejects.toThrow(
      MemoryLimitError,
    );
    const options = { max_new_tokens: 5, eos_token_id: [] };
    const [ids] = await m.generate({ input_ids: [[5, 6]] }, { ...options, cache });
    expect(ids).toEqual((await m.generate({ input_ids: [[5, 6]] }, options))[0]);
    m.dispose();
  });

  it("refuse wrong use by typed errors", async () => {
    const [m, other] = [await model("llama"), await model("gpt2")];
    const cache = await m.cache();
    const inputs = { input_ids: [[5, 6]] };
    await expect(other.generate(inputs, { cache })).rejects.toThrow(InputError);
    await expect(
      m.generate(
        {
          input_ids: [
            [5, 6],
            [7, 8],
          ],
        },
        { cache },
      ),
    ).rejects.toThrow(InputError);
    await expect(m.cache({ length: -1 })).rejects.toThrow(UnsupportedOptionError);
    await expect(m.cache({ sinks: 4 })).rejects.toThrow(UnsupportedOptionError);
    await expect(other.cache({ window: 20, sinks: 4 })).rejects.toThrow(UnsupportedOptionError); // learned positions
    const both = await Promise.allSettled([m.generate(inputs, { cache }), m.generate(inputs, { cache })]);
    expect(both.map((r) => r.status)).toEqual(["fulfilled", "rejected"]);
    await m.generate(inputs, { cache });
    cache.dispose();
    await expect(m.generate(inputs, { cache })).rejects.toThrow(EngineError);
  });

  it("are refused when their bytes are damaged or another model's", async () => {
    const m = await model("llama");
    const cache = await m.cache({ window: 8, sinks: 2 });
    await step(m, [[5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]], [cache]);
    const saved = await cache.save();
    const again = await m.loadCache(saved);
    expect(await again.save()).toEqual(saved);
    again.dispose();
    for (const other of ["gpt2", "mistral", "qwen3"])
      await expect((await model(other)).loadCache(saved)).rejects.toThrow(FormatError);
    const other = await fixture("llama", { rms_norm_eps: 1e-3 });
    await expect(other.loadCache(saved)).rejects.toThrow(FormatError);
    other.dispose();
    const at = m.session.engine.top;
    const text = new TextDecoder("latin1").decode(saved);
    const change = (from: string, to: string) => Uint8Array.from(text.replace(from, to), (c) => c.charCodeAt(0));
    for (const bytes of [
      saved.subarray(0, 5),
      saved.subarray(0, saved.length - 1),
      change('"window":"8"', '"window":"9"'),
      change('"sinks":"2"', '"sinks":"7"'),
      change("rows.3", "rows.7"),
      change("wattention-cache-1", "wattention-cache-9"),
    ])
      await expect(m.loadCache(bytes)).rejects.toThrow(FormatError);
    await fc.assert(
      fc.asyncProperty(fc.nat(saved.length - 1), fc.nat(255), async (i, byte) => {
        const bytes = saved.slice();
        bytes[i] = byte;
        if (byte !== saved[i] && byte > 0x20) await expect(m.loadCache(bytes)).rejects.toThrow(FormatError);
      }),
      { numRuns: 300 },
    );
    expect(m.session.engine.top).toBe(at);
    cache.dispose();
  });
});
