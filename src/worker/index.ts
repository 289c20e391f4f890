/// <reference lib="esnext.disposable" preserve="true" />
/**
 * `wattention/worker`: the library in a worker that the caller makes, used from the page as if it were there.
 *
 * In the worker: `import * as wattention from "wattention"; import { expose } from "wattention/worker"; expose(wattention);`
 * On the page: `const { pipeline } = connect(new Worker(new URL("./worker.js", import.meta.url), { type: "module" }));`
 * Deno reads a worker's file with the permission to read it, unlike what is imported: start it with --allow-read=that file.
 * @module
 */

export * from "../errors.ts";
export { Tensor } from "../tensor.ts";
export { connect, type WorkerLike } from "./connect.ts";
export { expose, type Port } from "./expose.ts";
export type { Library, Remote, RemoteLibrary, RemotePipelines, Sent } from "./remote.ts";
