/** What every host of the web has: pages, workers of both kinds. */

import { FormatError, InputError } from "../errors.ts";
import { fromBase64, type Platform, type RawImage } from "../platform.ts";

/** Compiles a build from how a JavaScript module holds it, which is how it reaches a host by any bundler: deflate-raw in base64. */
export async function compile(text: string): Promise<WebAssembly.Module> {
  const stream = new Blob([fromBase64(text)]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return WebAssembly.compile(await new Response(stream).arrayBuffer());
}

/** See Platform. The browser's own decoders, through a canvas. */
async function decodeImage(file: Uint8Array<ArrayBuffer>, name: string): Promise<RawImage> {
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

export const web = (module: Platform["module"]): Platform => ({
  module,
  pause: () =>
    new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        port1.close();
        resolve();
      };
      port2.postMessage(0);
    }),
  decodeImage,
  shippedModel() {
    try {
      // Right where this file is served from the package (a CDN, Vite's dev server); in a bundle it counts from the bundle.
      return new URL(/* @vite-ignore */ "../shipped/default-embedder.safetensors", import.meta.url);
    } catch (cause) {
      throw new InputError("a bundled script does not know where the shipped model is: give its URL", { cause });
    }
  },
});
