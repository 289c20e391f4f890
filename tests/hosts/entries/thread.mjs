/** What threads.mjs starts: waits for the config, and reports to who sent it. */

import { readFile } from "node:fs/promises";
import * as wattention from "wattention";
import * as view from "wattention/view";
import { runSuite } from "../suite/index.mjs";
import { contextOf } from "./context.mjs";

// Node's threads have no postMessage of their own.
const port = typeof postMessage === "function" ? globalThis : (await import("node:worker_threads")).parentPort;

const start = (config) => {
  const read = async (path) => new Uint8Array(await readFile(`${config.files}/${path}`));
  const report = (event) => port.postMessage(event);
  return runSuite(contextOf(config, { wattention, view, read, report, connect: undefined }));
};
if (port === globalThis) globalThis.onmessage = ({ data }) => start(data);
else port.once("message", start);
