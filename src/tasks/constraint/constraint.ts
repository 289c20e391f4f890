import { InputError, UnsupportedOptionError } from "../../errors.ts";
import type { Tokenizer } from "../../format/tokenizer.ts";
import { Automaton, DEAD, type Expression } from "./automaton.ts";
import { parseRegex } from "./regex.ts";
import { anyObject, type JsonSchema, SchemaReader } from "./schema.ts";

/** OpenAI's: any JSON object, or what a JSON Schema takes. */
export type ResponseFormat =
  | { readonly type: "text" }
  | { readonly type: "json_object" }
  | { readonly type: "json_schema"; readonly json_schema: JsonSchema | { readonly schema: JsonSchema } };

export interface ConstraintOptions {
  /** The whole text matches it. Anchors at its ends change nothing; look-around and back-references are refused. */
  regex?: string | RegExp;
  /** OpenAI's `{ type: "json_schema", json_schema: { schema } }` or `{ type: "json_object" }`. */
  response_format?: ResponseFormat;
}

/** The language that the options ask for. @throws UnsupportedOptionError */
export function expressionOf({ regex, response_format: format }: ConstraintOptions): Expression | undefined {
  if (regex !== undefined && format !== undefined && format.type !== "text")
    throw new UnsupportedOptionError("regex", "with a response_format", ["one of them"]);
  if (regex !== undefined) {
    const [source, flags] = typeof regex === "string" ? [regex, ""] : [regex.source, regex.flags];
    if (/[im]/.test(flags)) throw new UnsupportedOptionError("regex", `flags ${flags}`, ["s", "u"]);
    return parseRegex(source, { dot_all: flags.includes("s") });
  }
  if (format === undefined || format.type === "text") return undefined;
  if (format.type === "json_object") return anyObject();
  if (format.type !== "json_schema" || format.json_schema === undefined)
    throw new UnsupportedOptionError("response_format", format, ["text", "json_object", "json_schema"]);
  const given = format.json_schema;
  const inner = typeof given === "object" && "schema" in given ? (given.schema as JsonSchema) : (given as JsonSchema);
  return new SchemaReader(inner).read();
}

/** The tokens of a vocabulary by their bytes, in order, so that what a text goes on with stands together. */
interface Tokens {
  readonly ids: Int32Array;
  readonly bytes: readonly Uint8Array[];
  /** How many of its first bytes a token shares with the one before. */
  readonly shared: Int32Array;
  readonly of: ReadonlyMap<number, Uint8Array>;
}

/** `begins`: as the first tokens of a text, where some decoders leave out a space. */
const vocabularies = new WeakMap<Tokenizer, Map<boolean, Tokens>>();

function tokensOf(tokenizer: Tokenizer, begins: boolean): Tokens {
  const known = vocabularies.get(tokenizer) ?? new Map<boolean, Tokens>();
  vocabularies.set(tokenizer, known);
  let found = known.get(begins);
  if (!found) {
    const list = tokenizer.bytes(begins).sort(([, a], [, b]) => compare(a, b));
    const bytes = list.map(([, b]) => b);
    const shared = Int32Array.from(bytes, (b, i) => (i ? prefix(bytes[i - 1], b) : 0));
    found = { ids: Int32Array.from(list, ([id]) => id), bytes, shared, of: new Map(list) };
    known.set(begins, found);
  }
  return found;
}

const prefix = (a: Uint8Array, b: Uint8Array): number => {
  let i = 0;
  while (i < a.length && i < b.length && a[i] === b[i]) i++;
  return i;
};
const compare = (a: Uint8Array, b: Uint8Array): number => {
  const i = prefix(a, b);
  return (a[i] ?? -1) - (b[i] ?? -1);
};

/** Tokens that may come next, and the state that each leads to. */
interface Allowed {
  readonly ids: Int32Array;
  readonly states: Int32Array;
  /** The fewest bytes from any of these to an end. */
  readonly nearest: number;
}

/** Tokens of the masks that are kept, 8 bytes each: those of a long string's inside are many and large. */
const KEPT = 1 << 22;

