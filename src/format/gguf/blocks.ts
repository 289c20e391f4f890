/**
 * How ggml keeps numbers: blocks of a few bits each with a scale. The equations are those of gguf's Python package (quants.py); every
 * product and sum below is exact in f64 and is rounded once, to f32, so the numbers are the same bit for bit.
 */

export interface BlockType {
  readonly name: string;
  /** ggml_type. */
  readonly id: number;
  /** Numbers in a block, and its bytes. */
  readonly size: number;
  readonly bytes: number;
  /** One block from byte `at` on, to `to` from number `n` on. Not there for f32. */
  readonly unpack?: (from: Uint8Array, at: number, to: Float32Array, n: number) => void;
}

let halves: Float32Array | undefined;

/** All 65,536 numbers of binary16. */
function table(): Float32Array {
  const all = new Float32Array(1 << 16);
  for (let bits = 0, unit = 2 ** -24; bits < 0x8000; bits++) {
    const exponent = bits >> 10;
    const fraction = bits & 1023;
    if (exponent > 1 && !fraction) unit *= 2;
    const x =
      exponent === 31
        ? fraction
          ? Number.NaN
          : Number.POSITIVE_INFINITY
        : (exponent ? 1024 + fraction : fraction) * unit;
    all[bits] = x;
    all[bits | 0x8000] = -x;
  }
  return all;
}

function half(from: Uint8Array, at: number): number {
  halves ??= table();
  return halves[from[at] | (from[at + 1] << 8)];
}

/** 32 numbers of 4 bits, those of byte i being i and i + 16, a fifth bit for each in `high`: d · (q − zero) + m. */
function nibbles(from: Uint8Array, at: number, to: Float32Array, n: number, d: number, zero: number, m = -0, high = 0) {
  // -0 changes no number, 0 would change -0.
  for (let i = 0; i < 16; i++) {
    const b = from[at + i];
    to[n + i] = d * (((b & 15) | (((high >>> i) & 1) << 4)) - zero) + m;
    to[n + i + 16] = d * (((b >> 4) | (((high >>> (i + 16)) & 1) << 4)) - zero) + m;
  }
}

const u32 = (from: Uint8Array, at: number) =>
  from[at] | (from[at + 1] << 8) | (from[at + 2] << 16) | (from[at + 3] << 24);

/** 8 parts of 32 numbers with 6 bits each for their scale and their least: d · scale · q − least · min. */
function k(from: Uint8Array, at: number, to: Float32Array, n: number, fifth: number): void {
  const d = half(from, at);
  const least = half(from, at + 2);
  const packed = at + 4;
  const low = packed + 12 + fifth;
  for (let j = 0; j < 8; j++) {
    const a = from[packed + (j & 3)];
    const b = from[packed + 4 + (j & 3)];
    const c = from[packed + 8 + (j & 3)];
    const scale = d * (j < 4 ? a & 63 : (c & 15) | ((a >> 2) & 48));
    const min = least * (j < 4 ? b & 63 : (c >> 4) | ((b >> 2) & 48));
    const from4 = low + (j >> 1) * 32;
    const shift = (j & 1) * 4;
    for (let i = 0; i < 32; i++) {
      const q = ((from[from4 + i] >> shift) & 15) | (fifth ? ((from[packed + 12 + i] >> j) & 1) << 4 : 0);
      to[n + j * 32 + i] = scale * q - min;
    }
  }
}

const FLOAT = new Float32Array(1);
const BITS = new Int32Array(FLOAT.buffer);

/** The types that can be read. */
export const BLOCKS: readonly BlockType[] = [
  { name: "F32", id: 0, size: 1, bytes: 4 },
  {
    name: "F16",
    id: 1,
    size: 1,
    bytes: 2,
    unpack(from, at, to, n) {
      to[n] = half(from, at);
    },
  },
  {
    name: "BF16",
    id: 30,
    size: 1,
    bytes: 2,
    unpack(from, at, to, n) {
      BITS[0] = (from[at] | (from[at + 1] << 8)) << 16;
      to[n] = FLOAT[0];
    },
  },
  {
    name: "Q4_0",
    id: 2,
    size: 32,
    bytes: 18,
    unpack: (from, at, to, n) => nibbles(from, at + 2, to, n, half(from, at), 8),
  },
  {
    name: "Q4_1",
    id: 3,
    size: 32,
    bytes: 20,
    unpack: (from, at, to, n) => nibbles(from, at + 4, to, n, half(from, at), 0, half(from, at + 2)),
  },
  {
    name: "Q5_0",
    id: 6,
    size: 32,
    bytes: 22,
    unpack: (from, at, to, n) => nibbles(from, at + 6, to, n, half(from, at), 16, -0, u32(from, at + 2)),
  },
  {
    name: "Q5_1",
    id: 7,
    size: 32,
    bytes: 24,
    unpack: (from, at, to, n) => nibbles(from, at + 8, to, n, half(from, at), 0, half(from, at + 2), u32(from, at + 4)),
  },
  {
    name: "Q8_0",
    id: 8,
    size: 32,
    bytes: 34,
    unpack(from, at, to, n) {
      const d = half(from, at);
      for (let i = 0; i < 32; i++) to[n + i] = d * ((from[at + 2 + i] << 24) >> 24);
    },
  },
  { name: "Q4_K", id: 12, size: 256, bytes: 144, unpack: (from, at, to, n) => k(from, at, to, n, 0) },
  { name: "Q5_K", id: 13, size: 256, bytes: 176, unpack: (from, at, to, n) => k(from, at, to, n, 32) },
  {
    name: "Q6_K",
    id: 14,
    size: 256,
    bytes: 210,
    unpack(from, at, to, n) {
      const d = half(from, at + 208);
      for (let j = 0; j < 8; j++) {
        const low = at + (j >> 2) * 64 + (j & 1) * 32;
        const high = at + 128 + (j >> 2) * 32;
        for (let i = 0; i < 32; i++) {
          const q = ((from[low + i] >> (j & 2 ? 4 : 0)) & 15) | (((from[high + i] >> ((j & 3) * 2)) & 3) << 4);
          const scale = (from[at + 192 + 2 * j + (i >> 4)] << 24) >> 24;
          to[n + j * 32 + i] = d * scale * (q - 32);
        }
      }
    },
  },
];
