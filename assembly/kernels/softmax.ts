import { exp } from "../numeric";
import { live, pad, total } from "./rows";

/**
 * out[r] = e^(x[r] - max x[r]) / Σ e^(x[r] - max x[r]). A row of -inf alone gives zeros; a NaN makes its row NaN.
 *
 * out [rows, cols], x [rows, cols]. out may be x. Four f32 accumulators; relative error ≤ 2⁻²³ · (4 + max x[r] - x).
 */
export function softmax(out: usize, x: usize, rows: i32, cols: i32, ldo: i32, ldx: i32): void {
  for (; rows > 0; --rows, out += ldo << 2, x += ldx << 2) {
    const end = <usize>cols << 2;
    const top = largest(x, cols);
    const m = f32x4.splat(top == -Infinity ? 0 : top);
    let sum = f32x4.splat(0);
    for (let at: usize = 0; at < end; at += 16) {
      const e = v128.and(exp(f32x4.sub(v128.load(x + at), m)), live(cols - <i32>(at >> 2)));
      v128.store(out + at, e);
      sum = f32x4.add(sum, e);
    }
    const whole = total(sum);
    const scale = f32x4.splat(whole == 0 ? 0 : <f32>1 / whole);
    for (let at: usize = 0; at < end; at += 16) v128.store(out + at, f32x4.mul(v128.load(out + at), scale));
    pad(out, cols);
  }
}

/** The largest number of a row that is no NaN. */
function largest(x: usize, cols: i32): f32 {
  const low = f32x4.splat(-Infinity);
  let m = low;
  for (; cols >= 4; cols -= 4, x += 16) m = f32x4.pmax(m, v128.load(x));
  if (cols) m = f32x4.pmax(m, v128.bitselect(v128.load(x), low, live(cols)));
  m = f32x4.pmax(m, v128.shuffle<i32>(m, m, 2, 3, 0, 1));
  return max<f32>(f32x4.extract_lane(m, 0), f32x4.extract_lane(m, 1));
}
