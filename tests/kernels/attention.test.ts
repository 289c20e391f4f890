import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Invisible } from "../../src/graph/op.ts";
import { type Case, compile, naive, run } from "./attention_case.ts";

const conformance = fileURLToPath(new URL("../../../shared/conformance/attention/attention.json", import.meta.url));

/** Numbers that a seed decides, near a normal distribution. */
function numbers(seed: number) {
  let state = seed | 0;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    int: (most: number) => Math.floor(next() * (most + 1)),
    floats: (n: number, size = 1) =>
      Float32Array.from({ length: n }, () => (next() + next() + next() - 1.5) * 2 * size),
  };
}
const sum = (list: number[]) => list.reduce((a, b) => a + b, 0);

function plain(
  seed: number,
  q_lens: number[],
  k_lens: number[],
  heads = 2,
  head_dim = 8,
  rest: Partial<Case> = {},
): Case {
  const { floats } = numbers(seed);
  const { kv_heads = heads, value_dim = head_dim } = rest;
  return {
    q_lens,
    k_lens,
    heads,
    kv_heads,
    head_dim,
    value_dim,
    scale: 1 / Math.sqrt(head_dim),
    q: floats(sum(q_lens) * heads * head_dim),
    k: floats(sum(k_lens) * kv_heads * head_dim),
    v: floats(sum(k_lens) * kv_heads * value_dim),
    ...rest,
  };
}

const length = fc.oneof(fc.integer({ min: 0, max: 12 }), fc.constantFrom(7, 23, 24, 25, 33, 95, 96, 97, 130, 193));
const side = fc.option(fc.oneof(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: 150 })), { nil: undefined });
const options = fc.record({
  seed: fc.integer(),
  lengths: fc.array(fc.tuple(length, length), { minLength: 1, maxLength: 3 }),
  self: fc.boolean(),
  heads: fc.constantFrom([1, 1], [2, 2], [3, 3], [4, 2], [6, 1]),
  head_dim: fc.constantFrom(1, 3, 4, 8, 12, 20, 32, 64, 80),
  value_dim: fc.option(fc.constantFrom(1, 4, 5, 8, 12, 32), { nil: undefined }),
  left: side,
  right: side,
  softcap: fc.option(fc.constantFrom(0.5, 5, 50), { nil: undefined }),
  positions: fc.constantFrom("none", "q", "k", "both", "holes"),
  mask: fc.constantFrom("none", "keys", "heads", "queries", "all"),
  bias: fc.option(fc.integer({ min: 0, max: 40 }), { nil: undefined }),
  rel: fc.option(fc.tuple(fc.boolean(), fc.boolean(), fc.integer({ min: 0, max: 20 })), { nil: undefined }),
  slopes: fc.boolean(),
  sinks: fc.boolean(),
  tap: fc.boolean(),
  slack: fc.constantFrom(0, 3, 8),
});

