// dependency-cruiser over src; a run that sees no modules is a failure, not a pass (some TypeScript versions blind it).
import { execFileSync } from "node:child_process";

const out = execFileSync(
  "node_modules/.bin/depcruise",
  ["src", "--config", ".dependency-cruiser.cjs", "--output-type", "json"],
  { maxBuffer: 1 << 28 },
);
const { summary } = JSON.parse(out);
for (const { rule, from, to } of summary.violations) console.error(`${rule.name}: ${from} -> ${to}`);
console.log(`layers: ${summary.totalCruised} modules, ${summary.error} errors`);
process.exitCode = summary.totalCruised < 20 || summary.error > 0 ? 1 : 0;
