/// <reference lib="esnext.disposable" preserve="true" />
/**
 * `wattention/service-worker`: what `wattention` exports, in one piece without any `import()`, which service workers forbid. It runs in
 * pages and workers too. As for browsers, a bundled app gives the URL of its copy of the model that ships.
 * @module
 */

import relaxed from "#wasm/relaxed";
import simd from "#wasm/simd";
import { usePlatform } from "../platform.ts";
import { compile, web } from "./web.ts";

usePlatform(
  web(
    (build) => compile(build === "relaxed" ? relaxed : simd),
    () => new URL(/* @vite-ignore */ "../shipped/default-embedder.safetensors", import.meta.url),
  ),
);

export * from "../index.ts";
