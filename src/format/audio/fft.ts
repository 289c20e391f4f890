import { cos, sin } from "../../numeric.ts";

/** n as radices, fours first: they take the fewest multiplications. */
function radices(n: number): number[] {
  const found: number[] = [];
  for (const p of [4, 2, 3, 5]) for (; n % p === 0; n /= p) found.push(p);
  for (let p = 7; n > 1; p += 2) for (; n % p === 0; n /= p) found.push(p);
  return found;
}

/** Where each number of a transform comes from: those of every radix-th place together, in each of these so again. */
function order(factors: readonly number[]): Int32Array {
  let places = [0];
  let stride = 1;
  for (const p of factors) {
    const step = stride;
    places = places.flatMap((at) => Array.from({ length: p }, (_, r) => at + r * step));
    stride *= p;
  }
  return Int32Array.from(places);
}

/**
 * The squares of the first n / 2 + 1 numbers of a discrete Fourier transform of n real ones (Cooley and Tukey 1965, decimation in time, any
 * radices), in f64. The turns are our own sines: the same bits in every engine.
 */
export function powerSpectrum(n: number): (frame: Float64Array, out: Float64Array) => void {
  const factors = radices(n);
  const places = order(factors);
  const turn = (k: number) => (2 * Math.PI * k) / n;
  const re = Float64Array.from({ length: n }, (_, k) => cos(turn(k)));
  const im = Float64Array.from({ length: n }, (_, k) => -sin(turn(k)));
  const x = new Float64Array(n);
  const y = new Float64Array(n);
  const most = Math.max(1, ...factors);
  const a = new Float64Array(most);
  const b = new Float64Array(most);

  /** What stands `part` apart becomes its transform of size 4. */
  const four = (at: number, part: number) => {
    const [i, j, k] = [at + part, at + 2 * part, at + 3 * part];
    const s = x[at] + x[j];
    const t = y[at] + y[j];
    const u = x[at] - x[j];
    const v = y[at] - y[j];
    const w = x[i] + x[k];
    const z = y[i] + y[k];
    const c = x[i] - x[k];
    const d = y[i] - y[k];
    x[at] = s + w;
    y[at] = t + z;
    x[i] = u + d;
    y[i] = v - c;
    x[j] = s - w;
    y[j] = t - z;
    x[k] = u - d;
    y[k] = v + c;
  };
  /** The same of any size. */
  const any = (at: number, part: number, p: number) => {
    for (let r = 0; r < p; r++) {
      a[r] = x[at + r * part];
      b[r] = y[at + r * part];
    }
    for (let q = 0; q < p; q++) {
      let sum = a[0];
      let sum2 = b[0];
      for (let r = 1; r < p; r++) {
        const t = ((q * r) % p) * (n / p);
        sum += a[r] * re[t] - b[r] * im[t];
        sum2 += a[r] * im[t] + b[r] * re[t];
      }
      x[at + q * part] = sum;
      y[at + q * part] = sum2;
    }
  };
  return (frame, out) => {
    for (let i = 0; i < n; i++) x[i] = frame[places[i]];
    y.fill(0);
    let part = 1;
    for (let depth = factors.length - 1; depth >= 0; depth--) {
      const p = factors[depth];
      const stride = n / (p * part);
      for (let to = 0; to < n; to += p * part)
        for (let k = 0; k < part; k++) {
          for (let r = 1; r < p && k; r++) {
            const at = to + r * part + k;
            const t = r * k * stride;
            const real = x[at] * re[t] - y[at] * im[t];
            y[at] = x[at] * im[t] + y[at] * re[t];
            x[at] = real;
          }
          if (p === 4) four(to + k, part);
          else any(to + k, part, p);
        }
      part *= p;
    }
    for (let k = 0; k <= n / 2; k++) out[k] = x[k] * x[k] + y[k] * y[k];
  };
}
