/** A worker as a user of wattention/worker writes it. */

import * as wattention from "wattention";
import { expose } from "wattention/worker";

expose(wattention);
