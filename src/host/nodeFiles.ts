/** Files through node:fs, as Node, Deno and Bun have it. */

import type { Stats } from "node:fs";
import { basename, dirname, isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";
import { InputError, MissingFileError } from "../errors.ts";
import type { ModelFolder } from "../format/source.ts";
import type { ByteReader } from "../platform.ts";

/** Linux reads no more than this at once. */
const MOST = 2 ** 30;
/** Reads below this many bytes are served from a block of that many, read ahead. */
const AHEAD = 1 << 17;

/** node:fs without its streams and promises, which come with an `import` of it and take 10 ms. */
export const fileSystem = async (): Promise<typeof import("node:fs")> =>
  process.getBuiltinModule?.("node:fs") ?? import("node:fs");

/** One of its calls as a promise. */
async function done<T = void>(
  call: (fs: typeof import("node:fs"), then: (error: Error | null, value?: T) => void) => void,
): Promise<T> {
  const fs = await fileSystem();
  return new Promise((resolve, reject) => call(fs, (error, value) => (error ? reject(error) : resolve(value as T))));
}

/**
 * The folder at `path` (or `file:` URL), or the one around it where it is a weights file; undefined where nothing is.
 * @throws InputError where the host does not let us look (Deno without --allow-read) and the path can be nothing else
 */
export async function nodeFolder(path: string): Promise<ModelFolder | undefined> {
  let file = path;
  let directory: boolean;
  try {
    if (path.startsWith("file:")) file = fileURLToPath(path.replace(/[?#].*/, ""));
    directory = (await done<Stats>((fs, then) => fs.stat(file, then))).isDirectory();
  } catch (cause) {
    const { name, code, message } = cause as NodeJS.ErrnoException;
    const refused = name === "NotCapable" || ["EACCES", "EPERM", "ERR_ACCESS_DENIED"].includes(code!);
    // A hub id is to be had even where no file may be read.
    if (refused && (isAbsolute(file) || /^(\.|file:)/.test(path)))
      throw new InputError(`"${path}" cannot be read: ${message}`, { cause });
    return;
  }
  const root = directory ? file : dirname(file);
  return {
    name: path,
    weights: directory ? undefined : [basename(file)],
    open: (name) => openFile(join(root, name), name, path),
  };
}

async function openFile(path: string, name: string, folder: string): Promise<ByteReader | undefined> {
  let fd: number | undefined;
  try {
    const opened = await done<number>((fs, then) => fs.open(path, then));
    fd = opened;
    const about = await done<Stats>((fs, then) => fs.fstat(opened, then));
    if (!about.isDirectory()) return reader(fd, about.isFile() ? about.size : undefined);
    await done((fs, then) => fs.close(opened, then));
  } catch (cause) {
    if (fd !== undefined) await done((fs, then) => fs.close(fd!, then));
    const { code } = cause as NodeJS.ErrnoException;
    if (!["ENOENT", "ENOTDIR", "EISDIR", "ENAMETOOLONG"].includes(code!))
      throw new MissingFileError(name, folder, { cause });
  }
}

function reader(fd: number, size?: number): ByteReader {
  let open = true;
  /** Bytes of the file that were asked for by nobody yet. */
  let ahead = new Uint8Array(0);
  let block: Uint8Array<ArrayBuffer> | undefined;
  let at = 0;
  const next = async (into: Uint8Array) => {
    const n = await done<number>((fs, then) => fs.read(fd, into, 0, Math.min(into.length, MOST), null, then));
    at += n;
    return n;
  };
  return {
    size,
    async read(into) {
      let n = 0;
      while (open && n < into.length) {
        const left = into.length - n;
        if (ahead.length) {
          const part = ahead.subarray(0, left);
          ahead = ahead.subarray(part.length);
          into.set(part, n);
          n += part.length;
          continue;
        }
        // What is large goes straight to its place, and so does the rest of a file.
        const direct = left >= AHEAD || at + left >= (size ?? 0);
        block ??= direct ? undefined : new Uint8Array(AHEAD);
        const bytes = await next(direct ? into.subarray(n) : block!);
        if (!bytes) break;
        if (direct) n += bytes;
        else ahead = block!.subarray(0, bytes);
      }
      return n;
    },
    async close() {
      if (!open) return;
      open = false;
      await done((fs, then) => fs.close(fd, then));
    },
  };
}
