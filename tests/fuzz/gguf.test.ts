import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { openModel } from "../../src/format/open.ts";
import { readJson } from "../../src/format/read.ts";
import { Tokenizer } from "../../src/format/tokenizer.ts";
import { loadModel, type Tensor, WattentionError } from "../../src/host/node.ts";
import { type Random, randomFrom } from "../format/mutate.ts";

const ROUNDS = 3000;
const read = (name: string) =>
  new Uint8Array(readFileSync(new URL(`../fixtures/gguf/${name}/model.gguf`, import.meta.url)));
const inputs = { input_ids: [[1, 2, 3, 4, 5]] };

interface Place {
  readonly what: string;
  readonly at: number;
  readonly bytes: number;
}
const SIZES = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];

/** Where the numbers of a header are: counts, lengths, types, values, dims, offsets; and where the header ends. */
function placesOf(file: Uint8Array): { places: Place[]; end: number } {
  const view = new DataView(file.buffer, file.byteOffset);
  const places: Place[] = [];
  let at = 0;
  const number = (what: string, bytes: number) => {
    places.push({ what, at, bytes });
    at += bytes;
    return bytes === 8 ? Number(view.getBigUint64(at - 8, true)) : bytes === 4 ? view.getUint32(at - 4, true) : 0;
  };
  const string = (what: string) => {
    const n = number(`length of ${what}`, 8);
    at += n;
    return Buffer.from(file.subarray(at - n, at)).toString();
  };
  number("magic", 4);
  number("version", 4);
  const tensors = number("tensors", 8);
  const keys = number("keys", 8);
  for (let i = 0; i < keys; i++) {
    const key = string("key");
    const type = number(`type of ${key}`, 4);
    if (type === 8) string(key);
    else if (type === 9) {
      const of = number(`type in ${key}`, 4);
      const n = number(`length of ${key}`, 8);
      for (let j = 0; j < n; j++) of === 8 ? string(`${key} ${j}`) : number(`${key} ${j}`, SIZES[of]);
    } else number(key, SIZES[type]);
  }
  for (let i = 0; i < tensors; i++) {
    const name = string("tensor");
    const dims = number(`dims of ${name}`, 4);
    for (let j = 0; j < dims; j++) number(`dim ${j} of ${name}`, 8);
    number(`type of ${name}`, 4);
    number(`offset of ${name}`, 8);
  }
  return { places, end: at };
}

const VALUES = [0n, 1n, 2n, 3n, 7n, 8n, 31n, 64n, 255n, 65536n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 53n, 2n ** 64n - 1n];

function mutate(file: Uint8Array, { places, end }: ReturnType<typeof placesOf>, random: Random) {
  const bytes = file.slice();
  const view = new DataView(bytes.buffer);
  // Most of all numbers are of tokens, and most of the others are lengths of names.
  const others = places.filter(({ what }) => !/tokens \d|merges \d|token_type \d|scores \d/.test(what));
  const values = others.filter(({ what }) => !/^(length|type|tensors|keys|magic)/.test(what));
  for (let n = 1 + random(2); n; n--) {
    const {
      what,
      at,
      bytes: size,
    } = [places, others, values, values, values].map((list) => list[random(list.length)])[random(5)];
    const value = random(3) ? VALUES[random(VALUES.length)] : BigInt(random(300));
    const kind = random(10);
    if (kind < 6) {
      if (size === 8) view.setBigUint64(at, value, true);
      else if (size === 4) view.setUint32(at, Number(value & 0xffffffffn), true);
      else bytes[at] = Number(value & 255n);
      if (n === 1) return { bytes, what: `${what} = ${value}` };
    } else if (kind === 6) {
      const from = random(end);
      bytes[from] = random(256);
      if (n === 1) return { bytes, what: `byte ${from}` };
    } else if (kind === 7) {
      const from = end + random(bytes.length - end);
      bytes.fill(random(256), from, from + random(64));
      if (n === 1) return { bytes, what: `data at ${from}` };
    } else if (kind === 8)
      return { bytes: bytes.slice(0, random(2) ? random(end) : random(bytes.length)), what: "cut" };
    else {
      const from = random(end);
      const gone = random(2) ? 1 + random(40) : 0;
      const more = new Uint8Array(gone ? 0 : 1 + random(40));
      const all = [bytes.subarray(0, from), more, bytes.subarray(from + gone)];
      return { bytes: new Uint8Array(Buffer.concat(all)), what: `${gone} out, ${more.length} in at ${from}` };
    }
  }
  throw new Error("never");
}

it(`${ROUNDS} mutated GGUF files: each a typed error or a load that runs, and other engines answer as before`, async () => {
  const files = ["qwen2", "llama3", "gemma3", "llama", "gpt2"].map(read).map((file) => ({ file, at: placesOf(file) }));
  const good = await loadModel(files[0].file);
  const bits = async () =>
    Buffer.from(((await good.forward(inputs, { outputs: ["logits"] })).logits as Tensor).data.slice().buffer);
  const before = await bits();
  const random = randomFrom(2028);
  const counts = { loaded: 0, failed: 0 };
  const kinds = new Map<string, number>();
  for (let i = 0; i < ROUNDS; i++) {
    const { file, at } = files[i % files.length];
    const { bytes, what } = mutate(file, at, random);
    // By turns with a known size, and as a stream without.
    const source = i % 2 ? bytes : new Blob([bytes as never]).stream();
    try {
      const folder = await openModel(source);
      const json = await readJson(folder, "tokenizer.json");
      if (json) (await Tokenizer.load(json, await readJson(folder, "tokenizer_config.json"))).encode("a day of rain");
      const model = await loadModel(folder, { memory_limit: 1 << 26 });
      try {
        const { dims } = (await model.forward(inputs, { outputs: ["logits"] })).logits as Tensor;
        expect(dims.slice(0, 2)).toEqual([1, 5]);
      } finally {
        model.dispose();
      }
      counts.loaded++;
    } catch (error) {
      if (!(error instanceof WattentionError)) throw new Error(`round ${i}: ${what}`, { cause: error });
      if (error.message.length > 2000) expect.fail(`${what}: an error of ${error.message.length} characters`);
      kinds.set(error.name, (kinds.get(error.name) ?? 0) + 1);
      counts.failed++;
    }
    if (i % 500 === 0) expect((await bits()).equals(before)).toBe(true);
  }
  console.log(counts, Object.fromEntries(kinds));
  expect(counts.loaded).toBeGreaterThan(200);
  expect(counts.failed).toBeGreaterThan(1000);
  expect((await bits()).equals(before)).toBe(true);
  good.dispose();
}, 300_000);
