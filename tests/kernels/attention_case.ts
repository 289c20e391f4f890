import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";
import { Attention, Invisible, Record, Unbounded } from "../../src/graph/op.ts";

/** Runs the attention kernel by itself on cases of any shape, and computes the same in f64, loop by loop, as its oracle. */

const root = fileURLToPath(new URL("../..", import.meta.url));

/** The kernel compiled in memory, so that this test needs no build. */
export async function compile(relaxed: boolean): Promise<WebAssembly.Module> {
  let binary: Uint8Array<ArrayBuffer> | undefined;
  const flags = "--runtime stub --importMemory --noExportMemory --use abort= -O3 --noAssert --enable simd".split(" ");
  const { error, stderr } = await asc.main(
    [
      "tests/kernels/attention.entry.ts",
      "--outFile",
      "x.wasm",
      "--baseDir",
      root,
      ...flags,
      ...(relaxed ? ["--enable", "relaxed-simd"] : []),
    ],
    {
      readFile: (name, base) =>
        name.endsWith("asconfig.json")
          ? null
          : readFile(name.startsWith("/") ? name : `${base}/${name}`, "utf8").catch(() => null),
      writeFile: (_, data) => {
        binary = data as Uint8Array<ArrayBuffer>;
      },
      listFiles: () => [],
    },
  );
  if (error) throw new Error(stderr.toString());
  return WebAssembly.compile(binary!);
}

export interface Case {
  /** Queries and keys of each sequence. */
  q_lens: number[];
  k_lens: number[];
  heads: number;
  kv_heads: number;
  head_dim: number;
  value_dim: number;
  scale: number;
  softcap?: number;
  left?: number;
  right?: number;
  /** Dense rows [sum of lengths][heads · dim]. */
  q: Float32Array;
  k: Float32Array;
  v: Float32Array;
  q_positions?: Int32Array;
  k_positions?: Int32Array;
  mask?: { data: Float32Array; batch: number; head: number; query: number };
  bias?: { table: Float32Array; span: number };
  slopes?: Float32Array;
  sinks?: Float32Array;
  /** [rows][heads · width]. */
  rel?: { c2p?: Float32Array; p2c?: Float32Array; width: number; index: Int32Array; span: number };
  tap?: boolean;
  /** Floats that rows are longer than they must be: as in a fused q, k, v. */
  slack?: number;
  /** Where ranges of rows end; each range is one call. */
  cuts?: number[];
}

export interface Result {
  out: Float32Array;
  /** For each sequence [head][query][key]. */
  probabilities: Float32Array;
}

/** Where the record lies: behind the kernel's own tables. */
const RECORD = 8192;
const sum = (list: number[]) => list.reduce((a, b) => a + b, 0);
const offsets = (list: number[]) => Int32Array.from([0, ...list.map((_, i) => sum(list.slice(0, i + 1)))]);
const up8 = (n: number) => Math.ceil(n / 8) * 8;
const probabilities_of = (c: Case) => c.q_lens.map((n, s) => n * c.k_lens[s]! * c.heads);
export const scratch_floats = (head_dim: number, value_dim: number) => 3698 + 288 * head_dim + 288 * up8(value_dim);

