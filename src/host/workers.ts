/**
 * The entry for workerd (Cloudflare Workers). A worker has no files: the model comes by URL or as bytes. From the worker's own
 * static assets, which hold a copy of `wattention/models/default-embedder.safetensors`:
 * `pipeline("feature-extraction", "https://assets/default-embedder.safetensors", { fetch: (url, init) => env.ASSETS.fetch(url, init) })`.
 * Or with the worker itself, where its plan has room for 6 MB: with `"rules": [{ "type": "Data", "globs": ["**\/*.safetensors"] }]` in
 * wrangler.jsonc, `import model from "wattention/models/default-embedder.safetensors"` gives the bytes.
 * @module
 */

import { usePlatform } from "../platform.ts";
import { workerd } from "./workerd.ts";

usePlatform(workerd);

export * from "../index.ts";
