import { InputError, UnsupportedOptionError } from "../../errors.ts";
import { cos } from "../../numeric.ts";
import { Tensor } from "../../tensor.ts";
import { Config } from "../config.ts";
import type { Json } from "../read.ts";
import { logMel, melFilters } from "./mel.ts";
import { resample } from "./resample.ts";

/** One channel of sound, −1 to 1. */
export type Samples = Float32Array | Float64Array | readonly number[];

export interface AudioOptions {
  /** Of the samples; another than the model's is resampled. Default: the model's. */
  sampling_rate?: number;
  /** To the model's length (the default), to the longest of the batch, or not at all. For Whisper. */
  padding?: "max_length" | "longest" | false;
  /** Cuts what is longer than the model's length. Default true. For Whisper. */
  truncation?: boolean;
}

/** What a model takes: Whisper's input_features [B, mels, frames], the Audio Spectrogram Transformer's input_values [B, frames, mels]. */
export interface AudioFeatures {
  input_features?: Tensor;
  input_values?: Tensor;
}

/** Hann's window of `n` numbers out of `steps` steps of a turn: n for a periodic one, n − 1 for a symmetric one. */
const hann = (n: number, steps: number) =>
  Float64Array.from({ length: n }, (_, i) => 0.5 - 0.5 * cos((2 * Math.PI * i) / steps));

/** What preprocessor_config.json asks for sound: log-mel spectrograms within 1e-4 of transformers', the same bits in every engine. */
export class AudioProcessor {
  private constructor(
    readonly sampling_rate: number,
    private readonly run: (sounds: readonly Float32Array[], options: AudioOptions) => AudioFeatures,
  ) {}

  /** @param config the content of preprocessor_config.json, @throws UnsupportedOptionError */
  static from(config: Json | Config): AudioProcessor {
    let c = config instanceof Config ? config : new Config(config, "preprocessor_config.json");
    if (c.has("feature_extractor") && !c.has("feature_extractor_type")) c = c.sub("feature_extractor"); // processor_config.json
    const kinds: { readonly [type: string]: (c: Config, rate: number) => AudioProcessor["run"] } = {
      WhisperFeatureExtractor: whisper,
      ASTFeatureExtractor: ast,
    };
    const type = c.string("feature_extractor_type", Object.keys(kinds));
    const rate = c.int("sampling_rate", { default: 16000 });
    // Noise would be added.
    c.get("dither", (v) => v === 0, [0], 0);
    c.get("padding_side", (v) => v === "right", ["right"], "right");
    return new AudioProcessor(rate, kinds[type](c, rate));
  }

  /** @throws InputError if there is no sound, or a sample is no number */
  process(samples: Samples | readonly Samples[], options: AudioOptions = {}): AudioFeatures {
    const one = ArrayBuffer.isView(samples) || typeof (samples as readonly unknown[])?.[0] === "number";
    const sounds = (one ? [samples] : samples) as readonly Samples[];
    if (!sounds?.length) throw new InputError("samples is empty");
    const { sampling_rate = this.sampling_rate } = options;
    const all = sounds.map((sound, b) => {
      if (!sound?.length) throw new InputError(`samples${one ? "" : `[${b}]`} is empty`);
      const at = sound.findIndex((x) => typeof x !== "number" || !Number.isFinite(x));
      if (at >= 0) throw new InputError(`samples${one ? "" : `[${b}]`}[${at}] is ${sound[at]}`);
      return resample(sound, sampling_rate, this.sampling_rate);
    });
    return this.run(all, options);
  }
}

