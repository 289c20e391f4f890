import type { Build } from "../platform.ts";

/** A build as a JavaScript module holds it, which is how it reaches a host by any bundler: deflate-raw in base64. */
export const inlined = async (build: Build): Promise<string> =>
  (await (build === "relaxed" ? import("#wasm/relaxed") : import("#wasm/simd"))).default;

/** Compiles a build with what every host of the web has. */
export async function inlineModule(build: Build): Promise<WebAssembly.Module> {
  const packed = Uint8Array.from(atob(await inlined(build)), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return WebAssembly.compile(await new Response(stream).arrayBuffer());
}
