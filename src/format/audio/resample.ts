import { InputError } from "../../errors.ts";
import { sin } from "../../numeric.ts";

/** Rates beyond are no sound's, and their filters would be long. */
const MOST = 2 ** 20;

/** The modified Bessel function of the first kind and order 0, by its series: |x| up to 5 here. */
function bessel(x: number): number {
  let [sum, term] = [1, 1];
  for (let k = 1; k < 40; k++) {
    term *= (x * x) / (4 * k * k);
    sum += term;
  }
  return sum;
}

/** A low-pass filter of 20 · `rate` + 1 numbers: a sinc under Kaiser's window (β = 5), its sum `gain`. */
function lowPass(rate: number, gain: number): Float64Array {
  const half = 10 * rate;
  const h = Float64Array.from({ length: 2 * half + 1 }, (_, i) => {
    const at = (i - half) / rate;
    const sinc = at ? sin(Math.PI * at) / (Math.PI * at) : 1;
    const edge = (i - half) / half;
    return sinc * bessel(5 * Math.sqrt(1 - edge * edge));
  });
  const sum = h.reduce((a, b) => a + b);
  return h.map((x) => (x * gain) / sum);
}

const divisor = (a: number, b: number): number => (b ? divisor(b, a % b) : a);

/**
 * Sound at another rate: what scipy.signal.resample_poly(samples, to, from) gives, ⌈n · to / from⌉ samples.
 * @throws InputError unless both rates are whole numbers of hertz
 */
export function resample(samples: ArrayLike<number>, from: number, to: number): Float32Array {
  for (const rate of [from, to])
    if (!(Number.isInteger(rate) && rate > 0 && rate <= MOST)) throw new InputError(`${rate} is no rate of samples`);
  const common = divisor(from, to);
  const [up, down] = [to / common, from / common];
  if (up === down) return Float32Array.from(samples);
  const rate = Math.max(up, down);
  const h = lowPass(rate, up);
  const half = 10 * rate;
  const out = new Float32Array(Math.ceil((samples.length * up) / down));
  for (let i = 0; i < out.length; i++) {
    // Sample n stands at n · up of the finer rate.
    const middle = i * down + half;
    let sum = 0;
    const last = Math.min(samples.length - 1, Math.floor(middle / up));
    for (let n = Math.max(0, Math.ceil((middle - 2 * half) / up)); n <= last; n++)
      sum += samples[n] * h[middle - n * up];
    out[i] = sum;
  }
  return out;
}
