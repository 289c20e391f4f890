// examples/worker under workerd: its own test, then what only measuring shows (worker-example/*.mjs). `node tests/hosts/worker-example.mjs`
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { bundle, install, workerdVersion } from "./worker-example/harness.mjs";
import * as load from "./worker-example/load.mjs";
import * as size from "./worker-example/size.mjs";
import * as start from "./worker-example/start.mjs";

/** The example's own test, as `npm test` runs it. */
function own({ folder }) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(folder, "test.mjs")], {
    encoding: "utf8",
    timeout: 300_000,
  });
  if (status !== 0) throw new Error(`${stdout.slice(-1000)}${stderr.slice(-3000)}`);
  return { checks: stdout.match(/^ok /gm).length, figures: {} };
}

const parts = { "npm test": own, size: size.run, "start and sources": start.run, load: load.run };

/** @returns rows { name, version, checks, ok, error?, figures } */
export async function run() {
  const folder = install();
  const bundles = { assets: bundle(folder), bundled: bundle(folder, "bundled"), r2: bundle(folder, "r2") };
  const rows = [];
  for (const [part, test] of Object.entries(parts)) {
    const row = { name: `worker example: ${part}`, version: `workerd ${workerdVersion}`, checks: 0, ok: true };
    try {
      Object.assign(row, await test({ folder, bundles }));
    } catch (error) {
      Object.assign(row, { ok: false, error: error.stack ?? String(error) });
    }
    rows.push(row);
  }
  return rows;
}

if (import.meta.main ?? process.argv[1] === import.meta.filename) {
  const rows = await run();
  for (const { name, version, checks, ok, error, figures = {} } of rows) {
    console.log(`${ok ? "ok" : "FAILED"} ${name} (${version}): ${checks} checks`);
    for (const [what, value] of Object.entries(figures)) console.log(`     ${what}: ${value}`);
    if (error) console.log(error);
  }
  process.exitCode = rows.every((row) => row.ok) ? 0 : 1;
}
