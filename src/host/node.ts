/// <reference lib="esnext.disposable" preserve="true" />
/** The entry for Node, Deno and Bun, whose types are those of every entry. */

import { fileURLToPath } from "node:url";
import { inflateRawSync } from "node:zlib";
import { usePlatform } from "../platform.ts";
import { inlined } from "./inline.ts";
import { nodeFolder } from "./nodeFiles.ts";

usePlatform({
  // zlib at once, where the streams of the web take 80 ms; and from the package's own JavaScript, for which Deno asks no permission.
  module: async (build) => WebAssembly.compile(inflateRawSync(Buffer.from(await inlined(build), "base64"))),
  pause: () => new Promise((resolve) => setImmediate(resolve)),
  folder: nodeFolder,
  shippedModel: () => fileURLToPath(new URL("../../models/default-embedder", import.meta.url)),
});

export * from "../index.ts";
