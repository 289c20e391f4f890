// shared/conformance/run.mjs on the built package: every case must hold, but those of families that the package does not have yet, which
// it must refuse by name. Arguments go to run.mjs.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const run = "../shared/conformance/run.mjs";
if (!existsSync(run)) {
  console.log(`conformance skipped: there is no ${run}`);
  process.exit(0);
}
const json = join(mkdtempSync(join(tmpdir(), "wattention-")), "rows.json");
const args = [run, "dist/host/node.js", ...process.argv.slice(2), "--json", json];
const { stderr } = spawnSync(process.execPath, args, { encoding: "utf8", maxBuffer: 1 << 28 });
if (!existsSync(json)) throw new Error(stderr);
const rows = JSON.parse(readFileSync(json, "utf8"));
const missing = rows.filter((r) => !r.ok && r.note?.startsWith("UnsupportedModelError"));
const failed = rows.filter((r) => !r.ok && !missing.includes(r));
for (const r of rows.filter((r) => r.ok)) console.log(`ok    ${r.suite} ${r.name} ${r.worst.toExponential(1)}`);
for (const r of missing) console.log(`later ${r.suite} ${r.name}: ${r.note.slice(0, 60)}`);
for (const r of failed) console.log(`FAIL  ${r.suite} ${r.name}: ${r.note} ${r.worst ?? ""}`);
console.log(
  `conformance: ${rows.length - missing.length - failed.length} hold, ${missing.length} of families to come, ${failed.length} do not hold`,
);
if (failed.length || rows.length === missing.length) process.exitCode = 1;
