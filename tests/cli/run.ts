import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";

export const root = fileURLToPath(new URL("../..", import.meta.url));
export const main = `${root}dist/cli/main.js`;
if (!existsSync(main)) throw new Error("these tests run the built command line: npm run build");

export const fixtures = `${root}tests/fixtures/tasks`;

export interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  /** What standard input gives; it is at its end at once if left out. */
  input?: string | Uint8Array;
  env?: Record<string, string>;
  /** After the first output. */
  kill?: NodeJS.Signals;
}

/** Runs the built command line as a user does. */
export function wattention(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return runBytes(args, options).then(({ stdout, ...rest }) => ({ ...rest, stdout: stdout.toString("utf8") }));
}

export function runBytes(
  args: readonly string[],
  { input = "", env, kill }: RunOptions = {},
): Promise<Omit<Ran, "stdout"> & { stdout: Buffer }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [main, ...args], {
      cwd: root,
      env: { ...process.env, NO_COLOR: "1", ...env },
    });
    const out: Buffer[] = [];
    let stderr = "";
    child.stdout.on("data", (chunk) => {
      if (kill && !out.length) child.kill(kill);
      out.push(chunk);
    });
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout: Buffer.concat(out), stderr }));
    child.stdin.on("error", () => {}); // a command that fails early reads nothing
    child.stdin.end(input);
  });
}

/** A folder for one test file, gone afterwards. */
export function folder(): (name: string) => string {
  const path = mkdtempSync(join(tmpdir(), "wattention-"));
  afterAll(() => rmSync(path, { recursive: true, force: true }));
  return (name) => join(path, name);
}
