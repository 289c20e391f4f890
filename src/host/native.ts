/** What Node, Deno and Bun have alike. */

import { fileURLToPath } from "node:url";
import type { Build, Platform } from "../platform.ts";
import { inlined } from "./inline.ts";
import { fileSystem, nodeFolder } from "./nodeFiles.ts";

/** A build from JavaScript: by zlib, at once, where the streams of the web take 80 ms. */
export async function unpacked(build: Build): Promise<Uint8Array<ArrayBuffer>> {
  const { inflateRawSync } = await import("node:zlib");
  return inflateRawSync(Buffer.from(await inlined(build), "base64"));
}

export const native = (bytes: (build: Build) => Promise<Uint8Array<ArrayBuffer>>, entry: string): Platform => ({
  module: async (build) => WebAssembly.compile(await bytes(build)),
  pause: () => new Promise((resolve) => setImmediate(resolve)),
  folder: nodeFolder,
  decodeImage: async (file, name) => (await import("./nativeImage.ts")).decodeImage(file, name),
  shippedModel: () => fileURLToPath(new URL("../../dist/shipped/default-embedder.safetensors", entry)),
});

/** Node and Bun: the file beside the entry, where there is one (no bundler moves it). */
export const node = (entry: string): Platform =>
  native(async (build) => {
    try {
      return (await fileSystem()).readFileSync(new URL(`../wasm/${build}.wasm`, entry));
    } catch {
      return unpacked(build);
    }
  }, entry);
