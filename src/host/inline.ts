import type { Build } from "../platform.ts";

/** Compiles a build from the JavaScript module that holds it, which is how it reaches a host by any bundler. */
export async function inlineModule(build: Build): Promise<WebAssembly.Module> {
  const { default: text } = await (build === "relaxed" ? import("#wasm/relaxed") : import("#wasm/simd"));
  const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return WebAssembly.compile(await new Response(stream).arrayBuffer());
}