/** Whisper's (arXiv:2212.04356): decades of power in 80 or 128 mels, eight of them below the loudest, scaled to about −1 … 1. */
function whisper(c: Config, rate: number): AudioProcessor["run"] {
  const mels = c.int("feature_size", { max: 1024, default: 80 });
  const n_fft = c.int("n_fft", { min: 2, max: 1 << 14, default: 400 });
  const hop = c.int("hop_length", { default: 160 });
  const limit = c.int("chunk_length", { max: 3600, default: 30 }) * rate;
  const value = c.number("padding_value", { min: -1, default: 0 });
  if (n_fft % 2) throw new UnsupportedOptionError(`${c.file}: n_fft`, n_fft, ["even sizes"]);
  const filters = melFilters(mels, n_fft / 2 + 1, 0, 8000, rate, "slaney");
  const spectrogram = logMel({ window: hann(n_fft, n_fft), hop, size: n_fft, filters, floor: 1e-10, kaldi: false });
  return (given, { padding = "max_length", truncation = true }) => {
    const sounds = truncation ? given.map((s) => s.subarray(0, limit)) : given;
    const longest = Math.max(...sounds.map((s) => s.length));
    if (!padding && sounds.some((s) => s.length !== longest))
      throw new InputError("sounds of different lengths cannot make one tensor: pad them, or process them one by one");
    const length = padding === "max_length" ? Math.max(limit, longest) : longest;
    const half = n_fft / 2;
    if (length <= half) throw new InputError(`a sound of ${length} samples is shorter than half a window (${half})`);
    const frames = Math.floor(length / hop);
    const data = new Float32Array(sounds.length * mels * frames);
    const out = new Float64Array(frames * mels);
    const padded = new Float64Array(length + n_fft);
    for (const [b, sound] of sounds.entries()) {
      padded.fill(value);
      padded.set(sound, half);
      // Mirrored at both ends, the end samples being the mirrors.
      for (let i = 1; i <= half; i++) {
        padded[half - i] = padded[half + i];
        padded[half + length - 1 + i] = padded[half + length - 1 - i];
      }
      spectrogram(padded, frames, out);
      const least = out.reduce((a, x) => Math.max(a, x), Number.NEGATIVE_INFINITY) / Math.LN10 - 8;
      for (let t = 0; t < frames; t++)
        for (let m = 0; m < mels; m++)
          data[(b * mels + m) * frames + t] = (Math.max(out[t * mels + m] / Math.LN10, least) + 4) / 4;
    }
    return { input_features: new Tensor(data, [sounds.length, mels, frames]) };
  };
}

/** The Audio Spectrogram Transformer's (arXiv:2104.01778): Kaldi's filter banks, cut or padded to a number of frames, normalised. */
function ast(c: Config, rate: number): AudioProcessor["run"] {
  // transformers' windows are of 400 samples whatever the rate, torchaudio's of 25 ms.
  if (rate !== 16000) throw new UnsupportedOptionError(`${c.file}: sampling_rate`, rate, [16000]);
  const mels = c.int("num_mel_bins", { max: 1024, default: 128 });
  const frames = c.int("max_length", { default: 1024 });
  const any = { min: -1e6, max: 1e6 };
  const normal = c.bool("do_normalize", true);
  const mean = normal ? c.number("mean", { ...any, default: -4.2677393 }) : 0;
  const std = normal ? 2 * c.number("std", { ...any, default: 4.5689974 }) : 1;
  const filters = melFilters(mels, 257, 20, rate / 2, rate, "kaldi");
  const floor = 2 ** -23;
  const spectrogram = logMel({ window: hann(400, 399), hop: 160, size: 512, filters, floor, kaldi: true });
  return (sounds) => {
    const data = new Float32Array(sounds.length * frames * mels).fill(-mean / std);
    for (const [b, sound] of sounds.entries()) {
      const n = Math.min(frames, Math.max(0, Math.floor((sound.length - 400) / 160) + 1));
      const out = new Float64Array(n * mels);
      spectrogram(sound, n, out);
      for (let i = 0; i < out.length; i++) data[b * frames * mels + i] = (out[i] - mean) / std;
    }
    return { input_values: new Tensor(data, [sounds.length, frames, mels]) };
  };
}
