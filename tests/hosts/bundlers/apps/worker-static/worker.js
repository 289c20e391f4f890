import * as wattention from "wattention/service-worker";
import { expose } from "wattention/worker";

expose(wattention);
