import { attend_one } from "../../assembly/kernels/attention_one";
import { row_bytes, unpack_q4 } from "../../assembly/kernels/quantize";
import { quantize_weights } from "../../assembly/kernels/quantize_weights";
import { row, row_q4 } from "../../assembly/kernels/tile_quantized";
import { Format } from "../../src/graph/op";
import { filled, get, matrix, strays } from "./oracle";

describe("attend_one", () => {
  it("is softmax(scale · k · q) · v in f64, for odd sizes and ranges of keys, and writes nothing else", () => {
    const sizes: StaticArray<i32> = [1, 3, 8, 13, 64, 68];
    for (let s = 0; s < sizes.length; s++) {
      for (let keys = 1; keys < 210; keys += keys < 12 ? 1 : 47) {
        const dim = sizes[s], width = sizes[sizes.length - 1 - s], first = keys / 3, ld = dim + 5, ldv = width + 9;
        const q = filled(1, dim, dim + 4, 1), k = filled(keys, dim, ld, 1), v = filled(keys + 1, width, ldv, 1);
        const out = matrix(1, width + 4), scale: f32 = 0.7, sink: f32 = keys & 1 ? 0.3 : -Infinity;
        attend_one(out, q, k, v, matrix(1, 512), first, keys, dim, width, <usize>ld << 2, <usize>ldv << 2, scale, sink);
        let sum: f64 = keys & 1 ? Math.exp(0.3) : 0;
        const weights = new Array<f64>(keys);
        for (let i = first; i < keys; i++) {
          let score: f64 = 0;
          for (let d = 0; d < dim; d++) score += <f64>get(k, i * ld + d) * <f64>get(q, d) * <f64>scale;
          weights[i] = Math.exp(score);
          sum += weights[i];
        }
        let worst: f64 = 0;
        for (let c = 0; c < width; c++) {
          let want: f64 = 0;
          for (let i = first; i < keys; i++) want += weights[i] / sum * <f64>get(v, i * ldv + c);
          worst = max(worst, Math.abs(want - <f64>get(out, c)));
        }
        expect<bool>(worst < 2e-6).toBe(true);
        expect<i32>(strays(out, 1, width, width + 4)).toBe(0);
      }
    }
  });
});

describe("row_q4", () => {
  it("gives the sums that unpacked rows give", () => {
    if (!ASC_FEATURE_RELAXED_SIMD) return; // the other build unpacks
    for (let k = 32; k <= 480; k += 32) {
      const bytes = <usize>row_bytes(k, Format.q4), w = matrix(1, k * 4), scales = matrix(1, 64), unpacked = matrix(1, k);
      quantize_weights(w, scales, filled(4, k, k, 1), matrix(1, k), 0, 4, k, Format.q4);
      for (let i: usize = 0; i < 4; i++) unpack_q4(unpacked + i * k, w + i * bytes, k);
      const a = matrix(1, k + 64), one = matrix(1, 8), other = matrix(1, 8);
      for (let i = 0; i < 4 * k; i++) store<u8>(a + i, <u8>(i * 37 % 128));
      row(one, a, unpacked, k);
      row_q4(other, a, w, bytes, k);
      expect<i32>(memory.compare(one, other, 32)).toBe(0);
    }
  });
});
