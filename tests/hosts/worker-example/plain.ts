// What an app does that knows nothing of Workers' ways: the model is loaded at global scope and shared by all requests.
import { env } from "cloudflare:workers";
import { pipeline } from "wattention";
import model from "wattention/models/default-embedder.safetensors";

// As deployed, where the clock stands still between I/O; workerd's own runs.
if ((env as { CLOCK?: string }).CLOCK === "still") {
  performance.now = () => 0;
  Date.now = () => 0;
}
let turns = 0;
const { setTimeout: timer } = globalThis;
globalThis.setTimeout = ((...args: Parameters<typeof timer>) => {
  turns++;
  return timer(...args);
}) as typeof timer;

const extract = await pipeline("feature-extraction", model);

export { DocumentIndex } from "./documents.ts"; // which the configuration names

export default {
  async fetch(request: Request) {
    const before = turns;
    const vectors = (await extract(await request.json<string[]>())).tolist();
    return Response.json({ vectors, turns: turns - before, clock: performance.now() });
  },
};
