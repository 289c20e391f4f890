/** The user's documents: what is stored, and the index over it. */

import { Tensor } from "wattention/worker";
import { type CallOptions, type Embedder, MODEL_NAME } from "./model.ts";
import { type Passage, passagesOf, readable, sentencesOf } from "./passages.ts";
import type { Document, Store } from "./store.ts";

export interface Text {
  name: string;
  text: string;
}

/** What the page shows of a document. */
export interface Entry {
  id: string;
  name: string;
  added: number;
  passages: Passage[];
}

export interface Found {
  document: Entry;
  passage: Passage;
  /** The sentence nearest to the query, as it stands in the passage's text, and its cosine with the query. */
  best: { text: string; start: number; score: number };
}

/** Passages whose sentences are looked at, for each one that is shown. */
const WIDER = 3;

/** A passage as the index names it. */
const key = (id: string, i: number) => `${id} ${i}`;

export class Library {
  readonly #entries = new Map<string, Entry>();

  constructor(
    readonly store: Store,
    readonly embedder: Embedder,
  ) {}

  /** Those added last come first. */
  get entries(): Entry[] {
    return [...this.#entries.values()].sort((a, b) => b.added - a.added);
  }

  get passages(): number {
    return this.entries.reduce((n, { passages }) => n + passages.length, 0);
  }

  /** Reads what is stored into the index. */
  async open(options: CallOptions): Promise<void> {
    const all = await this.store.all();
    for (const document of all) if (this.#fits(document)) await this.#take(document);
    await this.restore(
      all.filter((document) => !this.#fits(document)),
      options,
    );
  }

  /** Puts documents back that were stored before, here or elsewhere. Texts whose vectors are another model's are read anew. */
  async restore(documents: readonly Document[], options: CallOptions): Promise<void> {
    for (const document of documents) if (this.#fits(document)) await this.#keep(document);
    await this.#read(
      documents.filter((document) => !this.#fits(document)),
      options,
    );
  }

  #fits({ model, passages, vectors }: Document): boolean {
    return model === MODEL_NAME && vectors.length === passages.length * this.embedder.dim;
  }

  /** Adds texts, each in the place of an older one of its name. Those that are done when it is cancelled stay. */
  async add(texts: readonly Text[], options: CallOptions): Promise<number> {
    const documents = texts.map(({ name, text }) => ({
      id: crypto.randomUUID(),
      name,
      added: Date.now(),
      passages: passagesOf(text, /\.(md|markdown)$/i.test(name)),
    }));
    await this.#read(documents, options);
    return documents.reduce((n, { passages }) => n + passages.length, 0);
  }

  async #read(entries: readonly Entry[], { signal, progress_callback }: CallOptions): Promise<void> {
    const total = entries.reduce((n, { passages }) => n + passages.length, 0);
    let before = 0;
    for (const { id, name, added, passages } of entries) {
      const { data } = await this.embedder.embed(passages.map(readable), {
        signal,
        progress_callback: ({ done }) => progress_callback?.({ done: before + done, total }),
      });
      before += passages.length;
      await this.#keep({ id, name, added, passages, model: MODEL_NAME, vectors: Float32Array.from(data) });
    }
  }

  async #keep(document: Document): Promise<void> {
    const older = this.entries.flatMap(({ name, id }) => (name === document.name || id === document.id ? id : []));
    await this.store.put(document, older);
    for (const id of older) await this.#drop(id);
    await this.#take(document);
  }

  async #take({ id, name, added, passages, vectors }: Document): Promise<void> {
    const ids = passages.map((_, i) => key(id, i));
    await this.embedder.index.add(ids, new Tensor(vectors, [ids.length, this.embedder.dim]));
    this.#entries.set(id, { id, name, added, passages });
  }

  async #drop(id: string): Promise<void> {
    const entry = this.#entries.get(id);
    this.#entries.delete(id);
    await this.embedder.index.remove(entry?.passages.map((_, i) => key(id, i)) ?? []);
  }

  async delete(id: string): Promise<void> {
    await this.store.delete(id);
    await this.#drop(id);
  }

  async clear(): Promise<void> {
    await this.store.clear();
    for (const { id } of this.entries) await this.#drop(id);
  }

  /**
   * The passages that hold the sentences nearest in meaning. Passages are found by their vectors; a passage of several thoughts has a
   * vector of none of them, so that the order is their sentences'.
   */
  async search(query: string, top_k: number, signal: AbortSignal): Promise<Found[]> {
    const asked = await this.embedder.embed([query], { signal });
    const hits = await this.embedder.nearest(asked, top_k * WIDER);
    const found = hits.flatMap(({ id }) => {
      const [document, i] = id.split(" ");
      const entry = this.#entries.get(document); // gone, if it was deleted meanwhile
      const passage = entry?.passages[+i];
      const sentences = passage ? sentencesOf(passage.text) : [];
      return entry && passage && sentences.length ? { document: entry, passage, sentences } : [];
    });
    const texts = found.flatMap(({ sentences }) => sentences.map(({ text }) => text));
    const { data, dims } = await this.embedder.embed(texts, { signal });
    let row = 0;
    const ranked = found.map(({ sentences, ...hit }) => {
      const scored = sentences.map((sentence) => {
        const at = row++ * dims[1];
        return { ...sentence, score: asked.data.reduce((sum, x, k) => sum + x * data[at + k], 0) };
      });
      return { ...hit, best: scored.reduce((a, b) => (b.score > a.score ? b : a)) };
    });
    return ranked.sort((a, b) => b.best.score - a.best.score).slice(0, top_k);
  }
}
