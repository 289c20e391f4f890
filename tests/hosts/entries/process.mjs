/** The main thread of Node, Deno and Bun: `process.mjs CONFIG`. */

import { readFile } from "node:fs/promises";
import * as wattention from "wattention";
import * as view from "wattention/view";
import { runSuite } from "../suite/index.mjs";
import { contextOf } from "./context.mjs";

const config = JSON.parse(process.argv[2]);
const read = config.files && (async (path) => new Uint8Array(await readFile(`${config.files}/${path}`)));
const report = (event) => console.log(`@@${JSON.stringify(event)}`);
await runSuite(contextOf(config, { wattention, view, report, ...(read && { read }) }));
