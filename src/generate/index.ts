/** All that goes on with sequences, as one import. */

export { loadCache, openCache } from "./cache.ts";
export { generate, stream } from "./loop.ts";
export { legacyGeneration } from "./options.ts";
