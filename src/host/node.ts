/// <reference lib="esnext.disposable" preserve="true" />
/** The entry for Node and Bun, whose types are those of every entry. */

import { usePlatform } from "../platform.ts";
import { native, unpacked } from "./native.ts";
import { fileSystem } from "./nodeFiles.ts";

usePlatform(
  native(
    async (build) => {
      try {
        // The file beside this one, where there is one: no bundler moves it.
        return (await fileSystem()).readFileSync(new URL(`../wasm/${build}.wasm`, import.meta.url));
      } catch {
        return unpacked(build);
      }
    },
    import.meta.url,
  ),
);

export * from "../index.ts";
