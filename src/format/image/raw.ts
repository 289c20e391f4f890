import { InputError } from "../../errors.ts";
import type { RawImage } from "../../platform.ts";

export type { RawImage };

/** @throws InputError unless it is an image whose data has as many bytes as it says */
export function checkImage(image: RawImage, name = "image"): RawImage {
  const { data, width, height, channels } = image ?? {};
  const whole = (n: unknown) => Number.isInteger(n) && (n as number) > 0;
  const bytes = data instanceof Uint8Array || data instanceof Uint8ClampedArray;
  if (!bytes || !whole(width) || !whole(height) || !whole(channels) || channels > 4)
    throw new InputError(`${name} must be { data: Uint8Array, width, height, channels: 1 to 4 }`);
  if (data.length !== width * height * channels)
    throw new InputError(
      `${name} has ${data.length} bytes, ${width} × ${height} × ${channels} are ${width * height * channels}`,
    );
  return image;
}

/** Two bytes' product over 255, given times 255: as Pillow rounds it. */
const over255 = (x: number) => ((x >> 8) + x) >> 8;

/** An image of one channel or three. Alpha is left out, or the image stands on white, to the last bit as Pillow does it. */
export function toChannels(image: RawImage, channels: 1 | 3, onto: "white" | "nothing"): RawImage {
  const { data, width, height, channels: from } = image;
  const alpha = from === 2 || from === 4;
  if (from === channels) return image;
  const out = new Uint8Array(width * height * channels);
  const colors = from > 2 ? 3 : 1;
  const pixel = [0, 0, 0];
  for (let i = 0, at = 0, to = 0; i < width * height; i++, at += from, to += channels) {
    const a = alpha && onto === "white" ? data[at + from - 1] : 255;
    for (let c = 0; c < 3; c++) {
      const v = data[at + (colors === 3 ? c : 0)];
      pixel[c] = a === 255 ? v : a === 0 ? 255 : over255((v * a + 255 * (255 - a)) * 128 + (0x80 << 7)) >> 7;
    }
    // ITU-R 601-2, as Pillow's convert("L") has it.
    if (channels === 1)
      out[to] = colors === 1 ? pixel[0] : (pixel[0] * 19595 + pixel[1] * 38470 + pixel[2] * 7471 + 0x8000) >> 16;
    else out.set(pixel, to);
  }
  return { data: out, width, height, channels };
}
