/** What every host of the web has: pages, workers of both kinds. */

import { InputError } from "../errors.ts";
import { fromBase64, type Platform } from "../platform.ts";

/** Compiles a build from how a JavaScript module holds it, which is how it reaches a host by any bundler: deflate-raw in base64. */
export async function compile(text: string): Promise<WebAssembly.Module> {
  const stream = new Blob([fromBase64(text)]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return WebAssembly.compile(await new Response(stream).arrayBuffer());
}

export const web = (module: Platform["module"], shipped: () => URL): Platform => ({
  module,
  pause: () =>
    new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        port1.close();
        resolve();
      };
      port2.postMessage(0);
    }),
  decodeImage: async (file, name) => (await import("./webImage.ts")).decodeImage(file, name),
  shippedModel() {
    try {
      return shipped();
    } catch (cause) {
      throw new InputError("a bundled script does not know where the shipped model is: give its URL", { cause });
    }
  },
});
