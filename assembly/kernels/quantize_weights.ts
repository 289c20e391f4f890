import { Format, Quantized } from "../../src/graph/op";
import { most, row_bytes, whole } from "./quantize";
import { total } from "./rows";

const ROUND: f32 = 12582912;

/** x rounded half to even, |x| < 2²². */
// @ts-ignore: decorator
@inline function rounded(x: v128, round: v128): v128 {
  return f32x4.sub(f32x4.add(x, round), round);
}

/** Such a number as an integer. */
// @ts-ignore: decorator
@inline function integer(x: v128, round: v128): v128 {
  return i32x4.sub(f32x4.add(x, round), round);
}

/**
 * Rows first … first + rows - 1 of a matrix of weights W[n, k] in a quantised format (see quantize.ts), each by itself: the scale is the
 * one of some tried, from coarse to fine, that gives the least Σ (W - scale · q)² under the bound on the sums of a chain.
 *
 * out: row 0 of the matrix; scales: those of row 0, [n/8][scale, Σ q][8] f32; x: the rows that came, f32 [rows, k], tight, readable to
 * 12 bytes behind; scratch: 2 · k rounded up to 32 bytes. Rows hold their zeros behind k. A row with a NaN or an infinity has a scale of NaN.
 */
export function quantize_weights(out: usize, scales: usize, x: usize, scratch: usize, first: i32, rows: i32, k: i32, format: i32): void {
  const stride = <usize>row_bytes(k, format);
  // p · σ reaches 64 in size; its error goes up and down with the size, as σ has few values, so that all are tried.
  const four = format == Format.q4, last: f32 = four ? 66 : 256, patience = four ? 99 : 2, growth: f32 = format == Format.q8_exact ? 1.05 : 1.1;
  for (let row = first, end = first + rows; row < end; row++, x += <usize>k << 2) {
    let largest: f32 = 0, finite = true;
    for (let i = 0; i < k; i++) {
      const size = abs(load<f32>(x + (<usize>i << 2)));
      largest = max(largest, size);
      if (!isFinite(size)) finite = false;
    }
    let best: f32 = Infinity, scale: f32 = 0;
    if (finite && largest > 1e-30) {
      let size = first_size(x, k, largest, format);
      scale = largest / size; // squares of huge weights overflow: then it stays
      for (let worse = 0; worse < patience && size < last; size *= growth) {
        const tried = largest / size, error = fill(scratch, x, k, tried, format, best);
        if (error < best) {
          best = error;
          scale = tried;
          worse = 0;
        } else {
          worse++;
        }
      }
    }
    fill(scratch, x, k, scale, format, Infinity);
    const sum = write(out + <usize>row * stride, scratch, k, format);
    const at = scales + (<usize>(row >> 3) << 6) + (<usize>(row & 7) << 2);
    store<f32>(at, finite ? scale : NaN);
    store<f32>(at, <f32>sum, 32);
  }
}

/** What the largest weight of a row becomes in units of its scale: the most that needs no bounding, to begin with. */
function first_size(x: usize, k: i32, largest: f32, format: i32): f32 {
  if (format == Format.q8_exact) return 127;
  let sum: f32 = largest;
  for (let chain = 0; chain < k; chain += Quantized.chain) {
    const end = min(chain + Quantized.chain, k);
    for (let lane = chain; lane < min(chain + 16, end); lane += 2) {
      let above: f32 = 0, below: f32 = 0;
      for (let i = lane; i < end; i += 16) {
        for (let j = i; j < min(i + 2, end); j++) {
          const v = load<f32>(x + (<usize>j << 2));
          above += max<f32>(v, 0);
          below -= min<f32>(v, 0);
        }
      }
      sum = max(sum, max(above, below));
    }
  }
  return min<f32>(<f32>Quantized.bound * largest / sum, format == Format.q4 ? 44 : 127);
}

