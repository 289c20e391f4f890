import { InputError, UnsupportedOptionError } from "../../errors.ts";
import { Tensor } from "../../tensor.ts";
import { Config } from "../config.ts";
import type { Json } from "../read.ts";
import { checkImage, type RawImage, toChannels } from "./raw.ts";
import { type Resample, resize } from "./resize.ts";

type Size = { readonly [edge: string]: number };

/** What a class of transformers does where preprocessor_config.json does not say. */
interface Defaults {
  readonly size: Size;
  readonly resample: Resample;
  readonly crop_size?: Size;
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly do_convert_rgb?: boolean;
  /** What a size of one number means. */
  readonly square?: boolean;
}

const HALVES = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] };
const CLIP = { mean: [0.48145466, 0.4578275, 0.40821073], std: [0.26862954, 0.26130258, 0.27577711] };
const square = (n: number): Size => ({ height: n, width: n });

const clip: Defaults = {
  ...CLIP,
  size: { shortest_edge: 224 },
  resample: 3,
  crop_size: square(224),
  do_convert_rgb: true,
  square: false,
};

/** By the class that the file names, without its ending (ImageProcessor, ImageProcessorFast, FeatureExtractor). */
const CLASSES: { readonly [name: string]: Defaults } = {
  Bit: clip,
  CLIP: clip,
  ConvNext: { ...HALVES, size: { shortest_edge: 384 }, resample: 3, square: false },
  DeiT: { ...HALVES, size: square(256), resample: 3, crop_size: square(224) },
  Siglip: { ...HALVES, size: square(224), resample: 3, do_convert_rgb: true, square: false },
  ViT: { ...HALVES, size: square(224), resample: 2 },
};

/** Options that would change pixels and that we lack: where they are there, they must be off. */
const OFF = ["do_pad", "do_flip_channel_order", "offset", "size_divisor"];

/**
 * What preprocessor_config.json asks for, as transformers' processors on Pillow do it: resize, crop the middle, rescale, normalise. Each step's numbers are
 * theirs to the last bit, filters with a sine within one level of 255.
 */
export class ImageProcessor {
  private constructor(
    private readonly channels: 1 | 3,
    private readonly onto: "white" | "nothing",
    private readonly fit: ((image: RawImage) => RawImage) | undefined,
    private readonly crop: Size | undefined,
    /** Of each channel, what each byte becomes. */
    private readonly values: readonly Float32Array[],
  ) {}

  /** @param config the content of preprocessor_config.json, @throws UnsupportedOptionError */
  static from(config: Json | Config): ImageProcessor {
    let c = config instanceof Config ? config : new Config(config, "preprocessor_config.json");
    if (c.has("image_processor") && !c.has("image_processor_type")) c = c.sub("image_processor"); // processor_config.json
    const type = c.string(["image_processor_type", "feature_extractor_type"]);
    const name = type.replace(/(ImageProcessor|FeatureExtractor)(Fast|Pil)?$/, "");
    if (!Object.hasOwn(CLASSES, name)) {
      const supported = Object.keys(CLASSES).map((k) => `${k}ImageProcessor`);
      throw new UnsupportedOptionError(`${c.file}: image_processor_type`, type, supported);
    }
    const defaults = CLASSES[name];
    for (const option of OFF) c.get(option, (v) => v === false, [false], false);

    const list = (option: string, otherwise: readonly number[]) => {
      const number = (v: unknown) => typeof v === "number" && Number.isFinite(v);
      const good = (v: unknown) => number(v) || (Array.isArray(v) && [1, 3].includes(v.length) && v.every(number));
      return [
        c.get<number | number[]>(option, good, ["a number, or one or three of them"], otherwise as number[]),
      ].flat();
    };
    const scale = c.bool("do_rescale", true) ? c.number("rescale_factor", { default: 1 / 255 }) : 1;
    const norm = c.bool("do_normalize", true);
    const mean = norm ? list("image_mean", defaults.mean) : [0, 0, 0];
    const std = norm ? list("image_std", defaults.std) : [1, 1, 1];
    // A single number holds for all channels; a list of one is for images of one.
    const channels = Array.isArray(c.raw.image_mean) && mean.length === 1 ? 1 : 3;
    const f32 = Math.fround;
    const values = Array.from({ length: channels }, (_, i) => {
      const [m, s] = [mean, std].map((of) => f32(of[of.length === 1 ? 0 : i]));
      return Float32Array.from({ length: 256 }, (_, v) => f32(f32(v * scale) - m) / s);
    });
    const crops = c.bool("do_center_crop", defaults.crop_size !== undefined);
    const crop = crops ? sizeOf(c, "crop_size", defaults.crop_size ?? square(224), true) : undefined;
    if (crop && !(crop.height && crop.width))
      throw new UnsupportedOptionError(`${c.file}: crop_size`, crop, ["height and width"]);
    const onto = c.bool("do_convert_rgb", defaults.do_convert_rgb) ? "white" : "nothing";
    const fit = c.bool("do_resize", true) ? fitting(c, defaults, name) : undefined;
    return new ImageProcessor(channels, onto, fit, crop, values);
  }

