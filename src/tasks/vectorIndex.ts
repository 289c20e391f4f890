import { InputError, UnsupportedOptionError } from "../errors.ts";
import { type Dims, Graph, pad, type Value } from "../graph/graph.ts";
import { Program, type Residents } from "../graph/lower.ts";
import { Dtype, Format } from "../graph/op.ts";
import { align } from "../graph/plan.ts";
import { checked } from "../nn/attention.ts";
import { whole } from "../options.ts";
import { BASE, Engine, type EngineOptions } from "../runtime/engine.ts";
import { Tensor, type TensorLike } from "../tensor.ts";

export interface Hit {
  id: string;
  /** Dot product with the query: the cosine, where vectors are normalised. */
  score: number;
}

export interface SearchOptions {
  /** Default 5. */
  top_k?: number;
  signal?: AbortSignal;
}

/** Queries that are scored at once. */
const QUERIES = 16;

/** Scores of `size` vectors, and the `k` best. */
function bestOf(dim: number, size: number, k: number) {
  const g = new Graph(new Map());
  const input = g.input("query", "T", "f32", dim);
  const table = g.weight("vectors", [size, dim]);
  const top = g.topK(g.linear(input, table), k);
  const residents: Residents = {
    at: (v: Value) => (v === table ? BASE : undefined),
    format: () => Format.panels,
    scales: () => 0,
  };
  return { size, k, input, top, residents, program: new Program(g.nodes, [top], residents) };
}

/**
 * Exact nearest neighbours by dot product: every vector is scored by the matmul kernel, the best are kept by the top-k kernel, in an
 * engine of its own. Vectors lie as matmul reads them, 4 bytes a number.
 */
export class VectorIndex {
  readonly #ids: string[] = [];
  readonly #places = new Map<string, number>();

  readonly #engine: Engine;
  /** The last search: the next one is mostly like it. */
  #last?: ReturnType<typeof bestOf>;

  private constructor(
    engine: Engine,
    /** Numbers in a vector. */
    readonly dim: number,
  ) {
    this.#engine = engine;
  }

  /** An empty index of vectors of `dim` numbers. */
  static async create(dim: number, options?: EngineOptions): Promise<VectorIndex> {
    if (!(Number.isInteger(dim) && dim > 0 && dim <= 65536))
      throw new UnsupportedOptionError("dim", dim, ["an integer from 1 to 65536"]);
    return new VectorIndex(await Engine.create(options), dim);
  }

  get size(): number {
    return this.#ids.length;
  }

  /** In the order in which search breaks ties. */
  get ids(): readonly string[] {
    return this.#ids;
  }

  has(id: string): boolean {
    return this.#places.has(id);
  }

