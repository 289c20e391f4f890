import type { MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import type { BatchEvent } from "../../server/index.ts";

const SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256];

/** What Prometheus may ask for. prom-client is loaded here alone: nobody pays for it who does not serve. */
export async function metrics() {
  const { default: prom } = await import("prom-client");
  const register = new prom.Registry();
  try {
    prom.collectDefaultMetrics({ register });
  } catch {
    // Bun and Deno lack some of what it looks at.
  }
  const registers = [register];
  const requests = new prom.Histogram({
    name: "http_request_duration_seconds",
    help: "Requests by route, method and status.",
    labelNames: ["method", "route", "status"],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60],
    registers,
  });
  const labelNames = ["model"];
  const queue = new prom.Gauge({
    name: "wattention_queue_texts",
    help: "Texts that wait for a batch.",
    labelNames,
    registers,
  });
  const texts = new prom.Histogram({
    name: "wattention_batch_texts",
    help: "Texts of a batch.",
    labelNames,
    buckets: SIZES,
    registers,
  });
  const seconds = new prom.Histogram({
    name: "wattention_batch_duration_seconds",
    help: "What a batch took in the engine.",
    labelNames,
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
    registers,
  });
  const tokens = new prom.Counter({
    name: "wattention_tokens_total",
    help: "Tokens that were run.",
    labelNames,
    registers,
  });

  const timed: MiddlewareHandler = async (c, next) => {
    const start = performance.now();
    await next();
    // Middlewares match everything, and paths that no route has would be labels without end.
    const route = matchedRoutes(c).findLast(({ path }) => !path.includes("*"))?.path ?? "none";
    requests.observe({ method: c.req.method, route, status: c.res.status }, (performance.now() - start) / 1000);
  };
  return {
    timed,
    onQueue: (model: string, waiting: number) => queue.set({ model }, waiting),
    onBatch(model: string, batch: BatchEvent) {
      texts.observe({ model }, batch.texts);
      seconds.observe({ model }, batch.took / 1000);
      tokens.inc({ model }, batch.tokens);
    },
    text: () => register.metrics(),
    type: register.contentType,
  };
}
