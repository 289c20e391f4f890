import { exp } from "../numeric";

/** Turns a tap's row of logits in place into probabilities: of keys first … last - 1 in place into exp(logit - maximum) · inverse, and the other keys' into 0. */
export function tap_close(row: usize, keys: i32, first: i32, last: i32, maximum: f32, inverse: f32): void {
  memory.fill(row, 0, <usize>first << 2);
  memory.fill(row + (<usize>last << 2), 0, <usize>(keys - last) << 2);
  const m = f32x4.splat(maximum), scale = f32x4.splat(inverse);
  let key = first;
  for (; key + 4 <= last; key += 4) {
    const at = row + (<usize>key << 2);
    v128.store(at, f32x4.mul(exp(f32x4.sub(v128.load(at), m)), scale));
  }
  // one at a time at the end: the next row may be another thread's
  for (; key < last; key++) {
    const at = row + (<usize>key << 2);
    v128.store32_lane(at, f32x4.mul(exp(f32x4.sub(v128.load32_splat(at), m)), scale), 0);
  }
}
