import { Format, Quantized } from "../../src/graph/op";
import { pick } from "../lanes";
import { most, Q4, row_bytes, tables, whole } from "./quantize";
import { live, total } from "./rows";

const ROUND: f32 = 12582912;
/** The inverse of q4's curve: v from v + 0.4 · v³ over 1.4. */
const C1: f32 = 1.3627, C3: f32 = -0.6066, C5: f32 = 0.2458;

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
 * one of some tried, from coarse to fine, that gives the least Σ (W - scale · q)² under the bound on the sums of a chain. Of q4 it is the
 * finest that keeps the bound.
 *
 * out: row 0 of the matrix; scales: those of row 0, [n/8][scale, Σ q][8] f32; x: the rows that came, f32 [rows, k], tight, readable to
 * 12 bytes behind; scratch: 2 · k rounded up to 32 bytes. Rows hold their zeros behind k (in q4 anything, which meets zeros). A row with a NaN
 * or an infinity has a scale of NaN.
 */
export function quantize_weights(out: usize, scales: usize, x: usize, scratch: usize, first: i32, rows: i32, k: i32, format: i32): void {
  const stride = <usize>row_bytes(k, format), growth: f32 = format == Format.q8_exact ? 1.05 : 1.1;
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
      if (format == Format.q4) {
        // Rounding may add to a full sum.
        for (;; scale *= 1.03) {
          four_bits(scratch, x, k, 1 / scale);
          if (!full(scratch, k)) break;
        }
      } else {
        for (let worse = 0; worse < 2 && size < 256; size *= growth) {
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
    }
    if (format == Format.q4) four_bits(scratch, x, k, scale > 0 ? 1 / scale : 0);
    else fill(scratch, x, k, scale, format, Infinity);
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
  return min<f32>(<f32>Quantized.bound * largest / sum, format == Format.q4 ? 108 : 127);
}

/** q of a row, a byte each. Returns Σ (x / scale - q)² · scale², or infinity once it is known to be over `most`. */
function fill(to: usize, x: usize, k: i32, scale: f32, format: i32, most: f32): f32 {
  const inverse: f32 = scale > 0 ? 1 / scale : 0;
  memory.fill(to, 0, <usize>whole(k));
  const round = f32x4.splat(ROUND), low = f32x4.splat(-127), high = f32x4.splat(127), factor = f32x4.splat(inverse);
  let error = f32x4.splat(0);
  for (let i = 0; i < k; i += 4) {
    let v = f32x4.mul(v128.load(x + (<usize>i << 2)), factor);
    if (k - i < 4) v = v128.and(v, live(k - i));
    const q = f32x4.pmin(f32x4.pmax(rounded(v, round), low), high), d = f32x4.sub(v, q);
    error = f32x4.add(error, f32x4.mul(d, d));
    const n = i16x8.narrow_i32x4_s(integer(q, round), round);
    v128.store32_lane(to + i, i8x16.narrow_i16x8_s(n, n), 0);
  }
  const own = total(error) * scale * scale;
  if (format != Format.q8 || own > most) return own;
  return own + bounded(to, x, k, inverse) * scale * scale;
}

/** p of a row, a byte each, then the table of each 16 k, a byte each: the tables with the least Σ (x · inverse - q)². */
function four_bits(to: usize, x: usize, k: i32, inverse: f32): void {
  const factor = f32x4.splat(inverse), from = tables(), codes = to + <usize>whole(k);
  memory.fill(to, 0, <usize>whole(k) + <usize>(whole(k) >> 4));
  for (let i = 0; i < k; i += 16, x += 64) {
    let a = f32x4.mul(v128.load(x), factor), b = a, c = a, d = a;
    if (k - i > 4) b = f32x4.mul(v128.load(x, 16), factor);
    if (k - i > 8) c = f32x4.mul(v128.load(x, 32), factor);
    if (k - i > 12) d = f32x4.mul(v128.load(x, 48), factor);
    // What is behind the row repeats its first weight of these.
    if (k - i < 16) {
      const own = f32x4.splat(f32x4.extract_lane(a, 0)), left = k - i;
      a = v128.bitselect(a, own, live(left)); b = v128.bitselect(b, own, live(left - 4));
      c = v128.bitselect(c, own, live(left - 8)); d = v128.bitselect(d, own, live(left - 12));
    }
    const above = most(f32x4.pmax(f32x4.pmax(a, b), f32x4.pmax(c, d)));
    const below = -most(f32x4.neg(f32x4.pmin(f32x4.pmin(a, b), f32x4.pmin(c, d))));
    // From a size that spans and reaches them downwards.
    let size = 31, unit: f32 = Q4.largest;
    for (const span = max<f32>((above - below) * <f32>(1.4 / 15.0), max<f32>(above, -below) * <f32>(1 / 9.425)); size > 0 && unit * <f32>(1 / Q4.ratio) > span; size--) unit *= 1 / Q4.ratio;
    let best: f32 = Infinity, chosen = 0, found = i8x16.splat(0);
    for (const last = max(size - 6, 0); size >= last; size--, unit *= 1 / Q4.ratio) {
      const middle = <i32>nearest((above + below) * <f32>0.5 / unit * <f32>(1 / Q4.step) + <f32>3.5);
      for (let j = max(min(middle - 2, 7 - 2), 0), end = min(max(middle + 2, 2), 7); j <= end; j++) {
        const code = size << 3 | j, part = f32x4.splat(<f32>(1.0 / 7.5) / unit), offset = f32x4.splat(Q4.step * (<f32>j - 3.5) * <f32>(1.0 / 7.5));
        const p = i8x16.min_u(i8x16.narrow_i16x8_u(
          i16x8.narrow_i32x4_s(place(a, part, offset), place(b, part, offset)), i16x8.narrow_i32x4_s(place(c, part, offset), place(d, part, offset)),
        ), i8x16.splat(15));
        const q = pick(v128.load(from + (<usize>code << 4)), p), low = i16x8.extend_low_i8x16_s(q), high = i16x8.extend_high_i8x16_s(q);
        const e = f32x4.sub(a, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(low))), f = f32x4.sub(b, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(low)));
        const g = f32x4.sub(c, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(high))), h = f32x4.sub(d, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(high)));
        const error = total(f32x4.add(f32x4.add(f32x4.mul(e, e), f32x4.mul(f, f)), f32x4.add(f32x4.mul(g, g), f32x4.mul(h, h))));
        if (error < best) {
          best = error;
          chosen = code;
          found = p;
        }
      }
    }
    v128.store(to + i, found);
    store<u8>(codes + (i >> 4), <u8>chosen);
  }
}

