/** Cloudflare's runtime, through wrangler as its users have it: it finds the `workerd` condition and bundles the module as a module. */

import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const require = createRequire(import.meta.url);

export const workerd = {
  name: "workerd",
  find() {
    const { version } = require("workerd");
    return { version: `${version} (wrangler ${require("wrangler/package.json").version})` };
  },
  contexts: {
    isolate: {
      config: (c) => c,
      async run({ folder, config, log, onEnd }) {
        // Nothing is asked of the network outside.
        process.env.WRANGLER_SEND_METRICS = "false";
        process.env.CLOUDFLARE_CF_FETCH_ENABLED = "false";
        const { unstable_startWorker } = await import("wrangler");
        const state = mkdtempSync(join(tmpdir(), "wattention-workerd-"));
        onEnd(() => rmSync(state, { recursive: true, force: true }));
        const worker = await unstable_startWorker({
          name: "hosts",
          entrypoint: join(folder, "entries/workerd.mjs"),
          projectRoot: folder,
          compatibilityDate: "2026-01-01",
          dev: {
            server: { hostname: "127.0.0.1", port: 0 },
            inspector: false,
            persist: state,
            logLevel: "error",
            watch: false,
          },
        });
        onEnd(() => worker.dispose());
        const response = await worker.fetch("http://suite/", { method: "POST", body: JSON.stringify(config) });
        const text = await response.text();
        if (!response.ok) throw new Error(`${response.status}: ${text.slice(0, 2000)}`);
        log(text);
      },
    },
  },
};
