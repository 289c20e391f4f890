import { pipeline } from "wattention/service-worker";

addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("message", (event) => event.waitUntil(answer(event)));

async function answer({ data: { texts, options }, ports: [port] }) {
  try {
    const model = new URL("/default-embedder.safetensors", location.href);
    const extract = await pipeline("feature-extraction", model, options);
    port.postMessage([...(await extract(texts)).data]);
  } catch (error) {
    port.postMessage(String(error.stack));
  }
}
