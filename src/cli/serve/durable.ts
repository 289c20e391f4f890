import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { FormatError, InputError } from "../../errors.ts";
import type { FoundDocument, IndexInfo, StoredDocument, Stores, VectorStore } from "../../server/index.ts";
import { MemoryStore } from "../../server/index.ts";
import { lock } from "./lock.ts";
import { encode, readAll } from "./records.ts";

type FileHandle = Awaited<ReturnType<typeof open>>;

/** What a file's first record says. */
interface Head extends IndexInfo {
  version: number;
}

type Change =
  | { readonly put: readonly StoredDocument[]; readonly vectors: readonly Float32Array[] }
  | { readonly remove: readonly string[] };

interface Waiting {
  readonly change: Change;
  readonly record: Uint8Array;
  resolve(removed: number): void;
  reject(error: unknown): void;
}

const VERSION = 1;
/** A file is written anew when it is larger than this and more than half of its documents are gone. */
const WASTE = 1 << 20;
/** Bytes of a file: Node reads no longer one at once. */
const MOST = 2 ** 31 - 1;
/** Documents of a record, when a file is written anew. */
const PART = 256;

const recordOf = (documents: readonly StoredDocument[], vectors: readonly Float32Array[], dim: number) => {
  const numbers = new Float32Array(documents.length * dim);
  for (const [i, v] of vectors.entries()) numbers.set(v, i * dim);
  return encode({ put: documents }, numbers);
};

/** A folder's entries are on disk once the folder is. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * An index that lasts: documents and vectors in memory, and every change in a file that only grows. A change is on disk (fsync) before it is
 * acknowledged or seen; those that wait together are written and synced together.
 */
export class DurableStore implements VectorStore {
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;
  /** Whether the file could not be written anew: it goes on as it is. */
  #stuck = false;
  /** Set when a write failed such that nobody knows what is on disk. */
  #broken: unknown;

  private constructor(
    readonly file: string,
    readonly folder: string,
    readonly info: IndexInfo,
    readonly memory: MemoryStore,
    private handle: FileHandle,
    /** Bytes of whole records. */
    private bytes: number,
    /** Documents that the file holds, those replaced and removed too. */
    private written: number,
  ) {}