/** Where on a table's curve x lies, rounded: the curve's inverse as a polynomial, off by 0.08 at most. */
// @ts-ignore: decorator
@inline function place(x: v128, part: v128, offset: v128): v128 {
  const y = f32x4.pmin(f32x4.pmax(f32x4.sub(f32x4.mul(x, part), offset), f32x4.splat(-1.05)), f32x4.splat(1.05)), yy = f32x4.mul(y, y);
  const odd = f32x4.add(f32x4.mul(f32x4.add(f32x4.mul(yy, f32x4.splat(C5)), f32x4.splat(C3)), yy), f32x4.splat(C1));
  return i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.add(f32x4.mul(odd, f32x4.mul(y, f32x4.splat(7.5))), f32x4.splat(7.5))));
}

/** Whether the weights of one sign in some lane of a chain sum up to more than may be. */
function full(p: usize, k: i32): bool {
  const width = whole(k), from = tables(), over = i16x8.splat(<i16>Quantized.bound);
  for (let chain = 0; chain < width; chain += Quantized.chain) {
    let up = i16x8.splat(0), down = up;
    for (let i = chain, end = min(chain + Quantized.chain, width); i < end; i += 16) {
      const q = pick(v128.load(from + (<usize>load<u8>(p + <usize>(width + (i >> 4))) << 4)), v128.load(p + <usize>i));
      const above = i8x16.max_s(q, i8x16.splat(0));
      up = i16x8.add(up, i16x8.extadd_pairwise_i8x16_s(above));
      down = i16x8.add(down, i16x8.extadd_pairwise_i8x16_s(i8x16.sub(above, q)));
    }
    if (v128.any_true(v128.or(i16x8.gt_s(up, over), i16x8.gt_s(down, over)))) return true;
  }
  return false;
}

