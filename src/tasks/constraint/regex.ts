import { UnsupportedOptionError } from "../../errors.ts";
import { all, any, characters, type Expression, LAST, merged, type Range, repeat, without } from "./automaton.ts";

const DIGIT: readonly Range[] = [[48, 57]];
const WORD: readonly Range[] = [[48, 57], [65, 90], [95, 95], [97, 122]]; // biome-ignore format: a table
const SPACE: readonly Range[] = [[9, 13], [32, 32], [160, 160], [0x1680, 0x1680], [0x2000, 0x200a], [0x2028, 0x2029], [0x202f, 0x202f], [0x205f, 0x205f], [0x3000, 0x3000], [0xfeff, 0xfeff]]; // biome-ignore format: a table
const LINE_ENDS: readonly Range[] = [[10, 10], [13, 13], [0x2028, 0x2029]]; // biome-ignore format: a table
const CLASSES: { readonly [letter: string]: readonly Range[] } = {
  d: DIGIT,
  D: without(DIGIT),
  w: WORD,
  W: without(WORD),
  s: SPACE,
  S: without(SPACE),
};
const CONTROLS: { readonly [letter: string]: number } = { n: 10, r: 13, t: 9, f: 12, v: 11, 0: 0 };
/** As many copies of a part as an expression may ask for: each has states of its own. */
const MOST = 10_000;

export interface ParseOptions {
  /** Whether `.` is a line's end too. Default false, as JavaScript has it without the flag s. */
  dot_all?: boolean;
  /** The pattern need not match the whole of a text, as in JSON Schema: text may stand on either side, unless ^ or $ forbids it. */
  search?: boolean;
}

/**
 * Reads a regular expression as JavaScript writes it with the flag u. Groups do not capture, laziness changes nothing. ^ and $ stand at the ends
 * only. @throws UnsupportedOptionError for what no finite automaton has, and what is malformed
 */
export function parseRegex(source: string, { dot_all = false, search = false }: ParseOptions = {}): Expression {
  const points = Array.from(source);
  let at = 0;
  const fail = (what: string): never => {
    throw new UnsupportedOptionError("regex", `${source.slice(0, 200)}`, [`no ${what} (at ${at})`]);
  };
  const peek = (text: string) => points.slice(at, at + text.length).join("") === text;
  const take = (text: string): boolean => {
    if (!peek(text)) return false;
    at += text.length;
    return true;
  };

  function alternatives(depth: number): Expression {
    const of: Expression[] = [];
    do of.push(sequence(depth));
    while (take("|"));
    return of.length === 1 ? of[0] : any(...of);
  }

  function sequence(depth: number): Expression {
    const of: Expression[] = [];
    const begins = depth === 0 && take("^");
    while (at < points.length && points[at] !== "|" && points[at] !== ")") {
      if (points[at] === "$" && depth === 0 && (at + 1 === points.length || points[at + 1] === "|")) break;
      of.push(quantified(depth));
    }
    const ends = depth === 0 && take("$");
    const free = repeat(characters([0, LAST]));
    return all(
      ...(search && depth === 0 && !begins ? [free] : []),
      ...of,
      ...(search && depth === 0 && !ends ? [free] : []),
    );
  }

  function quantified(depth: number): Expression {
    const one = atom(depth);
    for (let x = one, times = 0; ; times++) {
      const bounds = quantifier();
      if (!bounds) return x;
      if (times) fail("quantifier of a quantifier");
      take("?");
      x = repeat(x, ...bounds);
    }
  }

  function quantifier(): [number, number] | undefined {
    if (take("*")) return [0, Number.POSITIVE_INFINITY];
    if (take("+")) return [1, Number.POSITIVE_INFINITY];
    if (take("?")) return [0, 1];
    const found = /^\{(\d+)(,(\d*))?\}/.exec(points.slice(at, at + 20).join(""));
    if (!found) return;
    at += found[0].length;
    const least = Number(found[1]);
    const most = found[2] === undefined ? least : found[3] ? Number(found[3]) : Number.POSITIVE_INFINITY;
    if (least > most || least > MOST || (most > MOST && most !== Number.POSITIVE_INFINITY))
      fail(`repetition ${found[0]}`);
    return [least, most];
  }

  function atom(depth: number): Expression {
    const c = points[at++];
    if (c === ".") return characters(...(dot_all ? [[0, LAST] as const] : without(LINE_ENDS)));
    if (c === "[") return characters(...set());
    if (c === "\\") return characters(...escaped(false));
    if (c === "(") {
      const named = /^\?<\w+>/.exec(points.slice(at, at + 80).join(""));
      if (named) at += named[0].length;
      else if (peek("?") && !take("?:")) fail(`group that begins with (${points.slice(at, at + 3).join("")}`);
      if (depth > 200) fail("groups so deep");
      const inner = alternatives(depth + 1);
      if (!take(")")) fail("group without an end");
      return inner;
    }
    if ("^$*+?{}]".includes(c)) {
      at--;
      fail(`${c} in this place`);
    }
    return characters([c.codePointAt(0)!, c.codePointAt(0)!]);
  }

  function set(): Range[] {
    const negated = take("^");
    const ranges: Range[] = [];
    while (!take("]")) {
      if (at >= points.length) fail("class without an end");
      const from = member();
      if (peek("-") && points[at + 1] !== "]" && at + 1 < points.length) {
        at++;
        const to = member();
        const [a, b] = [from[0]?.[0], to[0]?.[1]];
        if (from.length !== 1 || to.length !== 1 || from[0][0] !== from[0][1] || to[0][0] !== to[0][1] || a > b)
          fail("such range in a class");
        ranges.push([a, b]);
      } else ranges.push(...from);
    }
    return negated ? without(ranges) : merged(ranges);
  }

  function member(): readonly Range[] {
    const c = points[at++] ?? fail("class without an end");
    return c === "\\" ? escaped(true) : [[c.codePointAt(0)!, c.codePointAt(0)!]];
  }

  function escaped(in_class: boolean): readonly Range[] {
    const c = points[at++] ?? fail("escape at the end");
    if (Object.hasOwn(CLASSES, c)) return CLASSES[c];
    if (c === "b" && in_class) return [[8, 8]];
    if (Object.hasOwn(CONTROLS, c) && !(c === "0" && /\d/.test(points[at] ?? ""))) return [[CONTROLS[c], CONTROLS[c]]];
    const rest = points.slice(at, at + 10).join("");
    const hex =
      c === "x"
        ? /^([\dA-Fa-f]{2})/.exec(rest)
        : c === "u"
          ? /^(?:([\dA-Fa-f]{4})|\{([\dA-Fa-f]{1,6})\})/.exec(rest)
          : null;
    if (hex) {
      at += hex[0].length;
      let point = Number.parseInt(hex[1] ?? hex[2], 16);
      const low =
        point >= 0xd800 && point < 0xdc00 && /^\\u([Dd][C-Fc-f][\dA-Fa-f]{2})/.exec(points.slice(at, at + 6).join(""));
      if (low) {
        at += 6;
        point = 0x10000 + ((point - 0xd800) << 10) + (Number.parseInt(low[1], 16) - 0xdc00);
      }
      if (point > LAST) fail("such code point");
      return [[point, point]];
    }
    if (/[A-Za-z0-9]/.test(c)) {
      at--;
      fail(`\\${c}`);
    }
    return [[c.codePointAt(0)!, c.codePointAt(0)!]];
  }

  const made = alternatives(0);
  if (at < points.length) fail(`${points[at]} in this place`);
  return made;
}
