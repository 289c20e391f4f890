/** `node --import ./trace.mjs …` with TRACE=FILE: the URLs of all modules that the process loaded, as JSON. */
import { writeFileSync } from "node:fs";
import { registerHooks } from "node:module";

const seen = new Set();
registerHooks({
  load(url, context, next) {
    seen.add(url);
    return next(url, context);
  },
});
process.on("exit", () => writeFileSync(process.env.TRACE, JSON.stringify([...seen])));