  /** First byte behind `n` vectors. */
  #end(n: number): number {
    return BASE + align(pad(n) * this.dim * 4);
  }

  /**
   * Adds vectors [n, dim], or puts them in the place of those with the same id.
   * @throws ShapeError, InputError if an id comes twice or a number is not finite: then nothing was added; MemoryLimitError
   */
  add(ids: readonly string[], vectors: TensorLike): Promise<void> {
    const { dim } = this;
    checked("vectors", vectors, [ids.length, dim]);
    if (new Set(ids).size !== ids.length || ids.some((id) => typeof id !== "string"))
      throw new InputError("ids must be strings, each once");
    const data = Float32Array.from(vectors.data);
    const bad = data.findIndex((x) => !Number.isFinite(x));
    if (bad >= 0) throw new InputError(`vector ${ids[Math.floor(bad / dim)]} holds ${data[bad]}`);
    return this.#engine.enqueue(() => {
      const { memory, exports } = this.#engine;
      const added = ids.filter((id) => !this.#places.has(id)).length;
      const window = this.#end(this.size + added);
      memory.ensure(window + dim * 4);
      // Lanes of a panel that no vector has taken yet are scored too: they must hold numbers.
      const from = BASE + pad(this.size) * dim * 4;
      memory.u8(from, window - from).fill(0);
      for (const [i, id] of ids.entries()) {
        const place = this.#places.get(id) ?? this.#ids.push(id) - 1;
        this.#places.set(id, place);
        memory.write(window, data.subarray(i * dim, (i + 1) * dim));
        exports.pack_rows(BASE, window, place, 1, dim, Dtype.f32);
      }
    });
  }

  /** Removes vectors; unknown ids are passed over. Says how many there were. */
  remove(ids: readonly string[]): Promise<number> {
    return this.#engine.enqueue(() => {
      let removed = 0;
      for (const id of ids) {
        const place = this.#places.get(id);
        if (place === undefined) continue;
        // The last one takes its place.
        const last = this.#ids.pop()!;
        this.#places.delete(id);
        if (last !== id) {
          this.#ids[place] = last;
          this.#places.set(last, place);
          this.#row(place).set(this.#row(this.size));
        }
        this.#row(this.size).set(undefined);
        removed++;
      }
      return removed;
    });
  }

  /** Vector `place`, which lies a float in eight. */
  #row(place: number) {
    const { dim } = this;
    const panel = this.#engine.memory.f32(BASE + (place >> 3) * dim * 32, dim * 8);
    const lane = place & 7;
    return {
      get: () => Float32Array.from({ length: dim }, (_, k) => panel[k * 8 + lane]),
      set(from?: { get(): Float32Array }) {
        const row = from?.get();
        for (let k = 0; k < dim; k++) panel[k * 8 + lane] = row?.[k] ?? 0;
      },
    };
  }

  /** The best for one query [dim], or for each of several [n, dim]; equal scores by place. Fewer than top_k if the index holds fewer. */
  search(query: TensorLike, options?: SearchOptions): Promise<Hit[][]> {
    const { dim } = this;
    const { top_k = 5, signal } = options ?? {};
    const one = query?.dims?.length === 1;
    checked("query", query, one ? [dim] : [null, dim]);
    const n = one ? 1 : query.dims[0];
    whole("top_k", top_k);
    return this.#engine.enqueue(async () => {
      const k = Math.min(top_k, this.size);
      if (!k) return Array.from({ length: n }, () => []);
      const hits: Hit[][] = [];
      for (let first = 0; first < n; first += QUERIES) {
        const part = Float32Array.from(
          { length: Math.min(QUERIES, n - first) * dim },
          (_, i) => query.data[first * dim + i],
        );
        hits.push(...(await this.#best(part, k, signal)));
      }
      return hits;
    }, signal);
  }

  async #best(queries: Float32Array, k: number, signal?: AbortSignal): Promise<Hit[][]> {
    const { dim, size } = this;
    const { memory } = this.#engine;
    if (this.#last?.size !== size || this.#last.k !== k) this.#last = bestOf(dim, size, k);
    const { program, residents, input, top } = this.#last;
    const rows = queries.length / dim;
    const dims: Dims = { T: rows, B: 0, P: 0, S: 0, R: 0 };
    const from = this.#end(size);
    memory.ensure(from + program.reserve(dims));
    const bound = program.bind(dims, from, residents);
    memory.write(bound.at, bound.words);
    memory.write(bound.address(input), queries, dim, bound.ld(input));
    await this.#engine.run(bound.at, bound.steps, signal);
    const ld = bound.ld(top);
    const values = memory.f32(bound.address(top), rows * ld);
    const places = memory.i32(bound.address(top), rows * ld);
    const hit = (at: number) => ({ id: this.#ids[places[at + ld / 2]], score: values[at] });
    return Array.from({ length: rows }, (_, r) => Array.from({ length: k }, (_, i) => hit(r * ld + i)));
  }

  /** The vector of an id, copied. */
  get(id: string): Float32Array | undefined {
    const place = this.#places.get(id);
    return place === undefined ? undefined : this.#row(place).get();
  }

  /** The index as a safetensors file: `vectors` [n, dim], ids (and `metadata`) in its metadata. */
  async save(metadata: Record<string, string> = {}): Promise<Uint8Array> {
    const write = (await import("./indexFile.ts")).writeIndex;
    return this.#engine.enqueue(() => {
      const data = new Float32Array(this.size * this.dim);
      for (let i = 0; i < this.size; i++) data.set(this.#row(i).get(), i * this.dim);
      return write({ ids: this.#ids, vectors: new Tensor(data, [this.size, this.dim]), metadata });
    });
  }

  /** @throws FormatError if the bytes are no saved index */
  static async load(
    bytes: Uint8Array,
    options?: EngineOptions,
  ): Promise<{ index: VectorIndex; metadata: Readonly<Record<string, string>> }> {
    const { ids, vectors, metadata } = await (await import("./indexFile.ts")).readIndex(bytes);
    const index = await VectorIndex.create(vectors.dims[1], options);
    await index.add(ids, vectors);
    return { index, metadata };
  }

  dispose(): void {
    this.#engine.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
