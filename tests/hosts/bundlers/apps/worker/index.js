import { connect } from "wattention/worker";

const { pipeline } = connect(new Worker(new URL("./worker.js", import.meta.url), { type: "module" }));
const extract = await pipeline("feature-extraction", new URL("/default-embedder.safetensors", location.href), {
  deterministic: location.search === "?deterministic",
});
const vectors = await extract(["a cat sleeps on the sofa", "How is memory planned?"]);
console.log(JSON.stringify([...vectors.data]));
