/** The main thread of Node, Deno and Bun: `process.mjs CONFIG`. */

import { readFile } from "node:fs/promises";
import * as wattention from "wattention";
import * as view from "wattention/view";
import { connect } from "wattention/worker";
import { runSuite } from "../suite/index.mjs";
import { contextOf } from "./context.mjs";

const config = JSON.parse(process.argv[2]);
const read = config.files && (async (path) => new Uint8Array(await readFile(`${config.files}/${path}`)));
const report = (event) => console.log(`@@${JSON.stringify(event)}`);
const start = async () =>
  typeof Worker === "function"
    ? new Worker(new URL("./exposed.mjs", import.meta.url), { type: "module" })
    : new (await import("node:worker_threads")).Worker(new URL("./exposedNode.mjs", import.meta.url));
await runSuite(
  contextOf(config, {
    wattention,
    view,
    report,
    ...(config.connect && { connect: async () => connect(await start()) }),
    ...(read && { read }),
  }),
);
