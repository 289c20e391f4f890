import { exp, log } from "../../numeric.ts";
import { powerSpectrum } from "./fft.ts";

type Scale = "slaney" | "kaldi";

const STEP = log(6.4) / 27;
const toMel = (hertz: number, scale: Scale) =>
  scale === "kaldi" ? 1127 * log(1 + hertz / 700) : hertz < 1000 ? (3 * hertz) / 200 : 15 + log(hertz / 1000) / STEP;
const toHertz = (mel: number) => (mel < 15 ? (200 * mel) / 3 : 1000 * exp(STEP * (mel - 15)));

/** A triangle over bins of a spectrum, from its first one that counts on. */
interface Filter {
  readonly first: number;
  readonly weights: Float64Array;
}

/**
 * Triangles at equal steps of pitch, as transformers' mel_filter_bank makes them: Slaney's in hertz with an area of one, Kaldi's in mels
 * with a peak of one.
 */
export function melFilters(
  count: number,
  bins: number,
  low: number,
  high: number,
  rate: number,
  scale: Scale,
): Filter[] {
  const [least, most] = [toMel(low, scale), toMel(high, scale)];
  const mels = Array.from({ length: count + 2 }, (_, i) => least + (i * (most - least)) / (count + 1));
  const edges = scale === "kaldi" ? mels : mels.map(toHertz);
  const at = Array.from({ length: bins }, (_, i) => {
    const hertz = (i * rate) / 2 / (bins - 1);
    return scale === "kaldi" ? toMel(hertz, scale) : hertz;
  });
  return Array.from({ length: count }, (_, i) => {
    const [from, peak, to] = edges.slice(i, i + 3);
    const area = scale === "kaldi" ? 1 : 2 / (to - from);
    const all = at.map((x) => area * Math.max(0, Math.min((x - from) / (peak - from), (to - x) / (to - peak))));
    const first = Math.max(
      0,
      all.findIndex((w) => w > 0),
    );
    return { first, weights: Float64Array.from(all.slice(first, all.findLastIndex((w) => w > 0) + 1)) };
  });
}

export interface Spectrogram {
  readonly window: Float64Array;
  readonly hop: number;
  /** Numbers of a transform, of which the window may be a part. */
  readonly size: number;
  readonly filters: readonly Filter[];
  /** What is less counts as this. */
  readonly floor: number;
  /** Takes a frame's mean away, then 0.97 of the sample before each. */
  readonly kaldi: boolean;
}

/** A spectrogram of mels: natural logarithms of `floor` or more, [frames][filters], frame after frame. */
export function logMel({ window, hop, size, filters, floor, kaldi }: Spectrogram) {
  const spectrum = powerSpectrum(size);
  const frame = new Float64Array(size);
  const power = new Float64Array(size / 2 + 1);
  const { length } = window;
  return (samples: ArrayLike<number>, frames: number, out: Float64Array) => {
    const least = log(floor);
    for (let t = 0; t < frames; t++) {
      let silent = true;
      let mean = 0;
      for (let i = 0; i < length; i++) {
        frame[i] = samples[t * hop + i];
        mean += frame[i];
        silent &&= frame[i] === 0;
      }
      // What pads short speech to half a minute is most of it.
      if (silent) {
        out.fill(least, t * filters.length, (t + 1) * filters.length);
        continue;
      }
      if (kaldi) {
        mean /= length;
        for (let i = 0; i < length; i++) frame[i] -= mean;
        for (let i = length - 1; i > 0; i--) frame[i] -= 0.97 * frame[i - 1];
        frame[0] *= 1 - 0.97;
      }
      for (let i = 0; i < length; i++) frame[i] *= window[i];
      spectrum(frame, power);
      for (const [m, { first, weights }] of filters.entries()) {
        let sum = 0;
        for (let i = 0; i < weights.length; i++) sum += weights[i] * power[first + i];
        out[t * filters.length + m] = sum > floor ? log(sum) : least;
      }
    }
  };
}
