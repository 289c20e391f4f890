// examples/worker as its user has it (the packed package, hono and wrangler by name), bundled by wrangler and run in workerd by Miniflare.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join, resolve } from "node:path";
import { unpackPackage } from "../package.mjs";

const hosts = resolve(import.meta.dirname, "..");
const root = resolve(hosts, "../..");
const require = createRequire(join(hosts, "node_modules/wrangler/package.json"));
export const workerdVersion = require("workerd/package.json").version;

/** Copies the example and installs what its package.json names; gives the folder. */
export function install(folder = join(root, "build/worker-example")) {
  rmSync(folder, { recursive: true, force: true });
  const own = /^(node_modules|dist|\.wrangler)$/;
  cpSync(join(root, "examples/worker"), folder, { recursive: true, filter: (path) => !own.test(basename(path)) });
  unpackPackage(folder);
  for (const name of ["wrangler", "typescript"]) {
    const from = [hosts, root].map((at) => join(at, "node_modules", name)).find(existsSync);
    symlinkSync(from, join(folder, "node_modules", name));
  }
  return folder;
}

/** Wrangler without a person and without the network. */
const quiet = { CI: "true", WRANGLER_SEND_METRICS: "false", NO_COLOR: "1", FORCE_COLOR: "0" };

export function wrangler(folder, ...args) {
  const env = { ...process.env, ...quiet };
  const command = [join(folder, "node_modules/wrangler/bin/wrangler.js"), ...args];
  return execFileSync(process.execPath, command, {
    cwd: folder,
    env,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** What `wrangler deploy` would send, and how large wrangler says it is (bytes, whole and after gzip). */
export function bundle(folder, env = "", name = env || "assets", main = undefined) {
  const out = join(folder, "dist", name);
  const entry = main ? [main] : [];
  const said = wrangler(folder, "deploy", ...entry, "--dry-run", "--outdir", out, "--env", env);
  const [, raw, gzip] = /Total Upload: ([\d.]+) KiB \/ gzip: ([\d.]+) KiB/.exec(said);
  return { folder, env, out, main, raw: raw * 1024, gzip: gzip * 1024 };
}

const TYPES = { ".js": "ESModule", ".wasm": "CompiledWasm", ".safetensors": "Data" };

/**
 * One workerd with a bundle in it.
 * @param vars variables and secrets
 * @param persist folder of what is stored; without it, nothing lasts
 * @param pages limit of every linear memory, in pages of 64 KiB: V8 refuses to grow beyond
 */
export async function start({ folder, env, out, main }, { vars = {}, persist, pages, options = {} } = {}) {
  const { Miniflare, convertV4MiniflareOptions, Log, LogLevel } = require("miniflare");
  const { unstable_getMiniflareWorkerOptions } = await import(require.resolve("wrangler"));
  const { workerOptions, main: usual } = unstable_getMiniflareWorkerOptions(
    join(folder, "wrangler.jsonc"),
    env || undefined,
  );
  const entry = `${basename(main ?? usual, ".ts")}.js`;
  const modules = readdirSync(out)
    .sort((a, b) => (b === entry) - (a === entry))
    .flatMap((file) => {
      const type = TYPES[/\.\w+$/.exec(file)?.[0]];
      return type ? [{ type, path: join(out, file) }] : [];
    });
  const before = children();
  const flags = process.env.MINIFLARE_WORKERD_V8_FLAGS;
  if (pages) process.env.MINIFLARE_WORKERD_V8_FLAGS = `--wasm-max-mem-pages=${pages}`;
  const mf = new Miniflare(
    convertV4MiniflareOptions({
      ...workerOptions,
      ...options,
      bindings: { ...workerOptions.bindings, ...vars },
      modules,
      modulesRoot: out,
      port: 0,
      inspectorPort: 0,
      cf: false,
      resourcePersistencePath: persist,
      log: new Log(LogLevel.ERROR),
    }),
  );
  const url = await mf.ready;
  if (flags === undefined) delete process.env.MINIFLARE_WORKERD_V8_FLAGS;
  const [pid] = children().filter((p) => !before.includes(p));
  return { mf, url, pid, stop: () => mf.dispose() };
}

/** Ids of this process's own workerds. */
function children() {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const [, name, parent] = /\((.*)\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"));
        return name === "workerd" && Number(parent) === process.pid;
      } catch {
        return false;
      }
    });
}

/** Milliseconds of processor time that a process has had, all threads together. */
export function cpu(pid) {
  let ns = 0;
  for (const task of readdirSync(`/proc/${pid}/task`))
    ns += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0]);
  return ns / 1e6;
}

/** What V8 says of the worker's heap and array buffers after a collection. */
export async function heap({ mf }) {
  const inspector = await mf.getInspectorURL();
  const targets = await (await fetch(new URL("/json", inspector.href.replace(/^ws/, "http")))).json();
  const target = targets.find(({ id }) => /core:user:/.test(id)) ?? targets[0];
  const socket = new WebSocket(target.webSocketDebuggerUrl);
  await new Promise((resolve, reject) => Object.assign(socket, { onopen: resolve, onerror: reject }));
  let id = 0;
  const call = (method, params = {}) =>
    new Promise((resolve) => {
      const own = ++id;
      const read = ({ data }) => {
        const answer = JSON.parse(data);
        if (answer.id !== own) return;
        socket.removeEventListener("message", read);
        resolve(answer.result);
      };
      socket.addEventListener("message", read);
      socket.send(JSON.stringify({ id: own, method, params }));
    });
  await call("HeapProfiler.enable");
  await call("HeapProfiler.collectGarbage");
  const usage = await call("Runtime.getHeapUsage");
  socket.close();
  return usage;
}
