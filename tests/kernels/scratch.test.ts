import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { Graph } from "../../src/graph/graph.ts";
import { Format, Matmul, Op, Quantized, Record } from "../../src/graph/op.ts";
import { ops, rowBytes } from "../../src/graph/ops.ts";
import { align } from "../../src/graph/plan.ts";
import { BASE, Engine } from "../../src/runtime/engine.ts";
import { random } from "../graph/random.ts";
import "../../src/host/node.ts";

let builds: Engine[] = [];
beforeAll(async () => {
  builds = [await Engine.create(), await Engine.create({ deterministic: true }), await Engine.create()];
  builds[2].exports.fuse_dots(1);
  for (const { memory } of builds) memory.ensure(20e6);
});
const padded = (n: number) => (n + 7) & ~7;

/** Bytes that no kernel writes by chance, and how many are looked at behind the scratch: more than a block of rows takes. */
const POISON = 0xa5;
const BEHIND = 1 << 20;
const poison = Buffer.alloc(BEHIND, POISON);

/** The scratch that a plan gives a matmul. */
function planned(rows: number, n: number, k: number): number {
  const g = new Graph(new Map());
  const node = g.linear(g.input("x", rows, "f32", k), g.weight("w", [n, k]));
  return align(ops[Op.matmul].scratch!(node, (d) => d as number));
}

/** A product of random numbers, run twice with other things in its scratch. */
function product({ memory, exports }: Engine, seed: number, rows: number, n: number, k: number, format: Format) {
  const next = random(seed);
  const [ldx, ldo] = [padded(k), padded(n)];
  let at = BASE;
  const take = (bytes: number) => {
    const from = at;
    at = align(at + bytes);
    return from;
  };
  const b = take(format === Format.panels ? ldo * k * 4 : ldo * rowBytes(k, format));
  const scales = take(ldo * Quantized.scales);
  const a = take(rows * ldx * 4);
  const out = take(rows * ldo * 4);
  const program = take(Record.words * 4);
  const bytes = planned(rows, n, k);
  const scratch = take(bytes);
  const w = Float32Array.from({ length: n * k }, () => next() - 0.5);
  memory.u8(b, a - b).fill(0);
  memory.write(scratch, w);
  if (format === Format.panels) exports.pack_rows(b, scratch, 0, n, k, 0);
  else exports.quantize_weights(b, scales, scratch, align(scratch + w.byteLength + 64), 0, n, k, format);
  const x = Float32Array.from({ length: rows * k }, () => next() - 0.4);
  memory.write(a, x, k, ldx);
  const words = new Int32Array(Record.words);
  words.set([Op.matmul, rows, out, a, b]);
  words[Matmul.n] = n;
  words[Matmul.k] = k;
  words[Matmul.ldo] = ldo;
  words[Matmul.lda] = ldx;
  words[Matmul.scratch] = scratch;
  words[Matmul.format] = format;
  words[Matmul.scales] = scales;
  memory.write(program, words);
  // Floats that are NaN, and activations over 127.
  const results = [0, 0xff].map((left) => {
    memory.u8(out, rows * ldo * 4).fill(POISON);
    memory.u8(scratch, bytes).fill(left);
    memory.u8(scratch + bytes, BEHIND).fill(POISON);
    exports.run(program, 0, 1, 0, 1);
    expect(Buffer.compare(memory.u8(scratch + bytes, BEHIND), poison)).toBe(0);
    return memory.f32(out, rows * ldo).slice();
  });
  expect(results[0].some(Number.isNaN)).toBe(false);
  expect(Buffer.compare(bits(results[0]), bits(results[1]))).toBe(0);
  return results[0];
}

const bits = (x: Float32Array) => Buffer.from(x.buffer);

test("a matmul of any format and size stays within the scratch that is planned for it, and what that held reaches no result", () => {
  const sizes = fc.record({
    seed: fc.integer({ min: 1, max: 1 << 30 }),
    most: fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 900 })),
    columns: fc.integer({ min: 1, max: 20 }),
    k: fc.oneof(
      fc.integer({ min: 1, max: 70 }),
      fc.integer({ min: 1, max: 1600 }),
      fc.integer({ min: 30000, max: 70000 }),
    ),
    format: fc.constantFrom(Format.panels, Format.q8, Format.q8_exact, Format.q4),
  });
  fc.assert(
    fc.property(sizes, ({ seed, most, columns, k, format }) => {
      const rows = Math.max(1, Math.min(most, Math.floor(4e5 / k)));
      const n = Math.max(1, Math.min(columns, Math.floor(2e5 / k)));
      const [one, ...others] = builds.map((engine) => product(engine, seed, rows, n, k, format));
      // Integers are the same in every build.
      if (format !== Format.panels) for (const other of others) expect(Buffer.compare(bits(one), bits(other))).toBe(0);
    }),
    { numRuns: 60 },
  );
});
