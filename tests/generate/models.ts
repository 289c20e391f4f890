import { readFileSync } from "node:fs";
import { Decoding, type Keeper } from "../../src/generate/decoding.ts";
import { type LoadOptions, loadModel, type Model } from "../../src/host/node.ts";
import type { Tensor } from "../../src/tensor.ts";

const folder = new URL("../fixtures/models/", import.meta.url);

/** A tiny model with random weights, with some of its config changed. */
export function fixture(name: string, change: object = {}, options: LoadOptions = {}): Promise<Model> {
  const config = JSON.parse(readFileSync(new URL(`${name}/config.json`, folder), "utf8"));
  const weights = new Uint8Array(readFileSync(new URL(`${name}/model.safetensors`, folder)));
  return loadModel({ config: { ...config, ...change }, weights }, options);
}

/** Logits of every token in one run without a state: what everything else is compared with. */
export async function plain(model: Model, ids: readonly number[]): Promise<Float32Array[]> {
  const { logits } = (await model.forward({ input_ids: [ids] }, { outputs: ["logits"] })) as { logits: Tensor };
  const size = logits.dims[2];
  return ids.map((_, t) => (logits.data as Float32Array).slice(t * size, (t + 1) * size));
}

/** Logits of what follows each text, with the caches. */
export async function step(
  model: Model,
  texts: readonly (readonly number[])[],
  caches?: readonly Keeper[],
): Promise<Float32Array[]> {
  const sequences = texts.map((ids) => ({ ids, reads: ids }));
  const decoding = await Decoding.open(model.session, model.rules, { sequences }, { room: 0, caches });
  try {
    return await decoding.step(decoding.rows);
  } finally {
    decoding.dispose();
  }
}

export const bits = (x: Float32Array) => new Uint32Array(x.slice().buffer);
