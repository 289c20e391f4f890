/**
 * The service worker: one cache a build. A build is taken whole, every file checked against its hash, or not at all, and a page is
 * served from one build only.
 */

declare const self: ServiceWorkerGlobalScope;

/** Filled in by vite.config.ts: files by their place below the scope, with their hashes. */
const BUILD = "__BUILD__" as unknown as { id: string; files: Record<string, string> };

const PREFIX = "offline-app-";
const NAME = PREFIX + BUILD.id;
const isModel = (path: string) => path.endsWith(".safetensors");

async function store(cache: Cache, path: string, integrity: string): Promise<void> {
  // The same name in assets is the same content: what an older build holds is not downloaded again.
  const held = path.startsWith("assets/") ? await caches.match(path) : undefined;
  if (held) return cache.put(path, held);
  const response = await fetch(path, { integrity, cache: "no-cache" });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  await cache.put(path, response);
}

async function install(): Promise<void> {
  const cache = await caches.open(NAME);
  // At the first visit the page itself loads the model, with progress and a way to cancel, and `answer` keeps it. An update must bring
  // it along, or the new version would not work offline.
  const first = !self.registration.active;
  const files = Object.entries(BUILD.files).filter(([path]) => !(first && isModel(path)));
  await Promise.all(files.map(([path, integrity]) => store(cache, path, integrity)));
}

async function activate(): Promise<void> {
  for (const name of await caches.keys()) if (name.startsWith(PREFIX) && name !== NAME) await caches.delete(name);
  await self.clients.claim();
}

async function answer(event: FetchEvent): Promise<Response> {
  const { request } = event;
  const cache = await caches.open(NAME);
  const path = request.url.slice(self.registration.scope.length).replace(/[?#].*/, "");
  const held = await cache.match(path === "" || path === "index.html" ? "./" : path);
  if (held) return held;
  const response = await fetch(request);
  if (response.ok && isModel(path) && path in BUILD.files) {
    const kept = cache.put(path, response.clone()).then(tell, () => {}); // cancelled, or no room: the page still gets its answer
    event.waitUntil(kept);
  }
  return response;
}

async function tell(): Promise<void> {
  for (const client of await self.clients.matchAll()) client.postMessage("model kept");
}

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("message", (event) => event.data === "take over" && self.skipWaiting());
self.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  if (method === "GET" && url.startsWith(self.registration.scope)) event.respondWith(answer(event));
});
