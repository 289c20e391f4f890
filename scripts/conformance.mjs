// shared/conformance/run.mjs on the built package: every case must hold, but those that nobody can know. Then the same models in 8 and 4 bits: how far they are off, by family. Arguments go to run.mjs.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UNKNOWABLE } from "../tests/conformance/unknowable.mjs";

const run = "../shared/conformance/run.mjs";
if (!existsSync(run)) {
  console.log(`conformance skipped: there is no ${run}`);
  process.exit(0);
}
const models = "../shared/conformance/models";
const json = join(mkdtempSync(join(tmpdir(), "wattention-")), "rows.json");

/** What run.mjs says of an entry, case by case. */
function conformance(entry, args, dtype) {
  const env = { ...process.env, WATTENTION_DTYPE: dtype };
  rmSync(json, { force: true });
  const { stderr } = spawnSync(process.execPath, [run, entry, ...args, "--json", json], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
    env,
  });
  if (!existsSync(json)) throw new Error(stderr);
  return JSON.parse(readFileSync(json, "utf8"));
}

const rows = conformance("dist/host/node.js", process.argv.slice(2));
const unknowable = rows.filter((r) => !r.ok && UNKNOWABLE.includes(r.name));
const failed = rows.filter((r) => !r.ok && !unknowable.includes(r));
for (const r of rows.filter((r) => r.ok)) console.log(`ok    ${r.suite} ${r.name} ${r.worst.toExponential(1)}`);
for (const r of unknowable)
  console.log(`-     ${r.suite} ${r.name}: not in its files (tests/conformance/unknowable.mjs)`);
for (const r of failed) console.log(`FAIL  ${r.suite} ${r.name}: ${r.note} ${r.worst ?? ""}`);
console.log(
  `conformance: ${rows.length - unknowable.length - failed.length} hold, ${unknowable.length} unknowable, ${failed.length} do not hold`,
);
if (failed.length || rows.length === unknowable.length) process.exitCode = 1;

if (process.argv.length > 2) process.exit();
const families = {};
for (const dtype of ["q8", "q8-exact", "q4"])
  for (const { name, worst } of conformance(
    "scripts/conformance-dtype.mjs",
    ["--models", models, "--real", "../shared/models"],
    dtype,
  )) {
    if (worst === undefined || UNKNOWABLE.includes(name)) continue;
    const config = join(existsSync(join(models, name)) ? models : "../shared/models", name, "config.json");
    const family = existsSync(config) ? JSON.parse(readFileSync(config, "utf8")).model_type : name;
    const own = existsSync(join(models, name)) ? family : `${family} (${name})`;
    families[own] ??= { q8: [], "q8-exact": [], q4: [] };
    families[own][dtype].push(worst ?? Number.POSITIVE_INFINITY); // JSON has no Infinity: another token was chosen
  }
console.log(
  "\nquantised: the largest difference over the largest number of an output, worst and mean of a family's cases; of words and stories how many differ; tokens: greedy ones differ",
);
for (const [family, by] of Object.entries(families)) {
  const cells = Object.entries(by).map(([dtype, all]) => {
    const mean = all.reduce((a, b) => a + b) / all.length;
    const figures = [Math.max(...all), mean].map((x) =>
      x === Number.POSITIVE_INFINITY ? "tokens " : x.toExponential(1),
    );
    return `${dtype} ${figures.join(" ")}`;
  });
  console.log(`${family.padEnd(34)} ${String(by.q8.length).padStart(2)} cases  ${cells.join("   ")}`);
}
