import { cos, sin } from "../../numeric.ts";

/** n as radices, fours first: they take the fewest multiplications. */
function radices(n: number): number[] {
  const found: number[] = [];
  for (const p of [4, 2, 3, 5]) for (; n % p === 0; n /= p) found.push(p);
  for (let p = 7; n > 1; p += 2) for (; n % p === 0; n /= p) found.push(p);
  return found;
}

/**
 * The squares of the first n / 2 + 1 numbers of a discrete Fourier transform of n real ones (Cooley and Tukey 1965, decimation in time, any
 * radices), in f64. The turns are our own sines: the same bits in every engine.
 */
export function powerSpectrum(n: number): (frame: Float64Array, out: Float64Array) => void {
  const factors = radices(n);
  const turn = (k: number) => (2 * Math.PI * k) / n;
  const re = Float64Array.from({ length: n }, (_, k) => cos(turn(k)));
  const im = Float64Array.from({ length: n }, (_, k) => -sin(turn(k)));
  const x = new Float64Array(n);
  const y = new Float64Array(n);
  const most = Math.max(1, ...factors);
  const a = new Float64Array(most);
  const b = new Float64Array(most);

  /** The transform of `size` numbers of the frame, `stride` apart from `from` on, to place `to`. */
  const transform = (frame: Float64Array, from: number, stride: number, size: number, to: number, depth: number) => {
    if (size === 1) {
      x[to] = frame[from];
      y[to] = 0;
      return;
    }
    const p = factors[depth];
    const part = size / p;
    for (let r = 0; r < p; r++) transform(frame, from + r * stride, stride * p, part, to + r * part, depth + 1);
    for (let k = 0; k < part; k++) {
      for (let r = 0; r < p; r++) {
        const at = to + r * part + k;
        const t = r * k * stride;
        a[r] = x[at] * re[t] - y[at] * im[t];
        b[r] = x[at] * im[t] + y[at] * re[t];
      }
      if (p === 4) {
        const [s, t] = [a[0] + a[2], b[0] + b[2]];
        const [u, v] = [a[0] - a[2], b[0] - b[2]];
        const [w, z] = [a[1] + a[3], b[1] + b[3]];
        const [c, d] = [a[1] - a[3], b[1] - b[3]];
        set(to + k, s + w, t + z);
        set(to + part + k, u + d, v - c);
        set(to + 2 * part + k, s - w, t - z);
        set(to + 3 * part + k, u - d, v + c);
        continue;
      }
      for (let q = 0; q < p; q++) {
        let [sum, sum2] = [a[0], b[0]];
        for (let r = 1; r < p; r++) {
          const t = (((q * r) % p) * n) / p;
          sum += a[r] * re[t] - b[r] * im[t];
          sum2 += a[r] * im[t] + b[r] * re[t];
        }
        set(to + q * part + k, sum, sum2);
      }
    }
  };
  const set = (at: number, real: number, imaginary: number) => {
    x[at] = real;
    y[at] = imaginary;
  };
  return (frame, out) => {
    transform(frame, 0, 1, n, 0, 0);
    for (let k = 0; k <= n / 2; k++) out[k] = x[k] * x[k] + y[k] * y[k];
  };
}
