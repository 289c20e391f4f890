import * as wattention from "wattention";
import { expose } from "wattention/worker";

expose(wattention);
