import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { Dtype, Format, Matmul, Op, Record } from "../../src/graph/op.ts";
import { type ModelJob, type ModuleJob, obstacle, PROCESSORS, run } from "./emulator.ts";

const root = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const entry = root("dist/host/node.js");
const minilm = root("../shared/models/all-MiniLM-L6-v2");
const BUILDS = ["relaxed", "simd"] as const;
const floats = (bytes: Buffer) => new Float32Array(new Uint8Array(bytes).buffer);

/** A matmul whose activations and weights are at the ends of what integers hold, in `format`, by `build`. */
function extremes(build: string, format: Format): ModuleJob {
  const [m, n, k] = [7, 16, 1536];
  const at = 65536;
  let free = at;
  const place = (bytes: number) => {
    const here = free;
    free += (bytes + 63) & ~63;
    return here;
  };
  const [x, w, record] = [place(4 * m * k), place(4 * n * k), place(4 * Record.words)];
  const end = free;
  const [b, scales, work, out, scratch] = [4 * n * k, 8 * n, 8 * k, 4 * m * n, 1 << 20].map(place) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const image = new DataView(new ArrayBuffer(end - at));
  const put = (base: number, i: number, value: number) => image.setFloat32(base - at + 4 * i, value, true);
  /** Numbers between -1 and 1, the same ones each time. */
  const noise = (i: number) => ((Math.imul(i + 1, 2654435761) >>> 8) % 2001) / 1000 - 1;
  const activations = [
    (p: number) => (p % 2 ? 1 : -1), // u of 0 and of 127, by turns
    () => 1, // nothing but one value
    () => 0,
    (p: number) => (p ? noise(p) : 1e6), // all others in the lowest step
    (p: number) => 1e-38 * noise(p),
    (p: number) => 3e38 * noise(p),
    (p: number) => Math.abs(noise(p)),
  ];
  const weights = [() => 1, () => -1, (p: number) => (p % 2 ? 1 : -1), (p: number) => (p ? 1e-3 * noise(p) : 1)];
  for (let i = 0; i < m; i++) for (let p = 0; p < k; p++) put(x, i * k + p, activations[i]!(p));
  for (let j = 0; j < n; j++)
    for (let p = 0; p < k; p++) put(w, j * k + p, (weights[j] ?? ((q) => noise(q * n + j)))(p));
  const words = { [Matmul.a]: x, [Matmul.b]: b, [Matmul.n]: n, [Matmul.k]: k, [Matmul.ldo]: n, [Matmul.lda]: k };
  const more = { [Matmul.scratch]: scratch, [Matmul.format]: format, [Matmul.scales]: scales };
  const head = { [Record.op]: Op.matmul, [Record.rows]: m, [Record.out]: out };
  for (const [word, value] of Object.entries({ ...words, ...more, ...head }))
    image.setInt32(record - at + 4 * Number(word), value, true);
  const packing: ModuleJob["calls"][0] =
    format === Format.panels
      ? ["pack_rows", b, w, 0, n, k, Dtype.f32]
      : ["quantize_weights", b, scales, w, work, 0, n, k, format];
  return {
    wasm: root(`dist/wasm/${build}.wasm`),
    pages: Math.ceil(free / 65536),
    image: Buffer.from(image.buffer).toString("base64"),
    at,
    calls: [packing, ["run", record, 0, 1, 0, 1]],
    out: [out, out + 4 * m * n],
  };
}

describe.skipIf(obstacle)(
  `on an emulated arm64${obstacle ? ` (skipped: ${obstacle})` : ""}`,
  { timeout: 600_000 },
  () => {
    const formats = [Format.q8, Format.q8_exact, Format.q4];

    it.each(PROCESSORS)("%s: integers at their extremes are those of x64, in either build", (processor) => {
      const jobs = formats.flatMap((format) => BUILDS.map((build) => extremes(build, format)));
      const [here, there] = [run(jobs), run(jobs, processor)];
      for (const [i, bytes] of here.entries()) {
        expect(floats(bytes).some((value) => value !== 0)).toBe(true);
        expect(there[i]!.equals(bytes), `job ${i}`).toBe(true);
        if (i % 2) expect(bytes.equals(here[i - 1]!), "the builds").toBe(true);
      }
    });

    const texts = ["The river bank was steep.", "a cat sleeps on the sofa", "Notes, naïve and 東京: 12 of 34!"];
    const folder = root("models/default-embedder");
    const variants: ModelJob["options"][] = [
      {},
      { deterministic: true },
      { dtype: "q8" },
      { dtype: "q8", deterministic: true },
      { dtype: "q8-exact" },
      { dtype: "q4" },
    ];
    it("the shipped model gives x64's vectors, in every dtype", () => {
      const jobs = variants.map((options) => ({ entry, folder, texts, options }));
      const [here, there] = [run(jobs), run(jobs, "max")];
      for (const [i, bytes] of here.entries()) compare(floats(there[i]!), floats(bytes), variants[i]!);
    });

    it.skipIf(!existsSync(minilm))("MiniLM's hidden states are x64's (skipped where ../shared is not there)", () => {
      const ids = [
        [101, 2054, 2003, 1996, 3007, 1997, 2605, 1029, 102],
        [101, 7592, 102],
      ];
      const options = [{}, { dtype: "q8" }];
      const jobs = options.map((given) => ({ entry, folder: minilm, ids, options: given }));
      const [here, there] = [run(jobs), run(jobs, "max")];
      for (const [i, bytes] of here.entries()) compare(floats(there[i]!), floats(bytes), options[i]!);
    });
  },
);

/** Deterministic: the same bits. Else an engine may round a multiply-add once or twice, which a quantised row may see as a step of one number. */
function compare(
  there: Float32Array,
  here: Float32Array,
  { dtype = "f32", deterministic = false }: NonNullable<ModelJob["options"]>,
) {
  expect(there.length).toBe(here.length);
  const limit = deterministic ? 0 : dtype === "f32" ? 1e-5 : 1e-2;
  let worst = 0;
  for (const [i, value] of here.entries()) worst = Math.max(worst, Math.abs(there[i]! - value));
  expect(worst, dtype).toBeLessThanOrEqual(limit);
  expect(here.some((value) => value !== 0)).toBe(true);
}
