/**
 * Random numbers by counter: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011). What is drawn for a
 * token depends on the seed, the copy and the number of the token alone: not on the host, the batch, or what was drawn before.
 */

/** High and low halves of a 64-bit product. */
function product(a: number, b: number): [high: number, low: number] {
  const [a0, a1, b0, b1] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  const other = a0 * b1 + (middle & 0xffff);
  return [(a1 * b1 + Math.floor(middle / 65536) + Math.floor(other / 65536)) >>> 0, Math.imul(a, b) >>> 0];
}

/** Four words of 32 bits for a counter of four and a key of two. */
export function philox(counter: readonly number[], key: readonly number[]): number[] {
  let [a, b, c, d] = counter;
  let [k, l] = key;
  for (let round = 0; round < 10; round++) {
    const [high0, low0] = product(0xd2511f53, a);
    const [high1, low1] = product(0xcd9e8d57, c);
    [a, b, c, d] = [(high1 ^ b ^ k) >>> 0, low1, (high0 ^ d ^ l) >>> 0, low0];
    k = (k + 0x9e3779b9) >>> 0;
    l = (l + 0xbb67ae85) >>> 0;
  }
  return [a, b, c, d];
}

/** A number from 0 to below 1, of 53 bits. `seed` is a whole number from 0 to 2^53 - 1. */
export function uniform(seed: number, copy: number, token: number, draw = 0): number {
  const [a, b] = philox([token, copy, draw, 0], [seed >>> 0, Math.floor(seed / 2 ** 32)]);
  return ((a >>> 5) * 2 ** 26 + (b >>> 6)) / 2 ** 53;
}

/** A seed that nobody chose. */
export function anySeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0];
}

/** The place in `weights` at which their running sum passes u · sum: drawn in proportion to them. */
export function pick(weights: Float64Array, u: number): number {
  let sum = 0;
  for (let i = 0; i < weights.length; i++) sum += weights[i];
  const mark = u * sum;
  let last = 0;
  let passed = 0;
  for (let i = 0; i < weights.length; i++) {
    if (!weights[i]) continue;
    last = i;
    passed += weights[i];
    if (passed > mark) break;
  }
  return last;
}
