/** A service worker: one file, whose message event lasts as long as the suite. */

import * as wattention from "wattention/service-worker";
import * as view from "wattention/view";
import { runSuite } from "../suite/index.mjs";
import { contextOf, reporter } from "./context.mjs";

addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("message", (event) => {
  const { data: config } = event;
  // The page's other messages only keep this worker from being idle.
  if (config.id)
    event.waitUntil(
      runSuite(
        contextOf(config, {
          wattention,
          view,
          report: reporter(config),
          origin: location.origin,
          apart: true,
          noShipped: "InputError",
        }),
      ),
    );
});
