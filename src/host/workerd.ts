/** What workerd gives, to each of its entries. */

import { InputError } from "../errors.ts";
import type { Platform } from "../platform.ts";

// workerd compiles nothing at run time: a .wasm file is imported as a module, compiled when the worker is deployed.
const modules = {
  relaxed: () => import("#wasm/relaxed.wasm"),
  simd: () => import("#wasm/simd.wasm"),
};

export const workerd: Platform = {
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
};
