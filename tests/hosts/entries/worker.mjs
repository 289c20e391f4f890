/** A module worker, bundled with code splitting. */

import * as wattention from "wattention";
import * as view from "wattention/view";
import { runSuite } from "../suite/index.mjs";
import { contextOf, reporter } from "./context.mjs";

addEventListener("message", ({ data: config }) =>
  runSuite(contextOf(config, { wattention, view, report: reporter(config), origin: location.origin })),
);