/** p of a row, a byte each, and behind them σ, a byte each: q = p · σ. Returns Σ (x / scale - q)² · scale², or infinity once it is known to be over `most`. */
function fill(to: usize, x: usize, k: i32, scale: f32, format: i32, most: f32): f32 {
  const width = <usize>whole(k), sigma = to + width, inverse: f32 = scale > 0 ? 1 / scale : 0;
  memory.fill(to, 0, width);
  memory.fill(sigma, 1, width);
  if (format == Format.q4) return four_bits(to, sigma, x, k, inverse) * scale * scale;
  const round = f32x4.splat(ROUND), low = f32x4.splat(-127), high = f32x4.splat(127), factor = f32x4.splat(inverse);
  let error = f32x4.splat(0);
  for (let i = 0; i < k; i += 4) {
    let v = f32x4.mul(v128.load(x + (<usize>i << 2)), factor);
    if (k - i < 4) for (let j = k; j < i + 4; j++) v = lane_zero(v, j - i);
    const q = f32x4.pmin(f32x4.pmax(rounded(v, round), low), high), d = f32x4.sub(v, q);
    error = f32x4.add(error, f32x4.mul(d, d));
    const n = i16x8.narrow_i32x4_s(integer(q, round), round);
    v128.store32_lane(to + i, i8x16.narrow_i16x8_s(n, n), 0);
  }
  const own = total(error) * scale * scale;
  if (format != Format.q8 || own > most) return own;
  return own + bounded(to, sigma, x, k, inverse) * scale * scale;
}

// @ts-ignore: decorator
@inline function lane_zero(v: v128, lane: i32): v128 {
  return v128.and(v, i32x4(lane == 0 ? 0 : -1, lane == 1 ? 0 : -1, lane == 2 ? 0 : -1, lane == 3 ? 0 : -1));
}

/** The best σ for each eight weights, and their p. */
function four_bits(to: usize, sigma: usize, x: usize, k: i32, inverse: f32): f32 {
  const round = f32x4.splat(ROUND), low = f32x4.splat(-8), high = f32x4.splat(7), factor = f32x4.splat(inverse);
  let sum: f32 = 0;
  for (let i = 0; i < k; i += 8, x += 32) {
    let a = f32x4.mul(v128.load(x), factor), b = f32x4.splat(0);
    if (k - i > 4) b = f32x4.mul(v128.load(x, 16), factor);
    if (k - i < 8) {
      for (let j = k - i; j < 4; j++) a = lane_zero(a, j);
      for (let j = max(k - i, 4); j < 8; j++) b = lane_zero(b, j - 4);
    }
    let best: f32 = Infinity, chosen = 1;
    // The largest weight becomes 7 or 8 in size, by and large.
    const near = <i32>(most(f32x4.pmax(f32x4.abs(a), f32x4.abs(b))) * <f32>(1.0 / 7.5));
    for (let n = max(near - 1, 1) * 2, last = min(near + 2, 8) * 2 + 1; n <= last; n++) {
      const s = n & 1 ? -(n >> 1) : n >> 1;
      if (s > 7) continue;
      const size = f32x4.splat(<f32>s), part = f32x4.splat(<f32>1 / <f32>s);
      const p = f32x4.pmin(f32x4.pmax(rounded(f32x4.mul(a, part), round), low), high);
      const q = f32x4.pmin(f32x4.pmax(rounded(f32x4.mul(b, part), round), low), high);
      const d = f32x4.sub(a, f32x4.mul(p, size)), e = f32x4.sub(b, f32x4.mul(q, size));
      const error = total(f32x4.add(f32x4.mul(d, d), f32x4.mul(e, e)));
      if (error < best) {
        best = error;
        chosen = s;
      }
    }
    const part = f32x4.splat(<f32>1 / <f32>chosen);
    const p = f32x4.pmin(f32x4.pmax(rounded(f32x4.mul(a, part), round), low), high);
    const q = f32x4.pmin(f32x4.pmax(rounded(f32x4.mul(b, part), round), low), high);
    const n = i16x8.narrow_i32x4_s(integer(p, round), integer(q, round));
    v128.store64_lane(to + i, i8x16.narrow_i16x8_s(n, n), 0);
    memory.fill(sigma + i, <u8>chosen, 8);
    sum += best;
  }
  return sum + bounded(to, sigma, x - (<usize>(k + 7 & -8) << 2), k, inverse);
}

