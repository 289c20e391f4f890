// Files of the package that are no code: their places, and what the package says of itself.
import manifest from "wattention/package.json" with { type: "json" };

export const version: string = manifest.version;
export const places: string[] = ["wasm/simd", "wasm/relaxed", "models/default-embedder.safetensors"].map((name) =>
  import.meta.resolve(`wattention/${name}`),
);
