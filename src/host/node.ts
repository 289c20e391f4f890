/// <reference lib="esnext.disposable" preserve="true" />
/** The entry for Node, Deno and Bun, whose types are those of every entry. */

import { fileURLToPath } from "node:url";
import { type Build, usePlatform } from "../platform.ts";
import { inlined } from "./inline.ts";
import { fileSystem, nodeFolder } from "./nodeFiles.ts";

/** The file beside this one, where there is one (no bundler moves it) and reading needs no permission (Deno asks for one). */
async function onDisk(build: Build): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if ("Deno" in globalThis) return;
  try {
    return (await fileSystem()).readFileSync(new URL(`../wasm/${build}.wasm`, import.meta.url));
  } catch {}
}

/** From JavaScript: by zlib, at once, where the streams of the web take 80 ms. */
async function unpacked(build: Build): Promise<Uint8Array<ArrayBuffer>> {
  const { inflateRawSync } = await import("node:zlib");
  return inflateRawSync(Buffer.from(await inlined(build), "base64"));
}

usePlatform({
  module: async (build) => WebAssembly.compile((await onDisk(build)) ?? (await unpacked(build))),
  pause: () => new Promise((resolve) => setImmediate(resolve)),
  folder: nodeFolder,
  shippedModel: () => fileURLToPath(new URL("../../dist/shipped/default-embedder.safetensors", import.meta.url)),
});

export * from "../index.ts";
