import { pipeline } from "wattention";
import relaxed from "wattention/wasm/relaxed?url";
import simd from "wattention/wasm/simd?url";

const deterministic = location.search === "?deterministic";
const extract = await pipeline("feature-extraction", new URL("/default-embedder.safetensors", location.href), {
  wasm: fetch(deterministic ? simd : relaxed),
});
const vectors = await extract(["a cat sleeps on the sofa", "How is memory planned?"]);
console.log(JSON.stringify([...vectors.data]));
