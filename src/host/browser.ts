/**
 * The entry for browsers: pages and module workers. Service workers forbid `import()`: theirs is `wattention/service-worker`.
 *
 * The model that ships is a file beside this one, and a bundler does not copy it: a bundled app serves a copy of
 * `wattention/models/default-embedder.safetensors` and gives its URL, `pipeline("feature-extraction", new URL("/default-embedder.safetensors", location.href))`.
 * @module
 */

import { usePlatform } from "../platform.ts";
import { inlined } from "./inline.ts";
import { compile, web } from "./web.ts";

usePlatform(
  web(
    async (build) => compile(await inlined(build)),
    // Right where this file is served from the package (a CDN, Vite's dev server); in a bundle it counts from the bundle.
    () => new URL(/* @vite-ignore */ "../shipped/default-embedder.safetensors", import.meta.url),
  ),
);

export * from "../index.ts";
