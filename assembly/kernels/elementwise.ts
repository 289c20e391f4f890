import { Activation, Binary } from "../../src/graph/op";
import { activate, tanh } from "../numeric";
import { pad } from "./rows";

/** out[r] = activation(x[r]). out [rows, cols], x [rows, cols], kind an Activation, cap that of softcap. out may be x. Errors: those of numeric.ts. */
export function unary(out: usize, x: usize, rows: i32, cols: i32, ldo: i32, ldx: i32, kind: i32, cap: f32): void {
  const c = f32x4.splat(cap);
  for (; rows > 0; --rows, out += ldo << 2, x += ldx << 2) {
    for (let at: usize = 0, end = <usize>cols << 2; at < end; at += 16) {
      const v = v128.load(x + at);
      v128.store(out + at, kind == Activation.softcap ? f32x4.mul(c, tanh(f32x4.div(v, c))) : activate(v, kind));
    }
    pad(out, cols);
  }
}

/** out[index[r]] = x[r], whole vectors. x [rows, cols]; index i32 [rows]. Rows of out that index does not name stay. */
export function scatter(out: usize, x: usize, index: usize, rows: i32, cols: i32, ldo: i32, ldx: i32): void {
  for (; rows > 0; --rows, x += ldx << 2, index += 4) {
    const row = out + ((<usize>load<i32>(index) * <usize>ldo) << 2);
    memory.copy(row, x, <usize>cols << 2);
    pad(row, cols);
  }
}

/** out[r] = activation(gate[r]) · up[r] (arXiv:2002.05202). All [rows, cols], kind an Activation. out may be gate or up. */
export function glu(
  out: usize, gate: usize, up: usize, rows: i32, cols: i32, ldo: i32, ldg: i32, ldu: i32, kind: i32,
): void {
  for (; rows > 0; --rows, out += ldo << 2, gate += ldg << 2, up += ldu << 2) {
    for (let at: usize = 0, end = <usize>cols << 2; at < end; at += 16) {
      v128.store(out + at, f32x4.mul(activate(v128.load(gate + at), kind), v128.load(up + at)));
    }
    pad(out, cols);
  }
}

/** out[r] = a[r] (kind) b[r]. All [rows, cols], kind a Binary; ldb 0: one row of b for all rows. out may be a or b. Exact to ½ ulp. */
export function binary(
  out: usize, a: usize, b: usize, rows: i32, cols: i32, ldo: i32, lda: i32, ldb: i32, kind: i32,
): void {
  for (; rows > 0; --rows, out += ldo << 2, a += lda << 2, b += ldb << 2) {
    for (let at: usize = 0, end = <usize>cols << 2; at < end; at += 16) {
      const v = v128.load(a + at), w = v128.load(b + at);
      v128.store(out + at, kind == Binary.add ? f32x4.add(v, w) : kind == Binary.sub ? f32x4.sub(v, w) : f32x4.mul(v, w));
    }
    pad(out, cols);
  }
}

/** out[r] = x[r], exactly cols floats a row and nothing behind them; both at any float. Rows of out must not overlap other rows of x. */
export function copy(out: usize, x: usize, rows: i32, cols: i32, ldo: i32, ldx: i32): void {
  for (; rows > 0; --rows, out += ldo << 2, x += ldx << 2) memory.copy(out, x, <usize>cols << 2);
}
