import { pipeline } from "wattention";

const deterministic = location.search === "?deterministic";
const extract = await pipeline("feature-extraction", new URL("/default-embedder.safetensors", location.href), {
  wasm: deterministic
    ? new URL("wattention/wasm/simd", import.meta.url)
    : new URL("wattention/wasm/relaxed", import.meta.url),
});
const vectors = await extract(["a cat sleeps on the sofa", "How is memory planned?"]);
console.log(JSON.stringify([...vectors.data]));
