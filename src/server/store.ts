import { VectorIndex } from "../tasks/vectorIndex.ts";
import { Tensor } from "../tensor.ts";

export interface StoredDocument {
  readonly id: string;
  readonly text: string;
  /** Given back as it came. */
  readonly metadata?: Readonly<Record<string, unknown>>;
}

export interface FoundDocument extends StoredDocument {
  /** Cosine with the query. */
  readonly score: number;
}

/** Documents by their vectors. */
export interface VectorStore {
  size(): number | Promise<number>;
  /** Adds documents, or puts them in the place of those with the same id. Once it resolves they are as safe as the store makes them. */
  put(documents: readonly StoredDocument[], vectors: readonly Float32Array[]): Promise<void>;
  /** Says how many there were. */
  remove(ids: readonly string[]): Promise<number>;
  /** The nearest of each query, best first. */
  search(queries: readonly Float32Array[], top_k: number, signal?: AbortSignal): Promise<FoundDocument[][]>;
}

/** What an index holds: its vectors mean nothing to another model. */
export interface IndexInfo {
  readonly model: string;
  readonly dim: number;
}

/** Where indexes live. */
export interface Stores {
  /** An index by its name ([A-Za-z0-9] and then up to 63 of [A-Za-z0-9._-]). One that is not there is made if `create`. */
  open(name: string, info: IndexInfo, create: boolean): Promise<VectorStore | undefined>;
  list(): Promise<readonly string[]>;
  /** Says whether there was one. */
  drop(name: string): Promise<boolean>;
}

const matrix = (rows: readonly Float32Array[], dim: number): Tensor => {
  const data = new Float32Array(rows.length * dim);
  for (const [i, row] of rows.entries()) data.set(row, i * dim);
  return new Tensor(data, [rows.length, dim]);
};

/** Exact search in memory. */
export class MemoryStore implements VectorStore {
  readonly #documents = new Map<string, StoredDocument>();

  private constructor(readonly index: VectorIndex) {}

  static async create(dim: number): Promise<MemoryStore> {
    return new MemoryStore(await VectorIndex.create(dim));
  }

  size(): number {
    return this.#documents.size;
  }

  documents(): IterableIterator<StoredDocument> {
    return this.#documents.values();
  }

  async put(documents: readonly StoredDocument[], vectors: readonly Float32Array[]): Promise<void> {
    await this.index.add(
      documents.map(({ id }) => id),
      matrix(vectors, this.index.dim),
    );
    for (const document of documents) this.#documents.set(document.id, document);
  }

  async remove(ids: readonly string[]): Promise<number> {
    const removed = await this.index.remove(ids);
    for (const id of ids) this.#documents.delete(id);
    return removed;
  }

  async search(queries: readonly Float32Array[], top_k: number, signal?: AbortSignal): Promise<FoundDocument[][]> {
    const hits = await this.index.search(matrix(queries, this.index.dim), { top_k, signal });
    return hits.map((list) =>
      list.flatMap(({ id, score }) => {
        const document = this.#documents.get(id); // gone, if it was removed since
        return document ? [{ ...document, score }] : [];
      }),
    );
  }

  dispose(): void {
    this.index.dispose();
  }
}

/** Indexes that live as long as the process. */
export function memoryStores(): Stores {
  const stores = new Map<string, Promise<MemoryStore>>();
  return {
    async open(name, { dim }, create) {
      if (!stores.has(name) && create) stores.set(name, MemoryStore.create(dim));
      return stores.get(name);
    },
    list: async () => [...stores.keys()],
    async drop(name) {
      const store = await stores.get(name);
      store?.dispose();
      return stores.delete(name);
    },
  };
}
