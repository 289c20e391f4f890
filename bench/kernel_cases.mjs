/** Matmuls of a module, called through `run` with records of one op, laid out as src/graph/op.ts says. */
import { readFileSync } from "node:fs";
import { constEnums, repository } from "./material.mjs";
import { cosineDistance } from "./measure.mjs";

const op = constEnums(readFileSync(repository("src/graph/op.ts"), "utf8"));
/** How weights are kept, and 1 - cosine that a product of uniform random numbers may be off by. */
const FORMATS = { f32: ["panels", 1e-12], q8: ["q8", 5e-3], "q8-exact": ["q8_exact", 1e-3], q4: ["q4", 5e-2] };
export const DTYPES = Object.keys(FORMATS).filter((dtype) => dtype === "f32" || op.Format?.[FORMATS[dtype][0]]);

/**
 * One callable a case, all in one memory; each has been checked against sums in double precision.
 * @param cases `{ dtype, m, n, k }[]` @param cycled bytes of weights to cycle through, 0 for one matrix
 */
export async function matmuls(path, cases, cycled) {
  const matrices = new Set(cases.map(({ dtype, n, k }) => `${dtype} ${n}x${k}`)).size;
  const memory = new WebAssembly.Memory({ initial: 2048 + Math.ceil((matrices * cycled) / 65536) });
  const { exports } = (await WebAssembly.instantiate(readFileSync(path), { env: { memory } })).instance;
  const f32 = new Float32Array(memory.buffer);
  const i32 = new Int32Array(memory.buffer);
  const bytes = new Uint8Array(memory.buffer);
  const word = op.Matmul;
  let free = 1 << 20;
  const place = (size) => {
    const at = free;
    free += (size + 63) & ~63;
    if (free > bytes.length) throw new Error("too many cases for one memory");
    return at;
  };
  const random = (count) => {
    const at = place(4 * count);
    for (let i = 0; i < count; i++) f32[at / 4 + i] = Math.random() - 0.5;
    return at;
  };
  const made = new Map();
  return cases.map(({ dtype, m, n, k }) => {
    const key = `${dtype} ${n}x${k}`;
    if (!made.has(key)) made.set(key, weights(dtype, n, k));
    const { rows, copies } = made.get(key);
    const [a, bias, out] = [random(m * k), random(n), place(4 * m * n)];
    const scratch = place(4 * ((m + 8) * k + 65536));
    const records = copies.map(({ b, scales }) => {
      const at = place(4 * op.Record.words);
      const format = op.Format?.[FORMATS[dtype][0]] ?? 0;
      const set = { a, b, bias, n, k, ldo: n, lda: k, ldr: n, scratch, format, scales };
      i32[at / 4 + op.Record.op] = op.Op.matmul;
      i32[at / 4 + op.Record.rows] = m;
      i32[at / 4 + op.Record.out] = out;
      for (const [name, value] of Object.entries(set)) if (word[name]) i32[at / 4 + word[name]] = value;
      return at;
    });
    let next = 0;
    const run = () => {
      exports.run(records[next], 0, 1, 0, 1);
      next = (next + 1) % records.length;
    };
    run();
    check(`${path} ${key} ${m}`, { rows, a, bias, out, m, n, k, limit: FORMATS[dtype][1] });
    return run;
  });

  /** Random weights [n, k] as `rows`, and as many copies of the packed matrix as are cycled through. */
  function weights(dtype, n, k) {
    const rows = random(n * k);
    const name = FORMATS[dtype][0];
    const [b, scales] = [place(4 * n * k), place(8 * n + 64)];
    if (dtype === "f32") exports.pack_rows(b, rows, 0, n, k, op.Dtype.f32);
    else exports.quantize_weights(b, scales, rows, place(8 * k), 0, n, k, op.Format[name]);
    const size = n * k * { f32: 4, q4: 9 / 16 }[dtype] || n * k;
    const copies = [{ b, scales }];
    while ((copies.length + 1) * size <= cycled) {
      const copy = place(size);
      bytes.copyWithin(copy, b, b + size);
      copies.push({ b: copy, scales });
    }
    return { rows, copies };
  }

  /** Some rows of the result, whole, since a product that is right in its first columns may be wrong in its last. */
  function check(what, { rows, a, bias, out, m, n, k, limit }) {
    for (const i of new Set([0, m >> 1, m - 1])) {
      const wanted = Float64Array.from({ length: n }, (_, j) => {
        let sum = f32[bias / 4 + j];
        for (let p = 0; p < k; p++) sum += f32[a / 4 + i * k + p] * f32[rows / 4 + j * k + p];
        return sum;
      });
      const off = cosineDistance(f32.subarray(out / 4 + i * n, out / 4 + (i + 1) * n), wanted);
      if (!(off <= limit)) throw new Error(`${what}, row ${i}: 1 - cosine is ${off}`);
    }
  }
}
