/** The suite that every host runs: plain modules, nothing of a host in them. */

import { rows } from "./determinism.mjs";
import { errors } from "./errors.mjs";
import { images } from "./images.mjs";
import { loading } from "./loading.mjs";
import { offthread } from "./offthread.mjs";
import { running } from "./running.mjs";
import { tasks } from "./tasks.mjs";
import { view } from "./view.mjs";

/**
 * @typedef {object} Context
 * @property {typeof import("wattention")} wattention
 * @property {typeof import("wattention/view")} view
 * @property {{ models: string[], embedders: string[] }} lists folders of tests/fixtures
 * @property {(path: string) => Promise<Uint8Array>} read a file of the repository
 * @property {(event: object) => unknown} report `{ start }`, `{ passed }`, `{ skipped }`, `{ failed, error }`, `{ row, hash }`
 * @property {() => Record<string, () => unknown>} wasm what the host may give as `wasm`
 * @property {boolean} shipped whether the host finds the shipped model by itself
 * @property {string} [files] the repository's path, where the host reads files
 * @property {string} [server] the server's URL, where the host reaches it
 * @property {string} [noShipped] the error that says so, if not MissingFileError
 * @property {boolean} [apart] whether `wattention` and `view` come from bundles of their own
 * @property {string} [origin] where paths count from
 * @property {() => Promise<object>} [connect] the library in a worker, by wattention/worker
 */

/** Runs every check that the context can have; a failed one stops none. */
export async function runSuite(context) {
  const { report } = context;
  const told = async (name, run) => {
    await report({ start: name });
    try {
      await report((await run()) ?? { passed: name });
    } catch (error) {
      await report({
        failed: name,
        error: String(error?.stack?.includes(error.message) ? error.stack : `${error} ${error?.stack}`),
      });
    }
  };
  for (const [name, check] of Object.entries({
    ...loading,
    ...tasks,
    ...images,
    ...running,
    ...errors,
    ...view,
    ...offthread,
  })) {
    const { run = check, needs } = check;
    if (needs && !context[needs]) await report({ skipped: name, needs });
    else await told(name, async () => void (await run(context)));
  }
  for (const [row, hash] of Object.entries(rows)) await told(row, async () => ({ row, hash: await hash(context) }));
  await report({ end: true });
}
