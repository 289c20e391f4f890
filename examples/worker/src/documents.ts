import { DurableObject } from "cloudflare:workers";
import { Tensor, VectorIndex } from "wattention";

export interface StoredDocument {
  id: string;
  text: string;
  metadata?: unknown;
}

export type FoundDocument = StoredDocument & { score: number };

/** What the object says in place of a result: errors lose their class on their way to the worker. */
export interface Refused {
  refused: "not_found" | "conflict" | "index_full";
  message: string;
}

/** What an index of 384 dimensions and this size takes in memory: 31 MB of the 128 that an isolate has. */
const MAX_DOCUMENTS = 20_000;
const PAGE = 500;

const tables = `
  CREATE TABLE IF NOT EXISTS documents (id TEXT PRIMARY KEY, text TEXT NOT NULL, metadata TEXT, vector BLOB NOT NULL);
  CREATE TABLE IF NOT EXISTS about (model TEXT NOT NULL, dimensions INTEGER NOT NULL)`;

type About = { model: string; dimensions: number };

/**
 * One index by name. SQLite holds what lasts: texts, metadata and vectors; when the object wakes, its vectors go into a VectorIndex, which
 * searches. An answer leaves only when what was written before it is on disk: Durable Objects hold it back until then.
 */
export class DocumentIndex extends DurableObject<Cloudflare.Env> {
  readonly #sql = this.ctx.storage.sql;
  #vectors: Promise<VectorIndex> | undefined;

  /** Adds documents, or replaces those with the same id: all of them or none. `vectors` are laid end to end. */
  async add(
    documents: readonly StoredDocument[],
    vectors: Float32Array,
    model: string,
  ): Promise<{ size: number } | Refused> {
    const dimensions = vectors.length / documents.length;
    const about = this.#about() ?? this.#create(model, dimensions);
    const other = this.#refuse(about, model, dimensions);
    if (other) return other;
    const loading = this.#loaded(about);
    const index = await loading;
    // Another request may have removed the whole index meanwhile.
    if (this.#vectors !== loading) return this.add(documents, vectors, model);
    const ids = documents.map(({ id }) => id);
    const size = index.size + ids.filter((id) => !index.has(id)).length;
    if (size > MAX_DOCUMENTS)
      return { refused: "index_full", message: `an index holds ${MAX_DOCUMENTS} documents; this would make ${size}` };
    this.ctx.storage.transactionSync(() => {
      for (const [i, { id, text, metadata }] of documents.entries())
        this.#sql.exec(
          `INSERT INTO documents (id, text, metadata, vector) VALUES (?, ?, ?, ?)
           ON CONFLICT (id) DO UPDATE SET text = excluded.text, metadata = excluded.metadata, vector = excluded.vector`,
          id,
          text,
          metadata === undefined ? null : JSON.stringify(metadata),
          vectors.slice(i * dimensions, (i + 1) * dimensions).buffer,
        );
    });
    await this.#follow(index.add(ids, new Tensor(vectors, [documents.length, dimensions])));
    return { size: index.size };
  }

  async search(vector: Float32Array, model: string, top_k: number): Promise<FoundDocument[] | Refused> {
    const about = this.#about();
    if (!about) return missing;
    const other = this.#refuse(about, model, vector.length);
    if (other) return other;
    const index = await this.#loaded(about);
    const [hits] = await index.search(new Tensor(vector, [vector.length]), { top_k });
    if (!this.#about()) return missing; // cleared while the search ran
    return hits.flatMap(({ id, score }) => {
      const [row] = this.#sql.exec<{ text: string; metadata: string | null }>(
        "SELECT text, metadata FROM documents WHERE id = ?",
        id,
      );
      return row ? { id, score, text: row.text, ...(row.metadata && { metadata: JSON.parse(row.metadata) }) } : [];
    });
  }

  /** Removes documents and says how many there were. */
  async remove(ids: readonly string[]): Promise<{ removed: number; size: number } | Refused> {
    const about = this.#about();
    if (!about) return missing;
    const loading = this.#loaded(about);
    const index = await loading;
    if (this.#vectors !== loading) return this.remove(ids);
    this.ctx.storage.transactionSync(() => {
      for (const id of ids) this.#sql.exec("DELETE FROM documents WHERE id = ?", id);
    });
    const removed = await this.#follow(index.remove(ids));
    return { removed, size: index.size };
  }

  async about(): Promise<(About & { size: number }) | Refused> {
    const about = this.#about();
    return about ? { ...about, size: (await this.#loaded(about)).size } : missing;
  }

  /** Removes the whole index. */
  async clear(): Promise<void> {
    this.#vectors = undefined;
    await this.ctx.storage.deleteAll();
  }

  /** Nothing is made for a name that is only asked for. */
  #about(): About | undefined {
    const [table] = this.#sql.exec("SELECT name FROM sqlite_master WHERE name = 'about'");
    return table && this.#sql.exec<About>("SELECT model, dimensions FROM about").one();
  }

  #create(model: string, dimensions: number): About {
    this.#sql.exec(tables);
    this.#sql.exec("INSERT INTO about (model, dimensions) VALUES (?, ?)", model, dimensions);
    return { model, dimensions };
  }

  /** Vectors of different models have nothing to do with each other. */
  #refuse(about: About, model: string, dimensions: number): Refused | undefined {
    if (about.model !== model || about.dimensions !== dimensions)
      return {
        refused: "conflict",
        message: `the index holds vectors of ${about.model} (${about.dimensions} dimensions), not of ${model} (${dimensions})`,
      };
  }

  #loaded({ dimensions }: About): Promise<VectorIndex> {
    this.#vectors ??= this.#follow(this.#load(dimensions));
    return this.#vectors;
  }

  /** Page by page, as no cursor may stay open while others write. */
  async #load(dimensions: number): Promise<VectorIndex> {
    const index = await VectorIndex.create(dimensions);
    for (let after = 0; ; ) {
      const rows = this.#sql
        .exec<{ rowid: number; id: string; vector: ArrayBuffer }>(
          "SELECT rowid, id, vector FROM documents WHERE rowid > ? ORDER BY rowid LIMIT ?",
          after,
          PAGE,
        )
        .toArray();
      if (!rows.length) return index;
      const vectors = new Float32Array(rows.length * dimensions);
      for (const [i, { vector }] of rows.entries()) vectors.set(new Float32Array(vector), i * dimensions);
      await index.add(
        rows.map(({ id }) => id),
        new Tensor(vectors, [rows.length, dimensions]),
      );
      after = rows.at(-1)!.rowid;
    }
  }

  /** If the index in memory cannot follow what was written, it is loaded again. */
  async #follow<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      this.#vectors = undefined;
      throw error;
    }
  }
}

const missing: Refused = { refused: "not_found", message: "there is no such index" };
