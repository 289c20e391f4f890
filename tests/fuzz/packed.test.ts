import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { loadModel, pack, pipeline, plan, type Tensor, WattentionError } from "../../src/host/node.ts";
import { BASE } from "../../src/runtime/engine.ts";
import { mutateJson, mutateSafetensors, type Random, randomFrom } from "../format/mutate.ts";
import { tinyBert } from "../tiny.ts";

const ROUNDS = 4000;
const inputs = { input_ids: [[1, 2, 3, 4, 5]], attention_mask: [[1, 1, 1, 1, 1]] };
const outputs = ["last_hidden_state"];
const options = { memory_limit: 1 << 26 };

/** Numbers that were never weights: scales that are NaN, rows whose sums leave 16 bits, padding that is not zero, tokens that are none. */
function mutateData(file: Uint8Array, random: Random): { bytes: Uint8Array; what: string } {
  const bytes = file.slice();
  const start = 8 + Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  const from = start + random(file.length - start);
  const to = Math.min(file.length, from + 1 + random(random(2) ? 8 : 4096));
  const value = [() => random(256), () => 0x7f, () => 0x80, () => 0xff, () => 0][random(5)];
  for (let i = from; i < to; i++) bytes[i] = value();
  return { bytes, what: `bytes ${from} to ${to}` };
}

/** A fault in one of the JSON texts within the metadata: a config, the dims of the checkpoint's tensors. */
function mutateInside(file: Uint8Array, random: Random): { bytes: Uint8Array; what: string } {
  const size = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + size)));
  const metadata = header.__metadata__ as { [name: string]: string };
  const names = Object.keys(metadata).filter((name) => name === "tensors" || name.endsWith(".json"));
  const name = names[random(names.length)];
  const { bytes, what } = mutateJson(new TextEncoder().encode(metadata[name]), random);
  metadata[name] = new TextDecoder().decode(bytes);
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return { bytes: new Uint8Array(Buffer.concat([length, text, file.subarray(8 + size)])), what: `${name}: ${what}` };
}

it(`${ROUNDS} mutated packed models: each a typed error or a load that runs, and other engines answer as before`, async () => {
  const files = tinyBert({ hidden: 40, heads: 2, layers: 1, vocab: 60, positions: 16 });
  const embedder = fileURLToPath(new URL("../fixtures/embedders/bert-cls-dense", import.meta.url));
  const models = await Promise.all((["q8", "q4", "f32"] as const).map((dtype) => pack(files, { dtype })));
  const sentences = await pack(embedder);
  const good = await loadModel(models[0]);
  const bits = async () =>
    Buffer.from(((await good.forward(inputs, { outputs })).last_hidden_state as Tensor).data.buffer);
  const before = await bits();
  const random = randomFrom(2027);
  const counts = { loaded: 0, failed: 0 };
  const kinds = new Map<string, number>();
  for (let i = 0; i < ROUNDS; i++) {
    const embeds = i % 8 === 7;
    const original = embeds ? sentences : models[i % 3];
    const { bytes, what } = [mutateData, mutateInside, mutateInside, mutateSafetensors, mutateSafetensors][i % 5](
      original,
      random,
    );
    // By turns with a known size, and as a stream without.
    const source = () => (i % 2 ? bytes : new Blob([bytes as never]).stream());
    try {
      if (embeds) {
        const extract = await pipeline("feature-extraction", source(), options);
        const { dims } = await extract(["Rain again - the third day of it.", "x"]).finally(() => extract.dispose());
        expect(dims[0]).toBe(2);
      } else {
        const model = await loadModel(source(), { ...options, deterministic: i % 4 < 2 });
        try {
          const { dims } = (await model.forward(inputs, { outputs })).last_hidden_state as Tensor;
          expect(dims).toEqual([1, 5, 40]);
          const { total } = await plan(source(), { length: 5, outputs });
          expect(total).toBe(model.session.engine.memory.bytes);
        } finally {
          model.dispose();
        }
      }
      counts.loaded++;
    } catch (error) {
      if (!(error instanceof WattentionError)) throw new Error(`round ${i}: ${what}`, { cause: error });
      // Of missing weights it names eight, three projections in one.
      if (error.message.length > 2000) expect.fail(`${what}: an error of ${error.message.length} characters`);
      kinds.set(error.name, (kinds.get(error.name) ?? 0) + 1);
      counts.failed++;
    }
    if (i % 500 === 0) expect((await bits()).equals(before)).toBe(true);
  }
  console.log(counts, Object.fromEntries(kinds));
  expect(counts.loaded).toBeGreaterThan(500);
  expect(counts.failed).toBeGreaterThan(1000);
  expect((await bits()).equals(before)).toBe(true);
}, 300_000);

it("rows that no quantiser makes give numbers and leave memory alone", async () => {
  const files = tinyBert({ hidden: 160, heads: 4, layers: 1, vocab: 60 });
  for (const dtype of ["q8", "q8-exact", "q4"] as const)
    for (const byte of [0x80, 0x7f, 0x00, 0xff]) {
      const bytes = (await pack(files, { dtype })).slice();
      const size = Number(new DataView(bytes.buffer).getBigUint64(0, true));
      const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + size)));
      for (const { dtype, data_offsets } of Object.values(header) as { dtype: string; data_offsets: number[] }[]) {
        // The rows, which are most of it, without the scales, which are less than a tenth and stay.
        const [from, to] = dtype === "U8" ? data_offsets.map((at) => at + 8 + size) : [0, 0];
        bytes.fill(byte, from, from + Math.floor((to - from) * 0.85));
      }
      for (const deterministic of [true, false]) {
        const results: Buffer[] = [];
        for (let i = 0; i < 2; i++) {
          const model = await loadModel(bytes, { deterministic });
          const { memory } = model.session.engine;
          const { weights } = model.plan({ length: 5 });
          // Below lie the module's own numbers, of which tables of q4 are made with the first run.
          const kept = () => Buffer.from(memory.u8(BASE, weights - BASE).slice());
          const before = kept();
          const { last_hidden_state } = (await model.forward(inputs, { outputs })) as { last_hidden_state: Tensor };
          expect(before.equals(kept())).toBe(true);
          results.push(Buffer.from(last_hidden_state.data.buffer));
          model.dispose();
        }
        expect(results[0].equals(results[1])).toBe(true);
      }
    }
});
