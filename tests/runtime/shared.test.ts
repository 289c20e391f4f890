import { expect, it } from "vitest";
import { EngineError, MultiheadAttention, scaledDotProductAttention, Tensor } from "../../src/host/node.ts";
import { Engine, sharedEngine } from "../../src/runtime/engine.ts";
import { random } from "../graph/random.ts";

const next = random(3);
const x = new Tensor(
  Float32Array.from({ length: 7 * 16 }, () => next() - 0.5),
  [1, 7, 16],
);
const bits = async (layer: MultiheadAttention) => (await layer.forward(x, x, x)).out.data;

it("layers, and attention without weights, leave each other's weights alone in the engine that they share", async () => {
  const one = new MultiheadAttention(16, 4);
  const want = await bits(one);
  await scaledDotProductAttention(x, x, x); // holds no byte of its own, at the address where the layer's weights begin
  expect(await bits(one)).toEqual(want);
  const layers = Array.from({ length: 4 }, (_, seed) => new MultiheadAttention(16, 4, { seed }));
  const all = await Promise.all(layers.map(bits));
  layers[1].dispose();
  layers[3].dispose();
  const more = [new MultiheadAttention(16, 2, { seed: 9 }), new MultiheadAttention(16, 4, { seed: 1 })];
  expect((await Promise.all(more.map(bits)))[1]).toEqual(all[1]);
  expect(await bits(layers[0])).toEqual(all[0]);
  expect(await bits(layers[2])).toEqual(all[2]);
  expect(await bits(one)).toEqual(want);
});

it("a layer that is disposed of while its call is queued still answers rightly", async () => {
  const layer = new MultiheadAttention(16, 4);
  const want = await bits(layer);
  const queued = Promise.all([bits(layer), bits(layer)]);
  layer.dispose();
  expect(await queued).toEqual([want, want]);
  await expect(bits(layer)).rejects.toThrow("disposed");
  const early = new MultiheadAttention(16, 4);
  const first = bits(early); // still loading
  early.dispose();
  expect(await first).toEqual(want);
});

it("masks of other lengths take no more memory for weights, and are read rightly", async () => {
  const { top } = await sharedEngine();
  const layer = new MultiheadAttention(16, 2);
  const cut = (n: number) => new Tensor(x.data.slice(0, n * 16), [1, n, 16]);
  const tops = new Set<number>();
  for (const n of [7, 2, 5, 3, 6]) {
    const attn_mask = new Tensor(
      Int32Array.from({ length: n * n }, (_, i) => +(i % n > Math.floor(i / n))),
      [n, n],
    );
    const got = await layer.forward(cut(n), cut(n), cut(n), { attn_mask });
    const causal = new MultiheadAttention(16, 2, { causal: true });
    expect(got.out.data).toEqual((await causal.forward(cut(n), cut(n), cut(n))).out.data);
    causal.dispose();
    await layer.forward(cut(n), cut(n), cut(n), { attn_mask }); // after the release
    tops.add((await sharedEngine()).top - top);
  }
  expect([...tops]).toHaveLength(1);
  layer.dispose();
});

it("what is no module of this library is refused as such", async () => {
  const empty = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0);
  for (const wasm of [empty, Uint8Array.of(1, 2, 3), {} as never])
    await expect(Engine.create({ wasm })).rejects.toBeInstanceOf(EngineError);
});