/** Text that a model may write: what keeps it within an expression, token by token. */
export class Constraint {
  readonly #automaton: Automaton;
  readonly #masks = new Map<string, Allowed>();
  #kept = 0;

  /** @throws UnsupportedOptionError */
  constructor(
    readonly tokenizer: Tokenizer,
    expression: Expression,
    /** Whether the constrained text begins a text, and goes on with none. */
    readonly begins = false,
  ) {
    this.#automaton = new Automaton(expression);
  }

  /** Where the tokens of a text lead; DEAD where they are outside. Special tokens stand for no text. */
  state(ids: readonly number[]): number {
    let state = 0;
    for (const [i, id] of ids.entries()) {
      const bytes = tokensOf(this.tokenizer, this.begins && i === 0).of.get(id);
      for (let k = 0; state !== DEAD && bytes && k < bytes.length; k++) state = this.#automaton.step(state, bytes[k]);
    }
    return state;
  }

  /** Whether a text may end in this state. */
  ends(state: number): boolean {
    return state !== DEAD && this.#automaton.ends(state);
  }

  /**
   * Makes −∞ of the scores of all tokens but those that go on within the expression, and of the ends unless the text may end. With `left`
   * tokens to come, this one among them, only those stay after which an end can still be reached: no text is cut off in the middle.
   * @throws InputError if the text is outside, or no token goes on
   */
  mask(ids: readonly number[], scores: Float32Array, ends: readonly number[], left = Number.POSITIVE_INFINITY): void {
    const automaton = this.#automaton;
    const state = this.state(ids);
    if (state === DEAD) throw new InputError("the text does not match what constrains it");
    const { ids: next, states, nearest } = this.#allowed(state, this.begins && !ids.length);
    const may_end = automaton.ends(state);
    // Where not every byte is a token, an end may be further than its bytes say: the nearest is the best there is.
    const most = Math.max(nearest, left - 1);
    const over = may_end && left - 1 < nearest;
    // A loop: Float32Array.from calls an iterator for each number, and there may be 100,000.
    const before = new Float32Array(next.length);
    for (let i = 0; i < next.length; i++) before[i] = scores[next[i]];
    const before_ends = ends.map((id) => scores[id]);
    scores.fill(Number.NEGATIVE_INFINITY);
    let kept = 0;
    const keep = (id: number, score: number) => {
      if (id >= scores.length) return;
      scores[id] = score;
      kept++;
    };
    for (let i = 0; i < next.length && !over; i++) if (automaton.least(states[i]) <= most) keep(next[i], before[i]);
    if (may_end) for (const [i, id] of ends.entries()) keep(id, before_ends[i]);
    if (!kept) throw new InputError("no token of the vocabulary goes on as the constraint asks");
  }

  #allowed(state: number, first: boolean): Allowed {
    const key = `${state}${first}`;
    let found = this.#masks.get(key);
    if (found) return found;
    const { ids, bytes, shared } = tokensOf(this.tokenizer, first);
    const [good, states]: [number[], number[]] = [[], []];
    const automaton = this.#automaton;
    // The states along the token before, as far as it lives.
    const along = [state];
    for (let i = 0; i < ids.length; i++) {
      if (shared[i] >= along.length && i) continue;
      along.length = Math.min(along.length, shared[i] + 1);
      const token = bytes[i];
      let at = along[along.length - 1];
      for (let k = along.length - 1; k < token.length; k++) {
        at = automaton.step(at, token[k]);
        if (at === DEAD) break;
        along.push(at);
      }
      if (at === DEAD) continue;
      good.push(ids[i]);
      states.push(at);
    }
    const nearest = states.reduce((least, at) => Math.min(least, automaton.least(at)), Number.POSITIVE_INFINITY);
    found = { ids: Int32Array.from(good), states: Int32Array.from(states), nearest };
    for (const [key, { ids }] of this.#masks) {
      if (this.#kept + good.length <= KEPT) break;
      this.#kept -= ids.length;
      this.#masks.delete(key); // the oldest
    }
    this.#kept += good.length;
    this.#masks.set(key, found);
    return found;
  }
}