/** Runs the kernel in a memory poisoned with NaN; throws where it writes outside of out, tap and scratch, or leaves columns dirty. */
export function run(module: WebAssembly.Module, c: Case): Result {
  const rows = sum(c.q_lens);
  const slack = c.slack ?? 0;
  const out_cols = c.heads * c.value_dim;
  const ldo = up8(out_cols);
  const ldq = c.heads * c.head_dim + slack;
  const ldk = c.kv_heads * c.head_dim + slack;
  const ldv = c.kv_heads * c.value_dim + slack;
  const strided = (data: Float32Array, cols: number, ld: number) => {
    const wide = new Float32Array((data.length / cols) * ld).fill(Number.NaN);
    for (let r = 0; r * cols < data.length; r++) wide.set(data.subarray(r * cols, (r + 1) * cols), r * ld);
    return wide;
  };
  const tap_offsets = offsets(probabilities_of(c)).map((o) => o + 1); // an odd place: nothing may rely on alignment
  const taps = tap_offsets.at(-1)! + 1;
  const written = {
    out: new Float32Array(rows * ldo),
    tap: new Float32Array(c.tap ? taps : 0),
    scratch: new Float32Array(scratch_floats(c.head_dim, c.value_dim)),
  };
  const read: { [name: string]: Float32Array | Int32Array | undefined } = {
    q_offsets: offsets(c.q_lens),
    k_offsets: offsets(c.k_lens),
    q_positions: c.q_positions,
    k_positions: c.k_positions,
    mask: c.mask?.data,
    bias: c.bias?.table,
    slopes: c.slopes,
    sinks: c.sinks,
    c2p: c.rel?.c2p,
    p2c: c.rel?.p2c,
    rel_index: c.rel?.index,
    tap_offsets: c.tap ? tap_offsets : undefined,
    k: strided(c.k, c.kv_heads * c.head_dim, ldk),
    q: strided(c.q, c.heads * c.head_dim, ldq),
    v: strided(c.v, c.kv_heads * c.value_dim, ldv),
  };
  const at: { [name: string]: number } = {};
  let top = RECORD + 4 * Record.words;
  for (const [name, data] of Object.entries({ ...written, ...read })) {
    if (!data || (name === "tap" && !c.tap)) continue;
    at[name] = (top + 63) & -64;
    top = at[name]! + data.byteLength + 64;
  }
  // the last buffer ends 64 bytes before the end of memory: what the host guarantees to be readable
  const pages = Math.ceil(top / 65536);
  at["v"] = Math.max(at["v"]!, pages * 65536 - 64 - read["v"]!.byteLength) & -4;
  const memory = new WebAssembly.Memory({ initial: pages });
  const bytes = new Uint8Array(memory.buffer).fill(0xff);
  for (const [name, data] of Object.entries(read)) {
    if (data) bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at[name]);
  }
  const record = new Int32Array(memory.buffer, RECORD, Record.words).fill(0);
  const set = (index: number, value: number) => {
    record[index] = value;
  };
  const floats = new Float32Array(memory.buffer, RECORD, Record.words);
  const float = (index: number, value: number) => {
    floats[index] = value;
  };
  set(Record.rows, rows);
  set(Record.out, at["out"]!);
  for (const [name, index] of Object.entries(pointers)) set(index, at[name] ?? 0);
  set(Attention.ldo, ldo);
  set(Attention.ldq, ldq);
  set(Attention.ldk, ldk);
  set(Attention.ldv, ldv);
  set(Attention.sequences, c.q_lens.length);
  set(Attention.heads, c.heads);
  set(Attention.kv_heads, c.kv_heads);
  set(Attention.head_dim, c.head_dim);
  set(Attention.value_dim, c.value_dim);
  float(Attention.scale, c.scale);
  float(Attention.softcap, c.softcap ?? 0);
  set(Attention.left, c.left ?? Unbounded.value);
  set(Attention.right, c.right ?? Unbounded.value);
  set(Attention.mask_batch, c.mask?.batch ?? 0);
  set(Attention.mask_head, c.mask?.head ?? 0);
  set(Attention.mask_query, c.mask?.query ?? 0);
  set(Attention.bias_span, c.bias?.span ?? 0);
  set(Attention.ld_rel, c.heads * (c.rel?.width ?? 0));
  set(Attention.rel_ld, c.rel?.width ?? 0);
  set(Attention.rel_span, c.rel?.span ?? 0);

  const { attention } = new WebAssembly.Instance(module, { env: { memory } }).exports as {
    attention(args: number, first: number, last: number): void;
  };
  const before = bytes.slice();
  let first = 0;
  for (const last of [...(c.cuts ?? []), rows]) {
    attention(RECORD, first, last);
    first = last;
  }
  const out = new Float32Array(memory.buffer, at["out"], rows * ldo);
  const tap = new Float32Array(memory.buffer, at["tap"] ?? 0, c.tap ? taps : 0);
  const result = { out: new Float32Array(rows * out_cols), probabilities: tap.slice(1, -1) };
  for (let r = 0; r < rows; r++) {
    result.out.set(out.subarray(r * ldo, r * ldo + out_cols), r * out_cols);
    if (out.subarray(r * ldo + out_cols, (r + 1) * ldo).some((x) => x !== 0))
      throw new Error(`row ${r}: dirty padding`);
  }
  // put back what it may write: all else must be as before
  out.fill(0);
  tap.subarray(1, -1).fill(0);
  for (const [name, data] of Object.entries(written)) {
    if (at[name]) {
      const skip = name === "tap" ? 4 : 0;
      const end = at[name] + data.byteLength - skip;
      bytes.fill(0, at[name] + skip, end);
      before.fill(0, at[name] + skip, end);
    }
  }
  const stray = Buffer.compare(bytes, before) && bytes.findIndex((b, i) => b !== before[i]);
  if (stray) throw new Error(`wrote at ${stray}: ${JSON.stringify(at)}`);
  return result;
}

