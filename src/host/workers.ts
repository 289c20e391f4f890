/**
 * The entry for workerd (Cloudflare Workers). A worker has no files: the model comes by URL or as bytes. From the worker's own
 * static assets, which hold a copy of `wattention/models/default-embedder.safetensors`:
 * `pipeline("feature-extraction", "https://assets/default-embedder.safetensors", { fetch: (url, init) => env.ASSETS.fetch(url, init) })`.
 * Or with the worker itself, where its plan has room for 6 MB: with `"rules": [{ "type": "Data", "globs": ["**\/*.safetensors"] }]` in
 * wrangler.jsonc, `import model from "wattention/models/default-embedder.safetensors"` gives the bytes.
 * @module
 */

import { InputError } from "../errors.ts";
import { usePlatform } from "../platform.ts";

// workerd compiles nothing at run time: a .wasm file is imported as a module, compiled when the worker is deployed.
const modules = {
  relaxed: () => import("#wasm/relaxed.wasm"),
  simd: () => import("#wasm/simd.wasm"),
};

usePlatform({
  module: async (build) => (await modules[build]()).default as unknown as WebAssembly.Module,
  pause: () => new Promise((resolve) => setTimeout(resolve)),
  // A request that waits for nothing but another request's work counts as hung, and is ended: a timer of its own keeps it.
  waiting: async (promise) => {
    const timer = setInterval(() => {}, 1000);
    try {
      return await promise;
    } finally {
      clearInterval(timer);
    }
  },
  shippedModel: () => {
    throw new InputError("a worker has no files: give the model as bytes (import one as data), a URL or a hub id");
  },
});

export * from "../index.ts";
