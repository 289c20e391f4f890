import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InputError, UnsupportedOptionError } from "../../src/errors.ts";
import { ImageProcessor } from "../../src/format/image/processor.ts";
import type { RawImage } from "../../src/format/image/raw.ts";
import { type Resample, resize } from "../../src/format/image/resize.ts";

/** What tests/oracle/images.py wrote. */
const folder = new URL("../fixtures/images/", import.meta.url);
const cases: {
  resize: { key: string; image: string; height: number; width: number; resample: Resample }[];
  process: { key: string; images: string[]; config: Record<string, unknown> }[];
} = JSON.parse(readFileSync(new URL("cases.json", folder), "utf8"));
const bytes = readFileSync(new URL("images.safetensors", folder));
const size = Number(bytes.readBigUInt64LE(0));
const header = JSON.parse(bytes.toString("utf8", 8, 8 + size));

function tensor(name: string): { data: Uint8Array | Float32Array; shape: number[] } {
  const { dtype, shape, data_offsets } = header[name];
  const [begin, end] = data_offsets.map((o: number) => bytes.byteOffset + 8 + size + o);
  const own = bytes.buffer.slice(begin, end);
  return { data: dtype === "U8" ? new Uint8Array(own) : new Float32Array(own), shape };
}

function image(name: string): RawImage {
  const { data, shape } = tensor(`image.${name}`);
  return { data: data as Uint8Array, height: shape[0], width: shape[1], channels: shape[2] as 3 };
}

const LANCZOS = 1;
const HAMMING = 5;

describe("resize gives Pillow's bytes", () => {
  it.each(cases.resize)("$key", ({ key, image: name, height, width, resample }) => {
    const got = resize(image(name), height, width, resample);
    const want = tensor(key).data;
    expect(got.data.length).toBe(want.length);
    // Only a sine may round otherwise.
    const limit = resample === LANCZOS || resample === HAMMING ? 1 : 0;
    expect(Math.max(...got.data.map((v, i) => Math.abs(v - want[i])))).toBeLessThanOrEqual(limit);
  });
});

describe("ImageProcessor gives what transformers' processors on Pillow give", () => {
  it.each(cases.process)("$key", ({ key, images, config }) => {
    const { pixel_values } = ImageProcessor.from(config).process(images.map(image));
    const { data, shape } = tensor(key);
    expect(pixel_values.dims).toEqual(shape);
    const worst = pixel_values.data.reduce((d, v, i) => Math.max(d, Math.abs(v - data[i])), 0);
    // A level of 255 is 0.0078 here: Lanczos needs a sine.
    expect(worst).toBeLessThan(key.endsWith("siglip-alpha") ? 0.008 : 1e-6);
  });
});

const anyImage = fc
  .record({
    width: fc.integer({ min: 1, max: 12 }),
    height: fc.integer({ min: 1, max: 12 }),
    channels: fc.constantFrom(1 as const, 3 as const),
  })
  .chain(({ width, height, channels }) =>
    fc
      .uint8Array({ minLength: width * height * channels, maxLength: width * height * channels })
      .map((data): RawImage => ({ data, width, height, channels })),
  );
const edge = fc.integer({ min: 1, max: 20 });
const filter = fc.constantFrom<Resample>(0, 1, 2, 3, 4, 5);

describe("laws of resize", () => {
  it("one colour stays that colour", () => {
    fc.assert(
      fc.property(edge, edge, edge, edge, filter, fc.integer({ min: 0, max: 255 }), (h, w, to_h, to_w, f, v) => {
        const flat: RawImage = { data: new Uint8Array(h * w).fill(v), width: w, height: h, channels: 1 };
        expect(new Set(resize(flat, to_h, to_w, f).data)).toEqual(new Set([v]));
      }),
      { numRuns: 200 },
    );
  });
  it("channels do not mix", () => {
    fc.assert(
      fc.property(anyImage, edge, edge, filter, (image, h, w, f) => {
        const { channels } = image;
        const all = resize(image, h, w, f).data;
        for (let c = 0; c < channels; c++) {
          const one: RawImage = { ...image, data: image.data.filter((_, i) => i % channels === c), channels: 1 };
          expect(resize(one, h, w, f).data).toEqual(all.filter((_, i) => i % channels === c));
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe("what cannot be", () => {
  const vit = { image_processor_type: "ViTImageProcessor" };
  it.each([
    [{ image_processor_type: "SamImageProcessor" }, "SamImageProcessor"],
    [{ ...vit, do_pad: true }, "do_pad"],
    [{ ...vit, crop_pct: 0.9 }, "crop_pct"],
    [{ ...vit, resample: 9 }, "resample"],
    [{ ...vit, size: { longest_edge: 9 } }, "longest_edge"],
    [{ ...vit, size: { height: -3, width: 4 } }, "size"],
    [{ ...vit, image_mean: [1, 2] }, "image_mean"],
    [{}, "image_processor_type"],
  ])("%j is refused by name", (config, name) => {
    expect(() => ImageProcessor.from(config)).toThrow(UnsupportedOptionError);
    expect(() => ImageProcessor.from(config)).toThrow(name);
  });
  it("an image that is none", () => {
    const processor = ImageProcessor.from(vit);
    const good: RawImage = { data: new Uint8Array(12), width: 2, height: 2, channels: 3 };
    for (const bad of [
      undefined,
      { ...good, data: [1, 2] },
      { ...good, width: 3 },
      { ...good, channels: 5 },
      { ...good, height: 0 },
    ])
      expect(() => processor.process(bad as never)).toThrow(InputError);
    expect(() => processor.process([])).toThrow(InputError);
    const loose = ImageProcessor.from({ ...vit, do_resize: false });
    expect(() => loose.process([good, { ...good, width: 1, height: 4 }])).toThrow("images[1]");
  });
});
