// `npm run deploy`: deploys where wrangler is logged in, else shows what it would deploy. Arguments go to wrangler (`-- --env r2`).
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const wrangler = (stdio, ...args) =>
  spawnSync(
    process.execPath,
    [fileURLToPath(import.meta.resolve("wrangler/package.json").replace(/package\.json$/, "bin/wrangler.js")), ...args],
    { stdio },
  );
const own = process.argv.slice(2);
const env = own.some((arg) => arg.startsWith("--env") || arg === "-e") ? own : ["--env=", ...own];
const known = process.env.CLOUDFLARE_API_TOKEN || wrangler("ignore", "whoami", "--json").status === 0;
if (!known) console.log("wrangler is not logged in (`npx wrangler login`): a dry run");
process.exitCode = wrangler("inherit", "deploy", ...env, ...(known ? [] : ["--dry-run"])).status ?? 1;
