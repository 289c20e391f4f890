/**
 * The entry for browsers: pages, module workers, and service workers where the bundle is one file (those forbid `import()`).
 *
 * The model that ships is a file beside this one, and a bundler does not copy it: a bundled app serves a copy of
 * `wattention/models/default-embedder.safetensors` and gives its URL, `pipeline("feature-extraction", new URL("/default-embedder.safetensors", location.href))`.
 * @module
 */

import { usePlatform } from "../platform.ts";
import { inlineModule } from "./inline.ts";

usePlatform({
  module: inlineModule,
  pause: () =>
    new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        port1.close();
        resolve();
      };
      port2.postMessage(0);
    }),
  // Right where this file is served from the package (a CDN, Vite's dev server); in a bundle it counts from the bundle.
  shippedModel: () => new URL(/* @vite-ignore */ "../shipped/default-embedder.safetensors", import.meta.url),
});

export * from "../index.ts";
