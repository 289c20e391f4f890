import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const node = here("../../build/arm64/node");
const libraries = process.env.QEMU_LD_PREFIX ?? "/usr/aarch64-linux-gnu";
const qemu = ["qemu-aarch64-static", "qemu-aarch64"].find((name) => spawnSync(name, ["--version"]).status === 0);

/** A core without dotprod, and one that has all that QEMU knows: V8 lowers dot products in two ways. */
export const PROCESSORS = ["cortex-a72", "max"] as const;

/** Why nothing can be emulated here; undefined: it can. */
export const obstacle =
  (!qemu && "no qemu-aarch64: apt-get install qemu-user-static") ||
  (!existsSync(libraries) &&
    `no arm64 libraries in ${libraries}: apt-get install libc6-arm64-cross libstdc++6-arm64-cross libatomic1-arm64-cross`) ||
  (!existsSync(node) && "no arm64 Node: node tests/arm64/fetch.mjs") ||
  undefined;

/** A model by the package as built: texts to vectors, or ids to last_hidden_state. */
export interface ModelJob {
  entry: string;
  folder: string;
  texts?: string[];
  ids?: number[][];
  options?: { dtype?: string; deterministic?: boolean };
}

/** Exports of a module, called on a memory that holds `image` at byte `at`; the result is the bytes from `out[0]` to `out[1]`. */
export interface ModuleJob {
  wasm: string;
  pages: number;
  image: string;
  at: number;
  calls: [name: string, ...args: number[]][];
  out: [number, number];
}

/** Bytes that each job gives, on this machine's processor or on an emulated one. */
export function run(jobs: readonly (ModelJob | ModuleJob)[], processor?: (typeof PROCESSORS)[number]): Buffer[] {
  const command = processor ? [qemu!, "-cpu", processor, "-L", libraries, node] : [process.execPath];
  const folder = mkdtempSync(`${tmpdir()}/wattention-arm64-`);
  try {
    // A file in place of a pipe: what is read at once from a pipe may end early under emulation.
    writeFileSync(`${folder}/jobs.json`, JSON.stringify(jobs));
    const { stdout, stderr, status } = spawnSync(
      "sh",
      ["-c", `exec "$@" < ${folder}/jobs.json`, "sh", ...command, here("job.mjs")],
      {
        encoding: "utf8",
        maxBuffer: 1 << 28,
      },
    );
    if (status !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
    const { arch, results } = JSON.parse(stdout) as { arch: string; results: string[] };
    if (arch !== (processor ? "arm64" : process.arch)) throw new Error(`ran on ${arch}`);
    return results.map((text) => Buffer.from(text, "base64"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
