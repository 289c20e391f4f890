import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { InputError, loadModel, type Model, plan, ShapeError, type Tensor } from "../../src/host/node.ts";
import type { ModelInputs } from "../../src/runtime/batch.ts";

const folder = (name: string) => fileURLToPath(new URL(`../fixtures/models/${name}/`, import.meta.url));
const models = new Map<string, Promise<Model>>();
const load = (name: string) => {
  models.set(name, models.get(name) ?? loadModel(folder(name)));
  return models.get(name)!;
};
afterAll(async () => {
  for (const m of models.values()) (await m).dispose();
});

/** Numbers that look like noise, the same for the same seed. */
function noise(seed: number, dims: number[]): { data: Float32Array; dims: number[] } {
  let x = seed + 1;
  const next = () => {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    return x / 2 ** 31 - 1;
  };
  return { data: Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, next), dims };
}
const input_ids = [
  [4, 9, 30, 5],
  [7, 30],
  [3, 8, 21, 30],
];

describe.each(["clip", "siglip"])("%s", (name) => {
  it("gives of one side alone what it gives of both", async () => {
    const model = await load(name);
    const pixel_values = noise(1, [2, 3, 24, 24]);
    const both = await model.forward({ input_ids, pixel_values });
    const text = await model.forward({ input_ids });
    const image = await model.forward({ pixel_values });
    expect(Object.keys(text).sort()).toEqual(["last_hidden_state", "text_embeds"]);
    expect(Object.keys(image).sort()).toEqual(["image_embeds", "vision_last_hidden_state"]);
    for (const [output, tensor] of Object.entries({ ...text, ...image })) expect(tensor).toEqual(both[output]);
    expect((both.logits_per_text as Tensor).dims).toEqual([3, 2]);
    expect((both.logits_per_image as Tensor).dims).toEqual([2, 3]);
    const [a, b] = [both.logits_per_text, both.logits_per_image].map((t) => (t as Tensor).tolist() as number[][]);
    expect(a[0].map((_, i) => a.map((row) => row[i]))).toEqual(b);
  });

  it("says what an output lacks, and goes on", async () => {
    const model = await load(name);
    const lacking = model.forward({ input_ids }, { outputs: ["logits_per_image"] });
    await expect(lacking).rejects.toThrow("logits_per_image needs more than input_ids");
    await expect(model.forward({})).rejects.toThrow(InputError);
    await expect(model.forward({ pixel_values: noise(2, [1, 3, 25, 24]) })).rejects.toThrow(ShapeError);
    expect((await model.forward({ input_ids })).text_embeds).toBeDefined();
  });
});

describe("plans of images", () => {
  it.each(["vit", "dinov2", "clip", "siglip", "ast"])("%s: exactly what a run takes", async (name) => {
    const model = await loadModel(folder(name));
    const grown = await plan(folder(name), { batch: 9 });
    const { config } = model;
    const image = config.raw.vision_config ? config.sub("vision_config") : config;
    const inputs =
      name === "ast"
        ? { input_values: noise(1, [9, image.int("max_length"), image.int("num_mel_bins")]) }
        : { pixel_values: noise(1, [9, 3, image.int("image_size"), image.int("image_size")]) };
    const texts = config.raw.text_config && Array.from({ length: 9 }, () => new Array(12).fill(5));
    await model.forward({ ...inputs, ...(texts && { input_ids: texts }) } as ModelInputs);
    expect(model.plan({ batch: 9 })).toEqual(grown);
    expect(model.session.engine.memory.bytes).toBe(grown.total);
    model.dispose();
  });
});

describe("images", () => {
  it("in a batch give the same bits as one by one, at any size", async () => {
    const model = await load("dinov2-swiglu");
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 8, max: 50 }),
        fc.integer({ min: 8, max: 50 }),
        fc.nat(),
        async (batch, height, width, seed) => {
          const pixel_values = noise(seed, [batch, 3, height, width]);
          const all = (await model.forward({ pixel_values })).last_hidden_state as Tensor;
          const size = 3 * height * width;
          for (let b = 0; b < batch; b++) {
            const one = { data: pixel_values.data.subarray(b * size, (b + 1) * size), dims: [1, 3, height, width] };
            const alone = (await model.forward({ pixel_values: one })).last_hidden_state as Tensor;
            expect(alone.data).toEqual(all.row(b).data);
          }
        },
      ),
      { numRuns: 20 },
    );
  });

  it("of other dims are refused, and the model goes on", async () => {
    const model = await load("vit");
    for (const dims of [
      [1, 3, 25, 24],
      [1, 1, 24, 24],
      [3, 24, 24],
      [1, 3, 24, 0],
    ])
      await expect(model.forward({ pixel_values: noise(1, dims) }), String(dims)).rejects.toThrow(ShapeError);
    const short = { data: new Float32Array(5), dims: [1, 3, 24, 24] };
    await expect(model.forward({ pixel_values: short })).rejects.toThrow(ShapeError);
    await expect(model.forward({ input_ids: [1] })).rejects.toThrow(InputError);
    await expect(model.forward({})).rejects.toThrow(InputError);
    const tiny = { pixel_values: noise(1, [1, 3, 7, 24]), interpolate_pos_encoding: true };
    await expect(model.forward(tiny)).rejects.toThrow(ShapeError);
    const { last_hidden_state } = await model.forward({ pixel_values: noise(3, [2, 3, 24, 24]) });
    expect((last_hidden_state as Tensor).dims).toEqual([2, 10, 16]);
  });

  it("of a model without square positions have one size", async () => {
    const model = await load("vit-oblong");
    const other = { pixel_values: noise(1, [1, 1, 28, 40]), interpolate_pos_encoding: true };
    await expect(model.forward(other)).rejects.toThrow("image_size");
  });
});