/** Makes every lane of every chain keep the bound, by steps toward zero where they cost least. Returns what they cost. */
function bounded(to: usize, x: usize, k: i32, inverse: f32): f32 {
  const width = whole(k);
  let cost: f32 = 0;
  for (let chain = 0; chain < width; chain += Quantized.chain) {
    const end = min(chain + Quantized.chain, width);
    let up = i16x8.splat(0), down = up;
    for (let i = chain; i < end; i += 16) {
      const q = v128.load(to + i), above = i8x16.max_s(q, i8x16.splat(0));
      up = i16x8.add(up, i16x8.extadd_pairwise_i8x16_s(above));
      down = i16x8.add(down, i16x8.extadd_pairwise_i8x16_s(i8x16.sub(above, q)));
    }
    const over = i16x8.splat(<i16>Quantized.bound);
    if (!v128.any_true(v128.or(i16x8.gt_s(up, over), i16x8.gt_s(down, over)))) continue;
    for (let lane = 0; lane < 8; lane++) {
      const own = chain + 2 * lane;
      let positive = 0, negative = 0;
      for (let i = own; i < end; i += 16) {
        const a = <i32>load<i8>(to + i), b = <i32>load<i8>(to + i, 1);
        positive += max(a, 0) + max(b, 0);
        negative -= min(a, 0) + min(b, 0);
      }
      if (positive > Quantized.bound) cost += lower(to, x, inverse, own, end, k, 1, positive);
      if (negative > Quantized.bound) cost += lower(to, x, inverse, own, end, k, -1, negative);
    }
  }
  return cost;
}

function lower(to: usize, x: usize, inverse: f32, lane: i32, end: i32, k: i32, sign: i32, sum: i32): f32 {
  let cost: f32 = 0;
  for (; sum > Quantized.bound; sum--) {
    let best: f32 = Infinity, chosen = lane;
    for (let i = lane; i < end; i += 16) {
      for (let j = i; j < min(i + 2, k); j++) {
        const q = <i32>load<i8>(to + j) * sign;
        if (q <= 0) continue;
        const more: f32 = 1 - 2 * (<f32>q - <f32>sign * load<f32>(x + (<usize>j << 2)) * inverse);
        if (more < best) {
          best = more;
          chosen = j;
        }
      }
    }
    store<i8>(to + chosen, <i8>(<i32>load<i8>(to + chosen) - sign));
    cost += best;
  }
  return cost;
}

/** The row as it is kept. Returns Σ q. */
function write(out: usize, from: usize, k: i32, format: i32): i32 {
  const width = whole(k), four = format == Format.q4, codes = from + <usize>width;
  let sum = 0;
  for (let i = 0; i < k; i++) {
    const own = <i32>load<u8>(from + i);
    sum += four ? <i32>load<i8>(tables() + (<usize>load<u8>(codes + (i >> 4)) << 4) + own) : <i32><i8>own;
  }
  if (!four) {
    memory.copy(out, from, width);
    return sum;
  }
  for (let i = 0; i < width; i += 32, out += 16) {
    v128.store(out, v128.or(v128.load(from + i), i8x16.shl(v128.load(from + i, 16), 4)));
  }
  memory.copy(out, codes, width >> 4);
  return sum;
}
