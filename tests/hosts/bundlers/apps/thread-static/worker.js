import { pipeline } from "wattention/service-worker";

addEventListener("message", async ({ data }) => {
  const extract = await pipeline("feature-extraction", new URL("/default-embedder.safetensors", location.href), data);
  const vectors = await extract(["a cat sleeps on the sofa", "How is memory planned?"]);
  postMessage([...vectors.data]);
});
