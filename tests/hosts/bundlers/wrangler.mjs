// wrangler, which bundles for Cloudflare Workers and runs what it bundled in workerd.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

const bin = join(import.meta.dirname, "../node_modules/wrangler/bin/wrangler.js");
const env = { ...process.env, CI: "1", WRANGLER_SEND_METRICS: "false", NO_COLOR: "1", FORCE_COLOR: "0" };
const warningsIn = (text) => text.match(/^.*(warn|✘|▲|ERROR).*$/gim) ?? [];

/** What `wrangler deploy --dry-run` would send: { warnings, files, bytes, gzip }. */
export async function dryRun(app, out) {
  const args = [bin, "deploy", "--dry-run", "--outdir", out];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { cwd: app, env, timeout: 120_000 });
  const [, total, gzip] = /Total Upload: ([\d.]+) KiB \/ gzip: ([\d.]+) KiB/.exec(stdout);
  const files = readdirSync(out).filter((file) => /\.(js|wasm)$/.test(file)).length;
  return {
    warnings: warningsIn(stdout + stderr),
    files,
    bytes: Math.round(+total * 1024),
    gzip: Math.round(+gzip * 1024),
  };
}

/** Runs the app under `wrangler dev`: { origin, close(), warnings }. */
export async function dev(app) {
  const args = [
    bin,
    "dev",
    "--ip",
    "127.0.0.1",
    "--port",
    "0",
    "--inspector-port",
    "0",
    "--show-interactive-dev-session=false",
  ];
  // A group of its own, so that workerd ends with it.
  const child = spawn(process.execPath, args, { cwd: app, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
  const lines = [];
  const ended = once(child, "exit");
  const close = async () => {
    if (child.exitCode === null) process.kill(-child.pid, "SIGTERM");
    await ended;
  };
  const origin = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`wrangler dev is not ready:\n${lines.join("\n")}`)), 60_000);
    ended.then(() => reject(new Error(`wrangler dev has ended:\n${lines.join("\n")}`)));
    for (const stream of [child.stdout, child.stderr])
      createInterface(stream).on("line", (line) => {
        lines.push(line);
        const [ready, url] = /Ready on (http:\S+)/.exec(line) ?? [];
        if (ready) resolve(url);
      });
    ended.finally(() => clearTimeout(timer));
  }).catch(async (error) => {
    await close();
    throw error;
  });
  // It asks Cloudflare where it is, which a machine without a network cannot; the bundle has nothing to do with that.
  const warnings = () =>
    warningsIn(lines.filter((line) => !/Request\.cf|workers\.cloudflare\.com/.test(line)).join("\n"));
  return { origin, warnings, close };
}