/** A case with the options drawn; each half of them at most of the time off, so that most cases have a few. */
const cases = options.map((o): Case => {
  const { int, floats } = numbers(o.seed);
  const off = () => int(2) > 0;
  const q_lens = o.lengths.map(([q]) => q);
  const k_lens = o.lengths.map(([q, k]) => (o.self ? q : k));
  const [heads, kv_heads] = o.heads as [number, number];
  const c = plain(o.seed, q_lens, k_lens, heads, o.head_dim, { kv_heads, value_dim: o.value_dim ?? o.head_dim });
  const position = (lens: number[]) =>
    Int32Array.from(lens.flatMap((n) => Array.from({ length: n }, (_, i) => i + int(3))));
  if (o.positions === "q" || o.positions === "both") c.q_positions = position(q_lens);
  if (o.positions === "k" || o.positions === "both") c.k_positions = position(k_lens);
  if (o.positions === "holes") {
    c.k_positions = position(k_lens).map((p) => (int(2) ? p : Invisible.position));
    c.q_positions = position(q_lens).map((p) => (int(4) ? p : Invisible.position));
  }
  c.left = o.left;
  c.right = o.right;
  c.tap = o.tap;
  c.slack = o.slack;
  if (!off()) c.softcap = o.softcap;
  if (!off() && o.mask !== "none") {
    const keys = Math.max(...k_lens);
    const query = o.mask === "queries" || o.mask === "all" ? keys + 1 : 0;
    const head = o.mask === "heads" || o.mask === "all" ? (query || keys) * (Math.max(...q_lens) + 1) : 0;
    const batch = o.mask === "keys" || o.mask === "all" ? Math.max(head * heads, keys) : 0;
    const size = batch * q_lens.length + head * heads + query * (Math.max(...q_lens) + 1) + keys;
    c.mask = { data: floats(size).map((x) => (int(2) ? x : Number.NEGATIVE_INFINITY)), batch, head, query };
  }
  if (o.bias !== undefined && !off()) c.bias = { table: floats(heads * (2 * o.bias + 1)), span: o.bias };
  if (o.slopes && !off()) c.slopes = floats(heads, 0.2);
  if (o.sinks && !off()) c.sinks = floats(heads, 2);
  if (o.rel && !off()) {
    const [c2p, p2c, span] = o.rel;
    const width = 1 + int(7);
    c.rel = {
      c2p: c2p ? floats(sum(q_lens) * heads * width) : undefined,
      p2c: p2c ? floats(sum(k_lens) * heads * width) : undefined,
      width,
      span,
      index: Int32Array.from({ length: 2 * span + 1 }, () => int(width - 1)),
    };
  }
  return c;
});

function distance(got: Float32Array, want: ArrayLike<number>): number {
  expect(got.length).toBe(want.length);
  let worst = 0;
  let size = 1;
  for (let i = 0; i < got.length; i++) {
    const e = Math.abs(got[i]! - want[i]!);
    if (!(e <= worst)) worst = e;
    size = Math.max(size, Math.abs(want[i]!));
  }
  return worst / size;
}

/** Sequence s of a case alone. */
function alone(c: Case, s: number): Case {
  const cut = <T extends Float32Array | Int32Array>(data: T, lens: number[], width: number) => {
    const from = sum(lens.slice(0, s));
    return data.slice(from * width, (from + lens[s]!) * width) as T;
  };
  const { rel, mask } = c;
  return {
    ...c,
    q_lens: [c.q_lens[s]!],
    k_lens: [c.k_lens[s]!],
    q: cut(c.q, c.q_lens, c.heads * c.head_dim),
    k: cut(c.k, c.k_lens, c.kv_heads * c.head_dim),
    v: cut(c.v, c.k_lens, c.kv_heads * c.value_dim),
    q_positions: c.q_positions && cut(c.q_positions, c.q_lens, 1),
    k_positions: c.k_positions && cut(c.k_positions, c.k_lens, 1),
    mask: mask && { ...mask, data: mask.data.slice(s * mask.batch) },
    rel: rel && {
      ...rel,
      c2p: rel.c2p && cut(rel.c2p, c.q_lens, c.heads * rel.width),
      p2c: rel.p2c && cut(rel.p2c, c.k_lens, c.heads * rel.width),
    },
  };
}

const same = (a: Float32Array, b: Float32Array) => {
  const [x, y] = [new Int32Array(a.buffer, a.byteOffset, a.length), new Int32Array(b.buffer, b.byteOffset, b.length)];
  expect(x.findIndex((bits, i) => bits !== y[i])).toBe(-1);
  expect(a.length).toBe(b.length);
};

