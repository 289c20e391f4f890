/** Files through node:fs, as Node, Deno and Bun have it. */

import { type FileHandle, open, stat } from "node:fs/promises";
import { basename, dirname, isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";
import { InputError, MissingFileError } from "../errors.ts";
import type { ModelFolder } from "../format/source.ts";
import type { ByteReader } from "../platform.ts";

/** Linux reads no more than this at once. */
const MOST = 2 ** 30;

/**
 * The folder at `path` (or `file:` URL), or the one around it where it is a weights file; undefined where nothing is.
 * @throws InputError where the host does not let us look (Deno without --allow-read) and the path can be nothing else
 */
export async function nodeFolder(path: string): Promise<ModelFolder | undefined> {
  let file = path;
  let directory: boolean;
  try {
    if (path.startsWith("file:")) file = fileURLToPath(path.replace(/[?#].*/, ""));
    directory = (await stat(file)).isDirectory();
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
  let handle: FileHandle | undefined;
  try {
    handle = await open(path);
    const about = await handle.stat();
    if (!about.isDirectory()) return reader(handle, about.isFile() ? about.size : undefined);
    await handle.close();
  } catch (cause) {
    await handle?.close();
    const { code } = cause as NodeJS.ErrnoException;
    if (!["ENOENT", "ENOTDIR", "EISDIR", "ENAMETOOLONG"].includes(code!))
      throw new MissingFileError(name, folder, { cause });
  }
}

function reader(handle: FileHandle, size?: number): ByteReader {
  let open: FileHandle | undefined = handle;
  return {
    size,
    async read(into) {
      let n = 0;
      while (open && n < into.length) {
        const { bytesRead } = await open.read(into, n, Math.min(into.length - n, MOST));
        if (!bytesRead) break;
        n += bytesRead;
      }
      return n;
    },
    async close() {
      const closing = open;
      open = undefined;
      await closing?.close();
    },
  };
}
