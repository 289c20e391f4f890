import { pipeline } from "wattention";

const extract = await pipeline("feature-extraction", new URL("/default-embedder.safetensors", location.href), {
  deterministic: location.search === "?deterministic",
});
const vectors = await extract(["a cat sleeps on the sofa", "How is memory planned?"]);
console.log(JSON.stringify([...vectors.data]));
