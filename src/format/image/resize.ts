import { cos, sin } from "../../numeric.ts";
import type { RawImage } from "../../platform.ts";

/** Pillow's filters by the numbers that configs hold. */
export type Resample = 0 | 1 | 2 | 3 | 4 | 5;

interface Filter {
  readonly support: number;
  at(x: number): number;
}

const sinc = (x: number) => (x === 0 ? 1 : sin(x * Math.PI) / (x * Math.PI));

function cubic(x: number): number {
  const a = -0.5;
  const d = Math.abs(x);
  if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? (((d - 5) * d + 8) * d - 4) * a : 0;
}

/** 0 is nearest, which weighs nothing. */
const FILTERS: { readonly [R in Exclude<Resample, 0>]: Filter } = {
  1: { support: 3, at: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
  2: { support: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) },
  3: { support: 2, at: cubic },
  4: { support: 0.5, at: (x) => +(x > -0.5 && x <= 0.5) },
  5: { support: 1, at: (x) => (Math.abs(x) < 1 ? sinc(x) * (0.54 + 0.46 * cos(x * Math.PI)) : 0) },
};

/** Bits behind the point of a weight. */
const BITS = 22;

/** Of each place of an axis, which places of the image it is made of, and their weights, whose sum is 2²². */
function weights(from: number, to: number, { support, at }: Filter): { first: number; k: Int32Array }[] {
  const scale = from / to;
  const wide = Math.max(scale, 1); // a smaller image is made of wider stretches: no pixel is left out
  const reach = support * wide;
  return Array.from({ length: to }, (_, i) => {
    const center = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - reach + 0.5));
    const end = Math.min(from, Math.trunc(center + reach + 0.5));
    const exact = Array.from({ length: end - first }, (_, j) => at((j + first - center + 0.5) * (1 / wide)));
    const sum = exact.reduce((a, b) => a + b, 0);
    const k = exact.map((w) => (sum === 0 ? w : w / sum) * 2 ** BITS);
    return { first, k: Int32Array.from(k, (w) => Math.trunc(w < 0 ? w - 0.5 : w + 0.5)) };
  });
}

/** Along one axis: `step` bytes lie between its places, and there are `lines` of them, `outer` bytes apart, of `inner` bytes each. */
function along({ data, width, height, channels }: RawImage, to: number, filter: Filter, axis: "x" | "y"): RawImage {
  const [from, step] = axis === "x" ? [width, channels] : [height, width * channels];
  const places = weights(from, to, filter);
  const out = new Uint8Array((data.length / from) * to);
  // What lies behind the axis (a pixel's bytes, or a row's), and how often the axis occurs.
  const outer = data.length / (from * step);
  for (let o = 0; o < outer; o++) {
    for (const [i, { first, k }] of places.entries()) {
      const at = (o * from + first) * step;
      const into = (o * to + i) * step;
      for (let c = 0; c < step; c++) {
        let sum = 1 << (BITS - 1);
        for (let j = 0; j < k.length; j++) sum += data[at + j * step + c] * k[j];
        out[into + c] = Math.min(255, Math.max(0, sum >> BITS));
      }
    }
  }
  return { data: out, width: axis === "x" ? to : width, height: axis === "y" ? to : height, channels };
}

function nearest({ data, width, height, channels }: RawImage, to_width: number, to_height: number): RawImage {
  /** Summed up as Pillow does, whose rounding this keeps. */
  const places = (from: number, to: number) => {
    let at = (from / to) * 0.5;
    return Array.from({ length: to }, () => {
      const place = Math.min(from - 1, Math.trunc(at));
      at += from / to;
      return place;
    });
  };
  const columns = places(width, to_width);
  const out = new Uint8Array(to_width * to_height * channels);
  let to = 0;
  for (const y of places(height, to_height))
    for (const x of columns) for (let c = 0; c < channels; c++) out[to++] = data[(y * width + x) * channels + c];
  return { data: out, width: to_width, height: to_height, channels };
}

/**
 * An image of one channel or three in another size, as Pillow's `Image.resize` makes it: one axis after the other, each in whole numbers with weights
 * of 22 bits, so that the result is the same to the last bit but for filters that need a sine.
 */
export function resize(image: RawImage, height: number, width: number, resample: Resample): RawImage {
  if (image.width === width && image.height === height) return image;
  if (resample === 0) return nearest(image, width, height);
  const filter = FILTERS[resample];
  const across = (x: RawImage) => (x.width === width ? x : along(x, width, filter, "x"));
  const down = (x: RawImage) => (x.height === height ? x : along(x, height, filter, "y"));
  // Found by comparison with Pillow 13; before, it always began with "x", whose result differs by a level here and there.
  const lost = image.height - height;
  return lost > 0 && lost > 2 * (image.width - width) ? across(down(image)) : down(across(image));
}
