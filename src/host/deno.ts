/** The entry for Deno, which asks for permission to read the file of a module, and not to import JavaScript that holds it. */

import { usePlatform } from "../platform.ts";
import { native, unpacked } from "./native.ts";

usePlatform(native(unpacked, import.meta.url));

export * from "../index.ts";
