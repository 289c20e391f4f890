import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { parseJson } from "../../src/format/read.ts";
import { Tokenizer } from "../../src/format/tokenizer.ts";
import { loadModel, type Tensor, WattentionError } from "../../src/host/node.ts";
import { mutateJson, mutateSafetensors, randomFrom } from "../format/mutate.ts";
import { tinyBert } from "../tiny.ts";

const ROUNDS = 10_000;
const tokenizer_json = readFileSync(new URL("../fixtures/embedders/bert-cls-dense/tokenizer.json", import.meta.url));
const inputs = { input_ids: [[1, 2, 3, 4, 5]], attention_mask: [[1, 1, 1, 1, 1]] };
const outputs = ["last_hidden_state"];

it(`${ROUNDS} mutated weights, configs and tokenizers: each a typed error or a load that runs, and other engines answer as before`, async () => {
  const files = tinyBert({ hidden: 8, heads: 2, layers: 1, vocab: 20, positions: 16 });
  const config = new TextEncoder().encode(JSON.stringify(files.config));
  const good = await loadModel(files);
  const bits = async (model: typeof good) =>
    Buffer.from(((await model.forward(inputs, { outputs })).last_hidden_state as Tensor).data.buffer);
  const before = await bits(good);
  const random = randomFrom(2026);
  const counts = { loaded: 0, failed: 0 };
  const kinds = new Map<string, number>();
  for (let i = 0; i < ROUNDS; i++) {
    const kind = i % 3;
    const weights = kind === 0 ? mutateSafetensors(files.weights, random).bytes : files.weights;
    const json = kind === 1 ? mutateJson(config, random).bytes : config;
    try {
      if (kind === 2) {
        const tokenizer = await Tokenizer.load(parseJson(mutateJson(tokenizer_json, random).bytes, "tokenizer.json"));
        const { input_ids, offsets } = tokenizer.encode("Rain again - the third day of it.");
        expect(offsets.length).toBe(input_ids.length);
        counts.loaded++;
        continue;
      }
      const model = await loadModel({ config: json, weights }, { memory_limit: 1 << 26 });
      try {
        const { dims } = (await model.forward(inputs, { outputs })).last_hidden_state as Tensor;
        expect(dims).toEqual([1, 5, 8]);
        counts.loaded++;
      } finally {
        model.dispose();
      }
    } catch (error) {
      if (!(error instanceof WattentionError)) throw new Error(`round ${i}`, { cause: error });
      kinds.set(error.name, (kinds.get(error.name) ?? 0) + 1);
      counts.failed++;
    }
    if (i % 500 === 0) expect((await bits(good)).equals(before)).toBe(true);
  }
  console.log(counts, Object.fromEntries(kinds));
  expect(counts.loaded).toBeGreaterThan(100);
  expect(counts.failed).toBeGreaterThan(1000);
  expect((await bits(good)).equals(before)).toBe(true);
}, 300_000);
