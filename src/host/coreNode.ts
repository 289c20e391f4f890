/// <reference lib="esnext.disposable" preserve="true" />
/** `wattention/core` for Node and Bun, whose types are those of every host. */

import { usePlatform } from "../platform.ts";
import { node } from "./native.ts";

usePlatform(node(import.meta.url));

export * from "../core.ts";
