import { cos, exp, log, pow, sin } from "../numeric.ts";

/**
 * The positions of arXiv:1706.03762, [rows, width], sines before cosines: pos / 10000^(2i / width), in f64.
 * An odd width has one sine more.
 */
export function sinusoids(rows: number, width: number): Float32Array {
  const sines = Math.ceil(width / 2);
  const frequencies = Array.from({ length: sines }, (_, i) => pow(10000, (2 * i) / width));
  return table(rows, width, sines, (position, i) => position / frequencies[i]);
}

/** Those of tensor2tensor, which M2M-100 has: frequencies reach 1 / 10000, everything in f32 as PyTorch does it; row `pad` is zeros. */
export function tensor2tensor(rows: number, width: number, pad: number): Float32Array {
  const half = Math.floor(width / 2);
  const step = Math.fround(-log(10000) / (half - 1));
  const frequencies = Float32Array.from({ length: half }, (_, i) => exp(Math.fround(i * step)));
  const out = table(rows, width, half, (position, i) => Math.fround(position * frequencies[i]));
  if (width % 2) for (let row = 0; row < rows; row++) out[(row + 1) * width - 1] = 0;
  return out.fill(0, pad * width, (pad + 1) * width);
}

function table(rows: number, width: number, sines: number, angle: (position: number, i: number) => number) {
  const out = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < width; i++) {
      const [wave, at] = i < sines ? [sin, i] : [cos, i - sines];
      out[row * width + i] = wave(angle(row, Math.min(at, sines - 1)));
    }
  }
  return out;
}
