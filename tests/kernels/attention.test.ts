import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Invisible } from "../../src/graph/op.ts";
import { type Case, compile, naive, run } from "./attention_case.ts";

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
  if (o.positions === "holes") c.k_positions = position(k_lens).map((p) => (int(2) ? p : Invisible.position));
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

describe.each([false, true])("attention, relaxed: %s", async (relaxed) => {
  const module = await compile(relaxed);

  test("is the f64 loop's result, for any options", () => {
    fc.assert(
      fc.property(cases, (c) => {
        const got = run(module, c);
        const want = naive(c);
        expect(distance(got.out, want.out)).toBeLessThan(1e-5);
        if (c.tap) {
          expect(distance(got.probabilities, want.probabilities)).toBeLessThan(5e-6);
          want.probabilities.forEach((p, i) => void (p === 0 && expect(got.probabilities[i]).toBe(0)));
        }
      }),
      { numRuns: 100 },
    );
  }, 60_000);
});
