/** `wattention/core` for workerd. */

import { usePlatform } from "../platform.ts";
import { workerd } from "./workerd.ts";

usePlatform(workerd);

export * from "../core.ts";
