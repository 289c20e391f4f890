/** Hosts that are one process: Node, Deno, Bun. */

import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../../..");
const modules = join(root, "tests/hosts/node_modules");

/** Runs an entry and reads its reports from stdout. */
const run =
  (command, args, entry) =>
  async ({ folder, config, report, log, onEnd }) => {
    const flags = typeof args === "function" ? args({ folder, config }) : args;
    const child = spawn(command, [...flags, join(folder, "entries", entry), JSON.stringify(config)], {
      cwd: folder,
      env: { ...process.env, NODE_OPTIONS: "", DENO_NO_UPDATE_CHECK: "1" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    onEnd(() => child.kill("SIGKILL"));
    let rest = "";
    child.stdout.setEncoding("utf8").on("data", (text) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop();
      for (const line of lines) line.startsWith("@@") ? report(JSON.parse(line.slice(2))) : log(line);
    });
    child.stderr.setEncoding("utf8").on("data", log);
    await new Promise((done, failed) => {
      child.on("error", failed);
      child.on("close", (code, signal) => (code ? failed(new Error(`exit code ${code ?? signal}`)) : done()));
    });
  };

const versionOf = (command, ...args) => {
  if (!existsSync(command)) return { absent: `${command} is not there` };
  const { stdout, stderr, status } = spawnSync(command, args, { encoding: "utf8", timeout: 60_000 });
  return status ? { absent: `${command} ${args.join(" ")}: ${stderr}` } : { version: stdout.trim() };
};

/** With files and the server. */
const whole = (config) => ({ ...config, files: root, shipped: true, connect: true });

const node = (name, command) => ({
  name,
  find: () => versionOf(command, "--version"),
  contexts: {
    main: { config: whole, run: run(command, [], "process.mjs") },
    thread: { config: whole, run: run(command, [], "threads.mjs") },
  },
});

const deno = join(modules, ".bin/deno");
const bun = join(modules, ".bin/bun");

/** What may be read: the model's files, and what a worker is of, which Deno does not start otherwise. */
const reading = ({ folder }, ...worker) => {
  const models = ["models", "tests/fixtures", "dist"].map((path) => join(root, path));
  const own = ["node_modules/wattention/dist/shipped", ...worker].map((path) => join(folder, path));
  return `--allow-read=${[...models, ...own].join(",")}`;
};
const reaching = ({ config }) => `--allow-net=${new URL(config.server).host}`;
const strict = ["run", "--no-prompt", "--no-remote", "--node-modules-dir=manual"];

export const processes = [
  node("node-20", join(modules, "node-v20/bin/node")),
  node("node-22", join(modules, "node-v22/bin/node")),
  node("node-24", join(root, "node_modules/node/bin/node")),
  {
    name: "deno",
    find: () => versionOf(deno, "--version"),
    contexts: {
      "only --allow-read": {
        config: ({ server, ...c }) => whole(c),
        run: run(deno, (c) => [...strict, reading(c, "entries/exposed.mjs")], "process.mjs"),
      },
      "only --allow-net": {
        config: (c) => ({ ...c, noShipped: "InputError" }),
        run: run(deno, (c) => [...strict, reaching(c)], "process.mjs"),
      },
      worker: {
        config: whole,
        run: run(deno, (c) => [...strict, reading(c, "entries", "suite"), reaching(c)], "threads.mjs"),
      },
    },
  },
  {
    name: "bun",
    find: () => versionOf(bun, "--version"),
    contexts: {
      main: { config: whole, run: run(bun, [], "process.mjs") },
      worker: { config: whole, run: run(bun, [], "threads.mjs") },
    },
  },
];
