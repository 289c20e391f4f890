import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InputError, UnsupportedOptionError } from "../../src/errors.ts";
import { powerSpectrum } from "../../src/format/audio/fft.ts";
import { AudioProcessor } from "../../src/format/audio/processor.ts";
import { resample } from "../../src/format/audio/resample.ts";
import { safetensors } from "../conformance/compare.ts";

const root = new URL("../fixtures/audio/", import.meta.url);
const all = safetensors(new URL("features.safetensors", root));
const configs: { [name: string]: { config: never; options: { padding?: "longest" | false } } } = JSON.parse(
  readFileSync(new URL("configs.json", root), "utf8"),
);
const sounds = (name: string) =>
  [0, 1, 2].flatMap((i) => (all[`in.${name}.${i}`] ? [Float32Array.from(all[`in.${name}.${i}`].data)] : []));

describe("features are those of transformers within 1e-4 (tests/oracle/audio.py)", () => {
  it.each(Object.keys(configs))("%s", (name) => {
    const { config, options } = configs[name];
    const given = AudioProcessor.from(config).process(sounds(name), { sampling_rate: 16000, ...options });
    const [key, got] = Object.entries(given)[0];
    const want = all[`out.${name}`];
    expect(got.dims).toEqual([...all[`dims.${name}`].data]);
    const kept = [...all[`frames.${name}`].data];
    const [, rows, columns] = got.dims;
    let worst = 0;
    let at = 0;
    for (let b = 0; b < got.dims[0]; b++) {
      const value = (r: number, c: number) => got.data[(b * rows + r) * columns + c];
      const check = (x: number) => {
        worst = Math.max(worst, Math.abs(x - want.data[at++]));
      };
      if (key === "input_features") for (let r = 0; r < rows; r++) for (const c of kept) check(value(r, c));
      else for (const r of kept) for (let c = 0; c < columns; c++) check(value(r, c));
    }
    expect(at).toBe(want.data.length);
    expect(worst).toBeLessThan(1e-4);
  });

  it("sounds of a batch give the bits that each gives alone", () => {
    const processor = AudioProcessor.from(configs["whisper-batch"].config);
    const both = processor.process(sounds("whisper-batch")).input_features!;
    for (const [b, sound] of sounds("whisper-batch").entries())
      expect(both.row(b).data).toEqual(processor.process(sound).input_features!.data);
  });
});

describe("resampling", () => {
  const cases = Object.keys(all).flatMap((name) => /^out\.resample-(\d+)-(\d+)$/.exec(name) ?? []);
  it.each(cases.filter((_, i) => i % 3 === 0))("%s as scipy.signal.resample_poly", (name) => {
    const [, from, to] = name.split("-").map(Number);
    const got = resample(sounds(name.slice(4))[0], from, to);
    const want = all[name].data;
    expect(got.length).toBe(want.length);
    for (let i = 0; i < got.length; i++) expect(Math.abs(got[i] - want[i])).toBeLessThan(1e-6);
  });

  it("is done where the sound has another rate", () => {
    const processor = AudioProcessor.from(configs["whisper-longest"].config);
    const [sound] = sounds("resample-48000-16000");
    const given = processor.process(sound, { sampling_rate: 48000 }).input_features!;
    expect(given.data).toEqual(processor.process(resample(sound, 48000, 16000)).input_features!.data);
  });
});

it("the transform's powers are those of a naive sum, of any size", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 130 }),
      fc.infiniteStream(fc.double({ min: -1, max: 1, noNaN: true })),
      (n, x) => {
        const frame = Float64Array.from({ length: n }, () => x.next().value);
        const out = new Float64Array(Math.floor(n / 2) + 1);
        powerSpectrum(n)(frame, out);
        for (const [k, power] of out.entries()) {
          let [re, im] = [0, 0];
          for (const [i, v] of frame.entries()) {
            re += v * Math.cos((2 * Math.PI * k * i) / n);
            im += v * Math.sin((2 * Math.PI * k * i) / n);
          }
          expect(Math.abs(power - (re * re + im * im))).toBeLessThan(1e-11 * n * n);
        }
      },
    ),
    { numRuns: 60 },
  );
});

it("refuses what is no sound, and options that would change the numbers", () => {
  const whisper = { feature_extractor_type: "WhisperFeatureExtractor" };
  const processor = AudioProcessor.from(whisper);
  for (const bad of [[], [[]], new Float32Array(0), [Number.NaN], [[1, 2], []], undefined])
    expect(() => processor.process(bad as never)).toThrow(InputError);
  for (const rate of [0, -1, 1.5, Number.NaN, 2 ** 30])
    expect(() => processor.process([0.1], { sampling_rate: rate })).toThrow(InputError);
  expect(() => processor.process([[1, 2], [3]], { padding: false })).toThrow(InputError);
  for (const change of [
    { dither: 0.1 },
    { padding_side: "left" },
    { n_fft: 401 },
    { feature_extractor_type: "Wav2Vec2FeatureExtractor" },
    { feature_size: 0 },
    { feature_extractor_type: "ASTFeatureExtractor", sampling_rate: 8000 },
  ])
    expect(() => AudioProcessor.from({ ...whisper, ...change })).toThrow(UnsupportedOptionError);
});
