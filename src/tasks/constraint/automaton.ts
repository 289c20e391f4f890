/**
 * Languages of text as automata over UTF-8 bytes: an expression becomes an NFA (Thompson 1968), whose sets of states are a DFA that is
 * made as it is walked. Every state of the NFA leads to an end: so does every state of the DFA, and how many bytes that takes is known.
 */

import { UnsupportedOptionError } from "../../errors.ts";

/** Code points, inclusive. */
export type Range = readonly [from: number, to: number];

/** A set of texts. */
export type Expression =
  | { readonly kind: "class"; readonly ranges: readonly Range[] }
  | { readonly kind: "all"; readonly of: readonly Expression[] }
  | { readonly kind: "any"; readonly of: readonly Expression[] }
  /** `of` from `least` to `most` times, with `between` between two. */
  | {
      readonly kind: "repeat";
      readonly of: Expression;
      readonly least: number;
      readonly most: number;
      readonly between?: Expression;
    };

export const LAST = 0x10ffff;
export const characters = (...ranges: readonly Range[]): Expression => ({ kind: "class", ranges });
export const all = (...of: readonly Expression[]): Expression => ({ kind: "all", of });
export const any = (...of: readonly Expression[]): Expression => ({ kind: "any", of });
export const repeat = (
  of: Expression,
  least = 0,
  most = Number.POSITIVE_INFINITY,
  between?: Expression,
): Expression => ({
  kind: "repeat",
  of,
  least,
  most,
  between,
});
export const literal = (text: string): Expression =>
  all(...Array.from(text, (c) => characters([c.codePointAt(0)!, c.codePointAt(0)!])));

/** Ranges in order, those that touch as one. */
export function merged(ranges: readonly Range[]): Range[] {
  const out: [number, number][] = [];
  for (const [from, to] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const last = out.at(-1);
    if (last && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else out.push([from, to]);
  }
  return out;
}

/** What `ranges` leave of all code points, or of `within`. */
export function without(ranges: readonly Range[], within: readonly Range[] = [[0, LAST]]): Range[] {
  return merged(within).flatMap(([from, to]) => {
    const left: Range[] = [];
    for (const [a, b] of merged(ranges)) {
      if (b < from || a > to) continue;
      if (a > from) left.push([from, a - 1]);
      from = b + 1;
    }
    return from <= to ? [...left, [from, to] as const] : left;
  });
}

const SIZES: readonly (readonly [most: number, mark: number])[] = [
  [0x7f, 0],
  [0x7ff, 0xc0],
  [0xffff, 0xe0],
  [LAST, 0xf0],
];

/** The UTF-8 of a range of code points as sequences of byte ranges. Surrogates have none. */
export function utf8Ranges(from: number, to: number): Range[][] {
  if (from > to) return [];
  if (from <= 0xdfff && to >= 0xd800)
    return [...utf8Ranges(from, Math.min(to, 0xd7ff)), ...utf8Ranges(Math.max(from, 0xe000), to)];
  for (const [most] of SIZES)
    if (from <= most && to > most) return [...utf8Ranges(from, most), ...utf8Ranges(most + 1, to)];
  const bytes = SIZES.findIndex(([most]) => to <= most);
  // Parts whose last bytes all run from 80 to BF: what sticks out on either side stands alone.
  for (let i = 1; i <= bytes; i++) {
    const low = (1 << (6 * i)) - 1;
    if (from >> (6 * i) === to >> (6 * i)) break;
    if (from & low) return [...utf8Ranges(from, from | low), ...utf8Ranges((from | low) + 1, to)];
    if ((to & low) !== low) return [...utf8Ranges(from, (to & ~low) - 1), ...utf8Ranges(to & ~low, to)];
  }
  const byte = (point: number, i: number) =>
    i === bytes ? SIZES[bytes][1] | (point >> (6 * bytes)) : 0x80 | ((point >> (6 * i)) & 63);
  return [Array.from({ length: bytes + 1 }, (_, i) => [byte(from, bytes - i), byte(to, bytes - i)] as const)];
}

/** States that an expression may have: beyond it a mask takes too long. */
const MOST = 200_000;

/** Nondeterministic: state 1 is the end, state 0 the start. */
class Nfa {
  readonly edges: (readonly [from: number, to: number, state: number])[][] = [[], []];
  readonly free: number[][] = [[], []];

  state(): number {
    this.free.push([]);
    if (this.free.length > MOST)
      throw new UnsupportedOptionError("constraint", `an automaton of more than ${MOST} states`);
    return this.edges.push([]) - 1;
  }

  /** Adds ways from `start` to `end`. */
  add(x: Expression, start: number, end: number): void {
    if (x.kind === "class") {
      for (const [from, to] of merged(x.ranges))
        for (const sequence of utf8Ranges(from, to)) {
          let at = start;
          for (const [i, [a, b]] of sequence.entries()) {
            const next = i + 1 < sequence.length ? this.state() : end;
            this.edges[at].push([a, b, next]);
            at = next;
          }
        }
    } else if (x.kind === "any") {
      for (const one of x.of) this.add(one, start, end);
    } else if (x.kind === "all") {
      let at = start;
      for (const [i, one] of x.of.entries()) {
        const next = i + 1 < x.of.length ? this.state() : end;
        this.add(one, at, next);
        at = next;
      }
      if (!x.of.length) this.free[start].push(end);
    } else this.#repeat(x, start, end);
  }

  #repeat({ of, least, most, between }: Extract<Expression, { kind: "repeat" }>, start: number, end: number): void {
    const separate = (at: number): number => {
      if (!between) return at;
      const next = this.state();
      this.add(between, at, next);
      return next;
    };
    let at = this.state();
    this.free[start].push(at);
    if (least === 0) this.free[at].push(end);
    if (most === Number.POSITIVE_INFINITY) {
      // The last one that must be is the one that comes again.
      for (let i = 1; i < Math.max(1, least); i++) {
        const next = this.state();
        this.add(of, at, next);
        at = separate(next);
      }
      const [begin, done] = [this.state(), this.state()];
      this.free[at].push(begin);
      this.add(of, begin, done);
      this.free[done].push(end);
      const again = separate(done);
      this.free[again].push(begin);
    } else
      for (let i = 1; i <= most; i++) {
        const next = this.state();
        this.add(of, at, next);
        if (i >= least) this.free[next].push(end);
        if (i < most) at = separate(next);
      }
    if (!between || most === Number.POSITIVE_INFINITY) return;
  }
}

