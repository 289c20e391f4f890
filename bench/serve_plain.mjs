// What one writes without wattention/server: a route that embeds the text of each request by itself. serve.mjs compares with it.
import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { pipeline } from "../dist/host/node.js";

const extract = await pipeline("feature-extraction", process.argv[2] || undefined, {
  dtype: process.argv[3] || undefined,
});
const pooling = extract.pools ? undefined : "mean";
const app = new Hono();
app.get("/health", (c) => c.text("ok"));
app.post("/v1/embeddings", async (c) => {
  const { input, encoding_format } = await c.req.json();
  const { data } = await extract(input, { normalize: true, pooling });
  const embedding = encoding_format === "base64" ? Buffer.from(data.buffer).toString("base64") : Array.from(data);
  return c.json({ object: "list", data: [{ object: "embedding", index: 0, embedding }], model: "default-embedder" });
});
serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, ({ port }) =>
  console.log(JSON.stringify({ url: `http://127.0.0.1:${port}` })),
);
process.on("SIGTERM", () => process.exit(0));
