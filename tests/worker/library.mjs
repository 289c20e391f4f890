// A worker as a user writes it, on Node: the whole library.
import { parentPort } from "node:worker_threads";
import * as wattention from "../../dist/host/node.js";
import { expose } from "../../dist/worker/index.js";

const own = {
  ...wattention,
  crash: () =>
    setImmediate(() => {
      throw new RangeError("out of luck");
    }),
  hang: () => new Promise(() => {}),
  fails: () => {
    throw new wattention.ShapeError("x", [1, null], [2]);
  },
  counts: { tensor: new wattention.Tensor(Float32Array.of(1, 2), [2]) },
  nested: () => ({ list: [new wattention.Tensor(Float32Array.of(1, 2), [2])], text: "yes" }),
  echo: (value) => value,
};
expose(own, parentPort);