describe.each([false, true])("attention, relaxed: %s", async (relaxed) => {
  const module = await compile(relaxed);

  function check(c: Case, limit = 1e-5) {
    const got = run(module, c);
    const want = naive(c);
    expect(distance(got.out, want.out)).toBeLessThan(limit);
    if (c.tap) {
      expect(distance(got.probabilities, want.probabilities)).toBeLessThan(limit);
      expect(got.probabilities.findIndex((p, i) => want.probabilities[i] === 0 && p !== 0)).toBe(-1);
    }
    return got;
  }

  test("is the f64 loop's result, for any options", () => {
    fc.assert(
      fc.property(cases, (c) => void check(c)),
      { numRuns: 50 },
    );
  }, 60_000);

  test("a row's bits depend on its own sequence alone: not on the batch, nor on how rows are cut, nor on the tap", () => {
    fc.assert(
      fc.property(cases, fc.array(fc.nat(), { maxLength: 5 }), (c, cuts) => {
        const rows = sum(c.q_lens);
        const whole = run(module, { ...c, tap: true });
        same(run(module, { ...c, tap: false }).out, whole.out);
        const cut = run(module, { ...c, tap: true, cuts: cuts.map((n) => n % (rows + 1)).sort((a, b) => a - b) });
        same(cut.out, whole.out);
        same(cut.probabilities, whole.probabilities);
        let row = 0;
        let tapped = 0;
        for (const s of c.q_lens.keys()) {
          const one = run(module, alone({ ...c, tap: true }, s));
          same(one.out, whole.out.subarray(row, row + one.out.length));
          same(one.probabilities, whole.probabilities.subarray(tapped, tapped + one.probabilities.length));
          row += one.out.length;
          tapped += one.probabilities.length;
        }
      }),
      { numRuns: 50 },
    );
  }, 60_000);

  test("keys that a query does not see change no bit: a causal row is the same with and without the future", () => {
    const long = plain(1, [230], [230], 2, 20, { right: 0, left: 140 });
    const all = run(module, long).out;
    for (const n of [1, 5, 24, 95, 96, 97, 200]) {
      const { q, k, v } = long;
      const short = {
        ...long,
        q_lens: [n],
        k_lens: [n],
        q: q.slice(0, n * 40),
        k: k.slice(0, n * 40),
        v: v.slice(0, n * 40),
      };
      same(run(module, short).out, all.subarray(0, n * 40));
      // the last query beside the last key, as with a cache of n - 1 keys
      same(
        run(module, { ...short, q_lens: [1], q: q.slice((n - 1) * 40, n * 40) }).out,
        all.subarray((n - 1) * 40, n * 40),
      );
      // positions that say the same as none
      const positions = Int32Array.from({ length: n }, (_, i) => i + 7);
      same(run(module, { ...short, q_positions: positions, k_positions: positions }).out, all.subarray(0, n * 40));
    }
  });

  test("large heads and long rows", () => {
    check(plain(2, [33], [40], 2, 128, { tap: true }));
    check(plain(3, [7], [97], 1, 256, { kv_heads: 1 }));
    check(plain(4, [130], [257], 3, 20, { tap: true, left: 3, right: 3 }));
    check(plain(5, [9], [3000], 1, 16, { tap: true }));
  });

  test("a query that sees no key gives zeros, with sinks too", () => {
    for (const sinks of [undefined, Float32Array.of(0.5, -3)]) {
      for (const rest of [
        { k_positions: new Int32Array(100).fill(Invisible.position) },
        { left: -1, right: -200 },
        { mask: { data: new Float32Array(100).fill(Number.NEGATIVE_INFINITY), batch: 0, head: 0, query: 0 } },
      ]) {
        const { out, probabilities } = run(module, plain(6, [30], [100], 2, 8, { ...rest, sinks, tap: true }));
        expect(out.every((x) => x === 0)).toBe(true);
        expect(probabilities.every((x) => x === 0)).toBe(true);
      }
    }
    // of 40 queries beside 10 keys the first 30 see nothing
    expect(check(plain(7, [40], [10], 1, 8, { right: 0, tap: true })).out.subarray(0, 240)).toEqual(
      new Float32Array(240),
    );
  });

  test("a row whose mask is the least float everywhere, as transformers writes it, weighs all keys the same", () => {
    const c = plain(8, [2], [100], 1, 8, { tap: true });
    c.mask = { data: new Float32Array(100).fill(-3.4028234663852886e38), batch: 0, head: 0, query: 0 };
    const { probabilities } = run(module, c);
    for (const p of probabilities) expect(p).toBeCloseTo(0.01, 8);
  });

  test("scores of any size stay finite", () => {
    const c = plain(9, [5], [200], 1, 8, { scale: 1e4, tap: true });
    const { out, probabilities } = run(module, c);
    expect(out.every(Number.isFinite)).toBe(true);
    for (let i = 0; i < 5; i++) expect(sum([...probabilities.subarray(i * 200, (i + 1) * 200)])).toBeCloseTo(1, 5);
  });

  test.skipIf(!existsSync(conformance))("scaled_dot_product_attention of PyTorch", () => {
    const all = safetensors(conformance.replace("json", "safetensors"));
    let ran = 0;
    for (const { name, mode, B, H, KV, Tq, Tk, D, scale, window } of JSON.parse(readFileSync(conformance, "utf8"))) {
      if (!name.startsWith("sdpa")) continue;
      // [batch, head, row, dim] to [row, head, dim] and back
      const rows = (data: ArrayLike<number>, heads: number, n: number, back = false) => {
        const to = new Float32Array(data.length);
        for (let b = 0, at = 0; b < B; b++) {
          for (let h = 0; h < heads; h++) {
            for (let i = 0; i < n; i++) {
              for (let d = 0; d < D; d++, at++) {
                const row = ((b * n + i) * heads + h) * D + d;
                if (back) to[at] = data[row]!;
                else to[row] = data[at]!;
              }
            }
          }
        }
        return to;
      };
      const tensor = (n: string) => all[`${name}.${n}`]!;
      const mask = all[`${name}.mask`];
      const c: Case = {
        q_lens: Array(B).fill(Tq),
        k_lens: Array(B).fill(Tk),
        heads: H,
        kv_heads: KV,
        head_dim: D,
        value_dim: D,
        scale: scale ?? 1 / Math.sqrt(D),
        q: rows(tensor("q").data, H, Tq),
        k: rows(tensor("k").data, KV, Tk),
        v: rows(tensor("v").data, KV, Tk),
        right: mode === "causal" || mode === "window" ? 0 : undefined,
        left: mode === "window" ? window - 1 : undefined,
        tap: true,
      };
      if (mask) {
        const [mb, mh, mq, mk] = [1, 1, 1, ...mask.dims].slice(-4) as [number, number, number, number];
        const data = mask.bool ? mask.data.map((x) => (x ? 0 : Number.NEGATIVE_INFINITY)) : mask.data;
        const stride = (n: number, size: number) => (n > 1 ? size : 0);
        expect(mk).toBe(Tk);
        c.mask = { data, query: stride(mq, mk), head: stride(mh, mq * mk), batch: stride(mb, mh * mq * mk) };
      }
      const got = run(module, c);
      expect(distance(rows(got.out, H, Tq, true), tensor("out").data), `${name} ${mode} out`).toBeLessThan(1e-5);
      expect(distance(got.probabilities, tensor("probs").data), `${name} ${mode} probs`).toBeLessThan(1e-5);
      ran++;
    }
    expect(ran).toBe(48);
  });
});

function safetensors(path: string): { [name: string]: { data: Float32Array; dims: number[]; bool: boolean } } {
  const bytes = readFileSync(path);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header: { [name: string]: { dtype: string; shape: number[]; data_offsets: [number, number] } } = JSON.parse(
    bytes.subarray(8, start).toString("utf8"),
  );
  const tensors = Object.entries(header).filter(([name]) => name !== "__metadata__");
  return Object.fromEntries(
    tensors.map(([name, { dtype, shape, data_offsets }]) => {
      const raw = bytes.buffer.slice(...(data_offsets.map((o) => bytes.byteOffset + start + o) as [number, number]));
      const bool = dtype !== "F32";
      return [name, { data: bool ? Float32Array.from(new Int32Array(raw)) : new Float32Array(raw), dims: shape, bool }];
    }),
  );
}
