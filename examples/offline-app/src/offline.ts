/** The page's side of the service worker. */

/**
 * Registers the service worker and waits until it serves this page, so that what the page loads is kept; where there is none (a private
 * window, a page forced past it) the page works all the same, but only online.
 * @param onUpdate a new version is ready: called with what takes it up
 */
export async function serveOffline(onUpdate: (takeUp: () => void) => void): Promise<boolean> {
  const container = navigator.serviceWorker;
  if (!import.meta.env.PROD || !container) return false;
  try {
    const registration = await container.register("./sw.js", { updateViaCache: "none" });
    const hadOne = !!container.controller;
    const first = registration.active ? undefined : (registration.installing ?? registration.waiting);
    const changed = new Promise<void>((resolve) => {
      container.addEventListener("controllerchange", () => {
        // A page of one version must not be served by another.
        if (hadOne) location.reload();
        resolve();
      });
    });
    watch(registration, onUpdate);
    if (first) await Promise.race([changed, failed(first)]);
    return !!container.controller;
  } catch (error) {
    console.warn("no service worker:", error);
    return false;
  }
}

function failed(worker: ServiceWorker): Promise<void> {
  return new Promise((resolve) => {
    worker.addEventListener("statechange", () => worker.state === "redundant" && resolve());
  });
}

function watch(registration: ServiceWorkerRegistration, onUpdate: (takeUp: () => void) => void): void {
  const ready = (worker: ServiceWorker | null) => {
    if (worker?.state === "installed" && registration.active) onUpdate(() => worker.postMessage("take over"));
  };
  ready(registration.waiting);
  registration.addEventListener("updatefound", () => {
    const worker = registration.installing;
    worker?.addEventListener("statechange", () => ready(worker));
  });
}

/** Resolves once `url` can be had without a network. */
export async function kept(url: URL): Promise<void> {
  const message = new Promise<void>((resolve) => {
    navigator.serviceWorker.addEventListener("message", ({ data }) => data === "model kept" && resolve());
  });
  if (!(await caches.match(url))) await message;
}