  /**
   * Images as a model takes them: pixel_values [B, channels, height, width].
   * @throws InputError if one is none, or if they differ in size when all is done
   */
  process(images: RawImage | readonly RawImage[]): { pixel_values: Tensor } {
    const all = [images].flat() as RawImage[];
    if (!all.length) throw new InputError("images is empty");
    const { channels, crop } = this;
    const fitted = all.map((image, i) => {
      const plain = toChannels(checkImage(image, all.length > 1 ? `images[${i}]` : "image"), channels, this.onto);
      return this.fit ? this.fit(plain) : plain;
    });
    const { height, width } = crop ?? fitted[0];
    const data = new Float32Array(all.length * channels * height * width);
    for (const [b, image] of fitted.entries()) {
      if (!crop && (image.height !== height || image.width !== width))
        throw new InputError(
          `images[${b}] is ${image.width} × ${image.height} when all is done, the first ${width} × ${height}: process them one by one`,
        );
      const top = Math.floor((image.height - height) / 2);
      const left = Math.floor((image.width - width) / 2);
      for (const [ch, values] of this.values.entries()) {
        let to = (b * channels + ch) * height * width;
        for (let y = top; y < top + height; y++)
          for (let x = left; x < left + width; x++, to++) {
            // An image that is too small for the crop stands in the middle of zeros.
            const inside = y >= 0 && y < image.height && x >= 0 && x < image.width;
            data[to] = values[inside ? image.data[(y * image.width + x) * channels + ch] : 0];
          }
      }
    }
    return { pixel_values: new Tensor(data, [all.length, channels, height, width]) };
  }
}

/** A size as configs give it: by its edges, one number, or [height, width]. */
function sizeOf(c: Config, option: string, otherwise: Size, square: boolean): Size {
  const whole = (v: unknown) => Number.isInteger(v) && (v as number) > 0 && (v as number) <= 1 << 14;
  const edges = (v: unknown) => {
    const all = Object.entries(v as object).filter(([, n]) => n != null);
    return all.length > 0 && all.every(([k, n]) => EDGES.includes(k) && whole(n));
  };
  const good = (v: unknown) =>
    typeof v === "object" ? (Array.isArray(v) ? v.length === 2 && v.every(whole) : edges(v)) : whole(v);
  const size = c.get<Size | number | [number, number]>(
    option,
    good,
    ["a whole number", "two", `of ${EDGES}`],
    otherwise,
  );
  if (typeof size === "number") return square ? { height: size, width: size } : { shortest_edge: size };
  return Array.isArray(size) ? { height: size[0], width: size[1] } : size;
}
const EDGES = ["height", "width", "shortest_edge", "longest_edge", "max_height", "max_width"];

/** How images are resized. */
function fitting(c: Config, defaults: Defaults, name: string): (image: RawImage) => RawImage {
  const resample = c.int("resample", { min: 0, max: 5, default: defaults.resample }) as Resample;
  const size = sizeOf(c, "size", defaults.size, defaults.square ?? true);
  const { height, width, shortest_edge: short, longest_edge: long, max_height, max_width } = size;
  if (name === "ConvNext") {
    if (!short) throw new UnsupportedOptionError(`${c.file}: size`, size, ["shortest_edge"]);
    const crop_pct = c.number("crop_pct", { max: 1, default: 224 / 256 });
    if (short >= 384) return (image) => resize(image, short, short, resample);
    return (image) => cropped(resize(image, ...byShortest(image, Math.trunc(short / crop_pct)), resample), short);
  }
  c.get("crop_pct", () => false, ["nothing"], null); // only ConvNext crops by it
  if (short && long) return (image) => resize(image, ...between(image, short, long), resample);
  if (short) return (image) => resize(image, ...byShortest(image, short), resample);
  if (max_height && max_width)
    return (image) => {
      const scale = Math.min(max_height / image.height, max_width / image.width);
      return resize(image, Math.trunc(image.height * scale), Math.trunc(image.width * scale), resample);
    };
  if (height && width) return (image) => resize(image, height, width, resample);
  throw new UnsupportedOptionError(`${c.file}: size`, size, [
    "height and width",
    "shortest_edge",
    "max_height and max_width",
  ]);
}

type Pair = [height: number, width: number];

/** The shorter edge becomes `short`. */
function byShortest({ height, width }: RawImage, short: number): Pair {
  const long = Math.trunc((short * Math.max(height, width)) / Math.min(height, width));
  return width <= height ? [long, short] : [short, long];
}

/** The same, unless the longer edge would be longer than `long`, which it then becomes. */
function between({ height, width }: RawImage, short: number, long: number): Pair {
  const [least, most] = [Math.min(height, width), Math.max(height, width)];
  const raw = (most / least) * short > long ? (long * least) / most : undefined;
  const size = raw === undefined ? short : even(raw);
  if (least === size) return [height, width];
  const other = Math.trunc(((raw ?? size) * most) / least);
  return width < height ? [other, size] : [size, other];
}

/** Rounded, halves to the even number, as Python does. */
function even(x: number): number {
  const r = Math.round(x);
  return r - x === 0.5 && r % 2 ? r - 1 : r;
}

/** The middle of an image, which is at least as large. */
function cropped({ data, width, height, channels }: RawImage, edge: number): RawImage {
  const [top, left] = [Math.floor((height - edge) / 2), Math.floor((width - edge) / 2)];
  const out = new Uint8Array(edge * edge * channels);
  for (let y = 0; y < edge; y++) {
    const from = ((top + y) * width + left) * channels;
    out.set(data.subarray(from, from + edge * channels), y * edge * channels);
  }
  return { data: out, width: edge, height: edge, channels };
}
