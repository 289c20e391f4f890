/** The main thread of a page, with the package unbundled: an import map finds it. */

import * as wattention from "wattention";
import * as view from "wattention/view";
import { connect } from "wattention/worker";
import { runSuite } from "../suite/index.mjs";
import { contextOf, reporter } from "./context.mjs";

const config = {
  ...(await (await fetch("/app/config.json")).json()),
  id: new URLSearchParams(location.search).get("id"),
};
await runSuite(
  contextOf(config, {
    wattention,
    view,
    report: reporter(config),
    origin: location.origin,
    shipped: true,
    connect: async () => connect(new Worker("/app/bundled/exposed.js", { type: "module" })),
  }),
);
