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
  shippedModel: () => new URL("../../models/default-embedder/", import.meta.url),
});

export * from "../index.ts";