  /** @throws FormatError if the file is damaged or another's, InputError if another model made it */
  static async open(folder: string, name: string, info: IndexInfo, create: boolean): Promise<DurableStore | undefined> {
    const file = join(folder, `${name}.log`);
    const bytes = await readFile(file).catch((error) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
    if (!bytes && !create) return;
    const memory = await MemoryStore.create(info.dim);
    try {
      const head: Head = { version: VERSION, ...info };
      const records = readAll(bytes ?? new Uint8Array(0), file);
      let written = 0;
      let first: Head | undefined;
      let step = records.next();
      for (; !step.done; step = records.next()) {
        const { json, numbers, at } = step.value;
        if (!first) {
          first = json as Head;
          if (first.version !== VERSION)
            throw new FormatError(file, `is of version ${first.version}, not ${VERSION}`, at);
          if (first.model !== info.model || first.dim !== info.dim)
            throw new InputError(
              `${file} was made by ${first.model} (${first.dim} numbers), not by ${info.model} (${info.dim})`,
            );
        } else
          written += await replay(memory, json, numbers, info.dim, () => new FormatError(file, "holds no change", at));
      }
      const end = step.value;
      // A head that was cut short is the start of one. What is neither is somebody else's file.
      if (bytes && !first && !bytes.equals(encode(head).subarray(0, bytes.length)))
        throw new FormatError(file, "is no index", 0);
      const handle = await open(file, bytes ? "r+" : "wx+");
      const store = new DurableStore(file, folder, info, memory, handle, end, written);
      try {
        if (end < (bytes?.length ?? 0)) await handle.truncate(end);
        if (!first) await store.#append(encode(head));
        await handle.sync();
        await syncFolder(folder);
        await store.#compact();
      } catch (error) {
        await handle.close();
        throw error;
      }
      return store;
    } catch (error) {
      memory.dispose();
      throw error;
    }
  }

  size(): number {
    return this.memory.size();
  }

  search(queries: readonly Float32Array[], top_k: number, signal?: AbortSignal): Promise<FoundDocument[][]> {
    return this.memory.search(queries, top_k, signal);
  }

  async put(documents: readonly StoredDocument[], vectors: readonly Float32Array[]): Promise<void> {
    const { dim } = this.info;
    // What the index would refuse must not come to stand in the file.
    const bad = vectors.findIndex((v) => v.length !== dim || !v.every(Number.isFinite));
    if (bad >= 0) throw new InputError(`the vector of ${documents[bad].id} is not ${dim} finite numbers`);
    const record = recordOf(documents, vectors, dim);
    if (this.bytes + record.length > MOST) throw new InputError(`${this.file} is full`);
    await this.#change({ put: documents, vectors }, record);
  }

  remove(ids: readonly string[]): Promise<number> {
    return this.#change({ remove: ids }, encode({ remove: ids }));
  }

  #change(change: Change, record: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ change, record, resolve, reject });
      this.#writing ??= this.#write();
    });
  }

  async #write(): Promise<void> {
    await undefined; // what is called for in one turn goes together
    while (this.#waiting.length) {
      const group = this.#waiting;
      this.#waiting = [];
      try {
        if (this.#broken) throw this.#broken;
        await this.#append(Buffer.concat(group.map(({ record }) => record)));
        for (const { change, resolve } of group) resolve(await this.#apply(change));
        await this.#compact();
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    this.#writing = undefined; // with the last look at what waits: who comes now begins anew
  }

  /** Writes records and waits until they are on disk. What could be written in part is cut off again. */
  async #append(records: Uint8Array): Promise<void> {
    try {
      for (let done = 0; done < records.length; ) {
        const { bytesWritten } = await this.handle.write(records, done, records.length - done, this.bytes + done);
        done += bytesWritten;
      }
      await this.handle.datasync();
    } catch (error) {
      // After a failed sync nobody knows what is on disk (https://wiki.postgresql.org/wiki/Fsync_Errors): the file is read again at the next start.
      this.#broken = error;
      await this.handle.truncate(this.bytes).catch(() => {});
      throw error;
    }
    this.bytes += records.length;
  }

  async #apply(change: Change): Promise<number> {
    if ("remove" in change) return this.memory.remove(change.remove);
    await this.memory.put(change.put, change.vectors);
    this.written += change.put.length;
    return 0;
  }

  /** Writes the file anew, without what is gone, beside the old one, and puts it in its place. */
  async #compact(): Promise<void> {
    if (this.#stuck || this.bytes < WASTE || this.written < 2 * this.size()) return;
    const next = `${this.file}.new`;
    const handle = await open(next, "w+");
    let bytes = 0;
    try {
      const write = async (record: Uint8Array) => {
        await handle.writeFile(record);
        bytes += record.length;
      };
      await write(encode({ version: VERSION, ...this.info }));
      const documents = [...this.memory.documents()];
      for (let i = 0; i < documents.length; i += PART) {
        const part = documents.slice(i, i + PART);
        const vectors = part.map(({ id }) => this.memory.index.get(id)!);
        await write(recordOf(part, vectors, this.info.dim));
      }
      await handle.sync();
      await rename(next, this.file);
    } catch {
      this.#stuck = true;
      await handle.close();
      await rm(next, { force: true });
      return;
    }
    const old = this.handle;
    this.handle = handle;
    this.bytes = bytes;
    this.written = this.size();
    await old.close();
    await syncFolder(this.folder).catch((error) => {
      this.#broken = error; // a machine that stops now may come back with the old file
    });
  }

  /** Waits for what is being written. */
  async close(): Promise<void> {
    await this.#writing;
    this.#broken = new InputError("the index is closed");
    await this.handle.close();
    this.memory.dispose();
  }
}

/** Does again what a record says; tells how many documents it holds. */
async function replay(
  memory: MemoryStore,
  json: unknown,
  numbers: Float32Array,
  dim: number,
  wrong: () => FormatError,
): Promise<number> {
  const { put, remove } = (json ?? {}) as { put?: StoredDocument[]; remove?: string[] };
  if (remove) await memory.remove(remove);
  else if (!put || numbers.length !== put.length * dim) throw wrong();
  else
    await memory.put(
      put,
      put.map((_, i) => numbers.subarray(i * dim, (i + 1) * dim)),
    );
  return put?.length ?? 0;
}

/** Indexes in the files of a folder, which one process has at a time. */
export async function durableStores(folder: string): Promise<Stores & { close(): Promise<void> }> {
  await mkdir(folder, { recursive: true });
  const unlock = await lock(folder);
  /** What is known of each name, by the last thing that was done with it: things done with one name wait for each other. */
  const stores = new Map<string, Promise<DurableStore | undefined>>();
  const next = (name: string, work: (store?: DurableStore) => Promise<DurableStore | undefined>) => {
    const before = stores.get(name)?.catch(() => undefined) ?? Promise.resolve(undefined);
    const after = before.then(work);
    stores.set(name, after);
    return after;
  };
  return {
    open: (name, info, create) =>
      next(name, async (store) => store ?? (await DurableStore.open(folder, name, info, create))),
    async list() {
      const files = await readdir(folder);
      return files.filter((file) => file.endsWith(".log")).map((file) => file.slice(0, -4));
    },
    async drop(name) {
      let there = true;
      await next(name, async (store) => {
        await store?.close();
        await rm(join(folder, `${name}.log`)).catch((error) => {
          if (error.code !== "ENOENT") throw error;
          there = false;
        });
        await syncFolder(folder);
        return undefined;
      });
      return there;
    },
    async close() {
      for (const store of stores.values()) await (await store.catch(() => undefined))?.close();
      await unlock();
    },
  };
}
