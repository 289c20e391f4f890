// The built package with the dtype that WATTENTION_DTYPE names wherever a model is loaded: what scripts/conformance.mjs hands to run.mjs.
import * as lib from "../dist/host/node.js";

export * from "../dist/host/node.js";

const dtype = process.env.WATTENTION_DTYPE;
export const loadModel = (source, options) => lib.loadModel(source, { dtype, ...options });
export const pipeline = (task, source, options) => lib.pipeline(task, source, { dtype, ...options });
