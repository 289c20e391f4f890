import { fileURLToPath } from "node:url";
import { usePlatform } from "../platform.ts";
import { inlineModule } from "./inline.ts";
import { nodeFolder } from "./nodeFiles.ts";

usePlatform({
  module: inlineModule,
  pause: () => new Promise((resolve) => setImmediate(resolve)),
  folder: nodeFolder,
  shippedModel: () => fileURLToPath(new URL("../../models/default-embedder", import.meta.url)),
});

export * from "../index.ts";