/** Makes every lane of every chain keep the bound, by steps toward zero where they cost least. Returns what they cost. */
function bounded(to: usize, sigma: usize, x: usize, k: i32, inverse: f32): f32 {
  const width = whole(k);
  let cost: f32 = 0;
  for (let chain = 0; chain < width; chain += Quantized.chain) {
    const end = min(chain + Quantized.chain, width);
    let up = i16x8.splat(0), down = up;
    for (let i = chain; i < end; i += 16) {
      const p = v128.load(to + i), q = v128.load(sigma + i);
      const v = i8x16.narrow_i16x8_s(i16x8.extmul_low_i8x16_s(p, q), i16x8.extmul_high_i8x16_s(p, q));
      const above = i8x16.max_s(v, i8x16.splat(0));
      up = i16x8.add(up, i16x8.extadd_pairwise_i8x16_s(above));
      down = i16x8.add(down, i16x8.extadd_pairwise_i8x16_s(i8x16.sub(above, v)));
    }
    const over = i16x8.splat(<i16>Quantized.bound);
    if (!v128.any_true(v128.or(i16x8.gt_s(up, over), i16x8.gt_s(down, over)))) continue;
    for (let lane = 0; lane < 8; lane++) {
      const own = chain + 2 * lane;
      let positive = 0, negative = 0;
      for (let i = own; i < end; i += 16) {
        const a = value(to, sigma, i), b = value(to, sigma, i + 1);
        positive += max(a, 0) + max(b, 0);
        negative -= min(a, 0) + min(b, 0);
      }
      if (positive > Quantized.bound) cost += lower(to, sigma, x, inverse, own, end, k, 1, positive);
      if (negative > Quantized.bound) cost += lower(to, sigma, x, inverse, own, end, k, -1, negative);
    }
  }
  return cost;
}

// @ts-ignore: decorator
@inline function value(to: usize, sigma: usize, i: i32): i32 {
  return <i32>load<i8>(to + i) * <i32>load<i8>(sigma + i);
}

function lower(to: usize, sigma: usize, x: usize, inverse: f32, lane: i32, end: i32, k: i32, sign: i32, sum: i32): f32 {
  let cost: f32 = 0;
  while (sum > Quantized.bound) {
    let best: f32 = Infinity, chosen = lane;
    for (let i = lane; i < end; i += 16) {
      for (let j = i; j < min(i + 2, k); j++) {
        const q = value(to, sigma, j);
        if (q * sign <= 0) continue;
        const step = <f32>abs(<i32>load<i8>(sigma + j)), off = <f32>sign * (<f32>q - load<f32>(x + (<usize>j << 2)) * inverse);
        const more = step * (step - 2 * off);
        if (more < best) {
          best = more;
          chosen = j;
        }
      }
    }
    const p = load<i8>(to + chosen);
    store<i8>(to + chosen, p > 0 ? p - 1 : p + 1);
    sum -= abs(<i32>load<i8>(sigma + chosen));
    cost += best;
  }
  return cost;
}

/** The row as it is kept. Returns Σ q. */
function write(out: usize, from: usize, k: i32, format: i32): i32 {
  const width = whole(k), sigma = from + <usize>width;
  let sum = 0;
  for (let i = 0; i < width; i++) sum += value(from, sigma, i);
  if (format != Format.q4) {
    memory.copy(out, from, width);
    return sum;
  }
  const groups = out + <usize>(width >> 1);
  for (let i = 0; i < width; i += 32) {
    for (let j = 0; j < 16; j++) {
      const low = <i32>load<i8>(from + i + j) + 8, high = <i32>load<i8>(from + i + j + 16) + 8;
      store<u8>(out + (i >> 1) + j, <u8>(low | high << 4));
    }
    for (let j = 0; j < 4; j += 2) {
      const low = <i32>load<i8>(sigma + i + 8 * j) + 8, high = <i32>load<i8>(sigma + i + 8 * j + 8) + 8;
      store<u8>(groups + (i >> 4) + (j >> 1), <u8>(low | high << 4));
    }
  }
  return sum;
}
