import { EngineError, FormatError, InputError, TokenOutOfRangeError, UnsupportedOptionError } from "../errors.ts";
import type { Config } from "../format/config.ts";
import { readHeader, streamTensors } from "../format/safetensors.ts";
import { writeSafetensors } from "../format/writeSafetensors.ts";
import { pad } from "../graph/graph.ts";
import { whole } from "../options.ts";
import type { InputRules } from "../runtime/batch.ts";
import { fingerprint, Hash } from "../runtime/fingerprint.ts";
import type { CacheOptions } from "../runtime/kept.ts";
import type { Sequence } from "../runtime/sequence.ts";
import type { Session } from "../runtime/session.ts";
import { stateOf } from "../runtime/state.ts";

/** What a cache needs of a model. */
interface Decoder {
  readonly session: Session;
  readonly rules: InputRules;
  readonly config: Config;
}

/** What a file calls itself, and what errors call it. */
const FORMAT = "wattention-cache-1";
const FILE = "cache";

/**
 * Keys and values of one text, kept from one call of `generate` to the next: what a prompt has in common with the text is not computed again.
 * Results do not depend on it: a row of the state is the same bits however it came there, unless a `window` with sinks moved it.
 */
export class Cache {
  readonly #sequence: Sequence;
  #busy = false;
  #disposed = false;

  readonly session: Session;

  constructor(
    readonly model: Decoder,
    sequence: Sequence,
  ) {
    this.session = model.session;
    this.#sequence = sequence;
  }

