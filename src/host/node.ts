/// <reference lib="esnext.disposable" preserve="true" />
/** The entry for Node and Bun, whose types are those of every entry. */

import { usePlatform } from "../platform.ts";
import { node } from "./native.ts";

usePlatform(node(import.meta.url));

export * from "../index.ts";
