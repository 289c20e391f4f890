/** A page that only starts a worker or a service worker: `?id=…&kind=worker|service-worker`. */

import { reporter } from "./context.mjs";

const query = new URLSearchParams(location.search);
const config = { ...(await (await fetch("/app/config.json")).json()), id: query.get("id") };
const failed = (error) => reporter(config)({ failed: "start", error: String(error?.message ?? error) });

if (query.get("kind") === "worker") {
  const worker = new Worker("/app/bundled/worker.js", { type: "module" });
  worker.onerror = (event) => failed(event.message ?? "the worker does not start");
  worker.postMessage(config);
} else {
  try {
    const registration = await navigator.serviceWorker.register("/app/serviceWorker.js");
    await navigator.serviceWorker.ready;
    registration.active.postMessage(config);
    setInterval(() => registration.active.postMessage({}), 3000);
  } catch (error) {
    await failed(error);
  }
}
