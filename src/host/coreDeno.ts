/** `wattention/core` for Deno. */

import { usePlatform } from "../platform.ts";
import { native, unpacked } from "./native.ts";

usePlatform(native(unpacked, import.meta.url));

export * from "../core.ts";