const pointers = {
  q: Attention.q,
  k: Attention.k,
  v: Attention.v,
  q_offsets: Attention.q_offsets,
  k_offsets: Attention.k_offsets,
  q_positions: Attention.q_positions,
  k_positions: Attention.k_positions,
  mask: Attention.mask,
  bias: Attention.bias,
  slopes: Attention.slopes,
  sinks: Attention.sinks,
  c2p: Attention.c2p,
  p2c: Attention.p2c,
  rel_index: Attention.rel_index,
  tap: Attention.tap,
  tap_offsets: Attention.tap_offsets,
  scratch: Attention.scratch,
};

/** The same in f64, straight from the definition. */
export function naive(c: Case): { out: Float64Array; probabilities: Float64Array } {
  const q_offsets = offsets(c.q_lens);
  const k_offsets = offsets(c.k_lens);
  const out = new Float64Array(sum(c.q_lens) * c.heads * c.value_dim);
  const probabilities = new Float64Array(sum(probabilities_of(c)));
  const clamp = (x: number, span: number) => Math.max(-span, Math.min(span, x));
  const f32 = Math.fround;
  let at = 0;
  for (const [s, queries] of c.q_lens.entries()) {
    const keys = c.k_lens[s]!;
    for (let h = 0; h < c.heads; h++) {
      const kv = Math.floor(h / (c.heads / c.kv_heads));
      for (let i = 0; i < queries; i++, at += keys) {
        const q_row = q_offsets[s]! + i;
        const logits = new Float64Array(keys);
        for (let j = 0; j < keys; j++) {
          const k_row = k_offsets[s]! + j;
          const q_position = c.q_positions?.[q_row] ?? i + keys - queries;
          const k_position = c.k_positions?.[k_row] ?? j;
          const distance = k_position - q_position;
          let x = 0;
          for (let e = 0; e < c.head_dim; e++) {
            x += c.q[(q_row * c.heads + h) * c.head_dim + e]! * c.k[(k_row * c.kv_heads + kv) * c.head_dim + e]!;
          }
          if (c.rel) {
            const r = c.rel.index[clamp(-distance, c.rel.span) + c.rel.span]!;
            x += c.rel.c2p?.[(q_row * c.heads + h) * c.rel.width + r] ?? 0;
            x += c.rel.p2c?.[(k_row * c.heads + h) * c.rel.width + r] ?? 0;
          }
          x *= f32(c.scale);
          if (c.softcap) x = f32(c.softcap) * Math.tanh(x / f32(c.softcap));
          if (c.mask) x += c.mask.data[s * c.mask.batch + h * c.mask.head + i * c.mask.query + j]!;
          if (c.bias) x += c.bias.table[h * (2 * c.bias.span + 1) + clamp(distance, c.bias.span) + c.bias.span]!;
          if (c.slopes) x += c.slopes[h]! * distance;
          const bound = (side: number | undefined) => side ?? Number.POSITIVE_INFINITY;
          const seen = k_position !== Invisible.position && distance >= -bound(c.left) && distance <= bound(c.right);
          const even = q_position === Invisible.position && c.k_positions;
          logits[j] = even ? 0 : seen ? x : Number.NEGATIVE_INFINITY;
        }
        const most = Math.max(...logits);
        if (most === Number.NEGATIVE_INFINITY) continue;
        const p = probabilities.subarray(at, at + keys);
        let total = c.sinks ? Math.exp(c.sinks[h]! - most) : 0;
        for (let j = 0; j < keys; j++) {
          p[j] = Math.exp(logits[j]! - most);
          total += p[j]!;
        }
        for (let j = 0; j < keys; j++) {
          p[j]! /= total;
          for (let e = 0; e < c.value_dim; e++) {
            out[(q_row * c.heads + h) * c.value_dim + e]! +=
              p[j]! * c.v[((k_offsets[s]! + j) * c.kv_heads + kv) * c.value_dim + e]!;
          }
        }
      }
    }
  }
  return { out, probabilities };
}
