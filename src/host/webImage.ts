import { FormatError } from "../errors.ts";
import type { RawImage } from "../platform.ts";

/** See Platform. The browser's own decoders, through a canvas. */
export async function decodeImage(file: Uint8Array<ArrayBuffer>, name: string): Promise<RawImage> {
  // Colours as they stand in the file, as Pillow gives them.
  const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" } as const;
  const bitmap = await createImageBitmap(new Blob([file]), options).catch((cause: Error) => {
    throw new FormatError(name, `is no image that this browser reads: ${cause.message}`);
  });
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  canvas!.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { data: canvas!.getImageData(0, 0, width, height).data, width, height, channels: 4 };
}
