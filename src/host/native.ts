/** What Node, Deno and Bun have alike. */

import { fileURLToPath } from "node:url";
import { FormatError, MissingPackageError } from "../errors.ts";
import type { Build, Platform, RawImage } from "../platform.ts";
import { inlined } from "./inline.ts";
import { nodeFolder } from "./nodeFiles.ts";

/** A build from JavaScript: by zlib, at once, where the streams of the web take 80 ms. */
export async function unpacked(build: Build): Promise<Uint8Array<ArrayBuffer>> {
  const { inflateRawSync } = await import("node:zlib");
  return inflateRawSync(Buffer.from(await inlined(build), "base64"));
}

/** What we use of sharp, which who reads image files installs beside this package. */
type Sharp = (file: Uint8Array) => {
  autoOrient(): ReturnType<Sharp>;
  toColourspace(name: string): ReturnType<Sharp>;
  raw(): ReturnType<Sharp>;
  toBuffer(options: { resolveWithObject: true }): Promise<{ data: Uint8Array; info: Omit<RawImage, "data"> }>;
};

/** See Platform. */
export async function decodeImage(file: Uint8Array, name: string): Promise<RawImage> {
  const optional = "sharp"; // by a name that no bundler and no type checker looks for
  const { default: sharp } = (await import(optional).catch((cause) => {
    throw new MissingPackageError(optional, `reading ${name}`, { cause });
  })) as { default: Sharp };
  try {
    const pixels = sharp(file).autoOrient().toColourspace("srgb").raw();
    const { data, info } = await pixels.toBuffer({ resolveWithObject: true });
    const { width, height, channels } = info;
    return { data, width, height, channels };
  } catch (cause) {
    throw new FormatError(name, `is no image that sharp reads: ${(cause as Error).message}`);
  }
}

export const native = (bytes: (build: Build) => Promise<Uint8Array<ArrayBuffer>>, entry: string): Platform => ({
  module: async (build) => WebAssembly.compile(await bytes(build)),
  pause: () => new Promise((resolve) => setImmediate(resolve)),
  folder: nodeFolder,
  decodeImage,
  shippedModel: () => fileURLToPath(new URL("../../dist/shipped/default-embedder.safetensors", entry)),
});
