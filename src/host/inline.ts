import type { Build } from "../platform.ts";

/** A build as a JavaScript module of its own (web.ts decodes it), so that a bundler splits it. */
export const inlined = async (build: Build): Promise<string> =>
  (await (build === "relaxed" ? import("#wasm/relaxed") : import("#wasm/simd"))).default;
