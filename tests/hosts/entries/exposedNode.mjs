/** The same for Node, whose threads have a port in place of a global scope. */

import { parentPort } from "node:worker_threads";
import * as wattention from "wattention";
import { expose } from "wattention/worker";

expose(wattention, parentPort);
