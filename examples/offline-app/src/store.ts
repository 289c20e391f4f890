/** What stays on this device: documents with their vectors, in IndexedDB. */

import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import type { Passage } from "./passages.ts";

export interface Document {
  id: string;
  name: string;
  /** Milliseconds since 1970. */
  added: number;
  /** The file of the model that made the vectors: those of another cannot be compared with them. */
  model: string;
  passages: Passage[];
  /** A row for each passage. */
  vectors: Float32Array<ArrayBuffer>;
}

interface Schema extends DBSchema {
  documents: { key: string; value: Document };
}

/** There is no room left on this device for what was to be kept. */
export class NoRoomError extends Error {
  override readonly name = "NoRoomError";
}

export class Store {
  private constructor(readonly db: IDBPDatabase<Schema>) {}

  static async open(): Promise<Store> {
    const db = await openDB<Schema>("offline-app", 1, {
      upgrade: (db) => void db.createObjectStore("documents", { keyPath: "id" }),
      // Another tab brings a newer schema: this one must not hold it up.
      blocking: (_, __, event) => (event.target as IDBDatabase).close(),
    });
    return new Store(db);
  }

  all(): Promise<Document[]> {
    return this.db.getAll("documents");
  }

  /** Puts one document, in the place of those of `replaced`, or changes nothing. @throws NoRoomError */
  async put(document: Document, replaced: readonly string[] = []): Promise<void> {
    const transaction = this.db.transaction("documents", "readwrite", { durability: "strict" });
    const { store, done } = transaction;
    try {
      await Promise.all([...replaced.map((id) => store.delete(id)), store.put(document), done]);
    } catch (problem) {
      const error = transaction.error ?? problem; // a request says that it was aborted, the transaction why
      if (error instanceof DOMException && /Quota/.test(error.name))
        throw new NoRoomError(
          `There is no room left to keep “${document.name}”. Delete some texts, or free space on this device.`,
        );
      throw error;
    }
  }

  delete(id: string): Promise<void> {
    return this.db.delete("documents", id);
  }

  clear(): Promise<void> {
    return this.db.clear("documents");
  }
}
