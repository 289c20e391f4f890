/** workerd: the suite runs within one request, whose body is the config. */

import * as wattention from "wattention";
import * as view from "wattention/view";
import module from "wattention/wasm/simd.wasm"; // wrangler knows a module by the name's end
import { runSuite } from "../suite/index.mjs";
import { contextOf, reporter } from "./context.mjs";

export default {
  async fetch(request) {
    const config = await request.json();
    // Nothing is compiled at run time here.
    const wasm = () => ({ "a WebAssembly.Module": () => module });
    await runSuite(contextOf(config, { wattention, view, wasm, report: reporter(config), noShipped: "InputError" }));
    return new Response("done");
  },
};
