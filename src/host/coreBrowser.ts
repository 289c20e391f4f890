/** `wattention/core` for browsers. */

import { InputError } from "../errors.ts";
import { usePlatform } from "../platform.ts";
import { inlined } from "./inline.ts";
import { compile, web } from "./web.ts";

usePlatform(
  web(
    async (build) => compile(await inlined(build)),
    () => {
      throw new InputError("wattention/core does not know where the shipped model is: give its URL");
    },
  ),
);

export * from "../core.ts";