export const DEAD = -1;

/** The DFA of an expression; state 0 is the start. */
export class Automaton {
  readonly #nfa = new Nfa();
  /** Bytes from each state of the NFA to the end. */
  readonly #distance: Float64Array;
  readonly #sets: Int32Array[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #next: Int32Array[] = [];
  readonly #least: number[] = [];

  /** @throws UnsupportedOptionError if it is too large, or holds no text */
  constructor(expression: Expression) {
    const nfa = this.#nfa;
    nfa.add(expression, 0, 1);
    this.#distance = distances(nfa);
    if (this.#distance[0] === Number.POSITIVE_INFINITY)
      throw new UnsupportedOptionError("constraint", "an expression that no text matches");
    this.#state([0]);
  }

  /** Whether a text may end here. */
  ends(state: number): boolean {
    return this.#least[state] === 0;
  }

  /** The fewest bytes from here to an end. */
  least(state: number): number {
    return this.#least[state];
  }

  /** Where a byte leads, or DEAD. */
  step(state: number, byte: number): number {
    const row = this.#next[state];
    if (row[byte] === UNKNOWN) {
      const targets: number[] = [];
      for (const at of this.#sets[state])
        for (const [from, to, target] of this.#nfa.edges[at]) if (byte >= from && byte <= to) targets.push(target);
      row[byte] = targets.length ? this.#state(targets) : DEAD;
    }
    return row[byte];
  }

  /** The number of a set of states and all that they reach for nothing. */
  #state(states: readonly number[]): number {
    const { free } = this.#nfa;
    const reached = new Set<number>();
    const stack = [...states];
    while (stack.length) {
      const at = stack.pop()!;
      if (reached.has(at) || this.#distance[at] === Number.POSITIVE_INFINITY) continue;
      reached.add(at);
      stack.push(...free[at]);
    }
    if (!reached.size) return DEAD;
    const set = Int32Array.from(reached).sort();
    const key = set.join();
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.#sets.push(set) - 1;
      this.#numbers.set(key, number);
      this.#next.push(new Int32Array(256).fill(UNKNOWN));
      this.#least.push(set.reduce((least, at) => Math.min(least, this.#distance[at]), Number.POSITIVE_INFINITY));
    }
    return number;
  }
}

const UNKNOWN = -2;

/** Bytes from each state to state 1, by steps backwards. */
function distances({ edges, free }: Nfa): Float64Array {
  const back: (readonly [state: number, cost: number])[][] = edges.map(() => []);
  for (const [at, list] of edges.entries()) for (const [, , to] of list) back[to].push([at, 1]);
  for (const [at, list] of free.entries()) for (const to of list) back[to].push([at, 0]);
  const distance = new Float64Array(edges.length).fill(Number.POSITIVE_INFINITY);
  distance[1] = 0;
  for (let level = [1], bytes = 0; level.length; bytes++) {
    const next: number[] = [];
    while (level.length) {
      const at = level.pop()!;
      if (distance[at] !== bytes) continue;
      for (const [from, cost] of back[at])
        if (distance[from] > bytes + cost) {
          distance[from] = bytes + cost;
          (cost ? next : level).push(from);
        }
    }
    level = next;
  }
  return distance;
}