  /** The tokens that it holds, oldest first: those that a window forgot among them. */
  get ids(): readonly number[] {
    return [...this.#sequence.ids];
  }

  /** How many they are. */
  get length(): number {
    return this.#sequence.length;
  }

  /** Bytes of linear memory that it takes. */
  get bytes(): number {
    return this.#sequence.bytes;
  }

  /** For decodings: the sequence, holding what `ids` begins with but the last of them, and with room for `length` tokens. Within `enqueue`. */
  take(session: Session, ids: readonly number[], length: number): Sequence {
    if (session !== this.session) throw new InputError("the cache is another model's");
    const sequence = this.#free();
    let same = 0;
    while (same < ids.length - 1 && ids[same] === sequence.ids[same]) same++;
    sequence.truncate(same);
    sequence.reserve(length);
    this.#busy = true;
    return sequence;
  }

  /** For decodings: the sequence is no longer used. Within `enqueue`. */
  give(): void {
    this.#busy = false;
    if (this.#disposed) this.#sequence.close();
  }

  #free(): Sequence {
    if (this.#disposed) throw new EngineError("the cache was disposed");
    if (this.#busy) throw new InputError("the cache is in use: fork it for calls that run at the same time");
    return this.#sequence;
  }

  /** Another cache that holds the same, for a text that goes on otherwise. @throws MemoryLimitError */
  fork(): Promise<Cache> {
    return this.session.engine.enqueue(() => new Cache(this.model, this.#free().fork()));
  }

  /**
   * Keeps the first `length` tokens; none, where a window has forgotten what they need, or where they turn otherwise in a shorter text.
   * @throws UnsupportedOptionError, InputError while a call uses the cache
   */
  truncate(length: number): void {
    const sequence = this.#free();
    const turned = sequence.length > (this.model.rules.rotations?.original ?? Number.POSITIVE_INFINITY);
    if (whole("length", length, 0) < sequence.length) sequence.truncate(turned ? 0 : length);
  }

  /** A safetensors file of it, for `loadCache` of the same model in the same dtype. */
  save(): Promise<Uint8Array> {
    return this.session.engine.enqueue(() => {
      const { ids, options, regions, tables } = this.#free();
      const { memory } = this.session.engine;
      const tensors: { [name: string]: { data: Int32Array | Float32Array; dims: number[] } } = {
        ids: { data: Int32Array.from(ids), dims: [ids.length] },
        dropped: { data: Int32Array.from(regions, (r) => r.dropped), dims: [regions.length] },
      };
      let n = 0;
      for (const { group, range, dropped } of regions) {
        const rows = ids.length - dropped;
        for (const node of group.nodes) {
          const ld = pad(node.cols);
          const data = memory.read(tables.at(node) + range.at * ld * 4, rows, node.cols, ld);
          tensors[`rows.${n++}`] = { data, dims: [rows, node.cols] };
        }
      }
      const { window = 0, sinks = 0 } = options;
      const model = identity(this.model);
      const sum = checksum(
        [window, sinks],
        Object.values(tensors).map((t) => t.data),
      );
      return writeSafetensors(tensors, { format: FORMAT, model, sum, window: `${window}`, sinks: `${sinks}` });
    });
  }

  /** Gives the memory back. A call that uses the cache goes on to its end. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    const close = () => {
      if (!this.#busy) this.#sequence.close();
    };
    this.session.engine.enqueue(close).catch(() => {});
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Of the graph and the weights, and of how rotations change with a text's length. */
function identity({ session, rules: { rotations } }: Decoder): string {
  if (!rotations) return fingerprint(session);
  const hash = new Hash();
  for (const length of [0, 1, 2, 4].map((n) => n * rotations.original + 1))
    hash.add(new Int32Array(rotations.frequencies(Math.max(length, rotations.original)).slice().buffer));
  return `${fingerprint(session)}-${hash.text}`;
}

function checksum(numbers: readonly number[], tensors: readonly ArrayBufferView[]): string {
  const hash = new Hash();
  hash.add(numbers);
  for (const { buffer, byteOffset, byteLength } of tensors)
    hash.add(new Int32Array(buffer, byteOffset, byteLength >> 2));
  return hash.text;
}

/** @throws UnsupportedOptionError, MemoryLimitError */
export async function openCache(model: Decoder, options: CacheOptions): Promise<Cache> {
  const { session, config } = model;
  if (!session.layout.outputs.next_logits || stateOf(session).groups.some(({ side }) => side))
    throw new UnsupportedOptionError("cache", config.model_type, ["decoders with a language head"]);
  return session.engine.enqueue(() => new Cache(model, stateOf(session).open(options)));
}

/** @throws FormatError unless the bytes are what `save` gave for this model, MemoryLimitError */
export async function loadCache(model: Decoder, bytes: Uint8Array): Promise<Cache> {
  const fail = (detail: string): never => {
    throw new FormatError(FILE, detail);
  };
  let at = 0;
  const reader = {
    size: bytes.length,
    async read(into: Uint8Array) {
      const part = bytes.subarray(at, at + into.length);
      into.set(part);
      at += part.length;
      return part.length;
    },
    close: async () => {},
  };
  const header = await readHeader(reader, FILE);
  const { metadata } = header;
  if (metadata.format !== FORMAT) fail(`is no ${FORMAT}`);
  const number = (name: string) => {
    const n = Number(metadata[name]);
    return Number.isInteger(n) && n >= 0 && metadata[name] === `${n}` ? n : fail(`has no ${name} in its __metadata__`);
  };
  const [window, sinks] = [number("window"), number("sinks")];
  const loaded = new Map<string, Uint8Array>();
  await streamTensors(reader, FILE, header, (info) => {
    const data = new Uint8Array(info.end - info.begin);
    loaded.set(info.name, data);
    let filled = 0;
    return {
      window: () => data.subarray(filled),
      flush: (n) => {
        filled += n;
      },
    };
  });
  const data = [...loaded.values()].filter(({ length }) => length % 4 === 0);
  if (metadata.sum !== checksum([window, sinks], data)) fail("is damaged");
  const numbers = (name: string, dtype: "I32" | "F32", shape: readonly (number | null)[]): ArrayBufferLike => {
    const info = header.tensors.get(name);
    const fits = info?.dtype === dtype && info.shape.length === shape.length;
    if (!fits || shape.some((d, i) => d !== null && d !== info.shape[i]))
      fail(`has no ${dtype} tensor ${name} [${shape}]`);
    return loaded.get(name)?.buffer ?? new ArrayBuffer(0);
  };
  const ids = new Int32Array(numbers("ids", "I32", [null]));
  const size = model.rules.sizes.input_ids;
  for (const [i, id] of ids.entries()) if (id < 0 || id >= size) throw new TokenOutOfRangeError(i, id, size, "ids");
  const { session } = model;
  const own = await session.engine.enqueue(() => identity(model));
  if (metadata.model !== own) fail("was saved with another model, or in another dtype");
  const cache = await openCache(model, window ? { window, sinks } : { length: ids.length });
  try {
    await session.engine.enqueue(() => {
      const sequence = cache.take(session, [], ids.length);
      const { regions, tables } = sequence;
      const dropped = new Int32Array(numbers("dropped", "I32", [regions.length]));
      sequence.ids = Array.from(ids);
      let n = 0;
      for (const [i, region] of regions.entries()) {
        region.dropped = dropped[i];
        if (!sequence.holds(region)) fail("tells of rows that its window would not keep");
        const rows = ids.length - region.dropped;
        for (const node of region.group.nodes) {
          const data = new Float32Array(numbers(`rows.${n++}`, "F32", [rows, node.cols]));
          const ld = pad(node.cols);
          session.engine.memory.write(tables.at(node) + region.range.at * ld * 4, data, node.cols, ld);
        }
      }
      if (header.tensors.size !== n + 2) fail("has tensors that are not the model's");
      cache.give();
    });
    return cache;
  } catch (error) {
    cache.give();
    cache.dispose();
    throw error;
  }
}
