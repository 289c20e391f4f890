/** Members of character classes by the names that Oniguruma's POSIX brackets, properties and escapes have for them. */
const SETS: Readonly<Record<string, string>> = {
  alpha: "\\p{Alphabetic}",
  alnum: "\\p{Alphabetic}\\p{Nd}",
  digit: "\\p{Nd}",
  lower: "\\p{Lowercase}",
  upper: "\\p{Uppercase}",
  space: "\\p{White_Space}",
  blank: "\\t\\p{Zs}",
  punct: "\\p{P}\\p{S}",
  cntrl: "\\p{Cc}",
  xdigit: "0-9A-Fa-f",
  word: "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}",
};
const NAMES: Readonly<Record<string, string>> = { d: "digit", s: "space", w: "word", h: "xdigit" };
const CONTROLS: Readonly<Record<string, string>> = {
  t: "\t",
  n: "\n",
  r: "\r",
  f: "\f",
  v: "\v",
  a: "\x07",
  e: "\x1b",
};
/** \w is more than it is in a class. */
const WORD = `[${SETS.word}\\xb2\\xb3\\xb9\\xbc-\\xbe]`;
/** Only \n ends a line, and ^ and $ are the ends of lines. */
const PLACES: Readonly<Record<string, string>> = {
  ".": "[^\\n]",
  "^": "(?<![^\\n])",
  $: "(?![^\\n])",
  "|": "|",
  "\\A": "(?<![^])",
  "\\z": "(?![^])",
  "\\Z": "(?=\\n?(?![^]))",
  "\\b": `(?:(?<=${WORD})(?!${WORD})|(?<!${WORD})(?=${WORD}))`,
  "\\B": `(?:(?<=${WORD})(?=${WORD})|(?<!${WORD})(?!${WORD}))`,
};
const LETTERS = [..."abcdefghijklmnopqrstuvwxyz"];
const QUANTIFIER = /([?*+]|\{(?:\d+,?\d*|,\d+)\})([?+]?)/y;

/** A character as it is and in all its cases: s is \u017f too, and k the sign of kelvins. */
function casesOf(c: string): string[] {
  const [lower, upper] = [c.toLowerCase(), c.toUpperCase()];
  const others = [..."\u017f\u212a"].filter((x) => x.toLowerCase() === lower || x.toUpperCase() === upper);
  return [...new Set([c, lower, upper, ...others])];
}

function compiles(source: string): boolean {
  try {
    return !!new RegExp(source, "u");
  } catch {
    return false;
  }
}

/** What a quantifier makes of `one`, where `more` says that it is lazy (?) or possessive (+). */
function repeated(one: string, times: string, more: string, name: string): string {
  if (more === "+" && times[0] !== "{") return atomic(one + times, name);
  // Behind {n} both are quantifiers in turn, behind {n,m} the plus.
  return more === "+" || (more && /\d\}/.test(times) && !times.includes(","))
    ? `(?:${one}${times})${more}`
    : one + times + more;
}
/** What gives back nothing of what it has matched. */
const atomic = (text: string, name: string) => `(?:(?=(?<${name}>${text}))\\k<${name}>)`;

/**
 * A regular expression of Oniguruma, as the `tokenizers` crate uses them, as one of JavaScript.
 * @throws SyntaxError if it is malformed or has what is not supported: back-references, other options than (?i: ).
 */
export function translated(pattern: string): RegExp {
  let at = 0;
  let names = 0;
  /** Sets in sets need flag v, which older engines lack. */
  let flags = "u";
  let fold = false;
  const take = (what: RegExp) => {
    what.lastIndex = at;
    const found = what.exec(pattern);
    at += found?.[0].length ?? 0;
    return found;
  };
  const refuse = (what = pattern.slice(at)) => new SyntaxError(`"${what}" of the pattern ${pattern} is not supported`);
  const name = () => `a${names++}`;

  /** A character, or a set and whether it is what is not in it. */
  const member = (): [text: string, set?: boolean, not?: boolean] => {
    const set = take(/(?:\\(p)\{|\[:)(\^?)(\w+)(?:\}|:\])/iy);
    if (set) {
      const [all, property, not, name] = set;
      const low = name.toLowerCase();
      const known = property && [name, `Script=${name}`, low].map((one) => `\\p{${one}}`).find(compiles);
      if (!(known || SETS[low])) throw refuse(all);
      return [known || SETS[low], true, (property === "P") !== !!not];
    }
    const code = take(/\\(?:x\{([\da-f]+)\}|x([\da-f]{2})|u([\da-f]{4}))/iy);
    if (code) return [String.fromCodePoint(Number.parseInt(code[1] ?? code[2] ?? code[3], 16))];
    const [text, escaped, plain] = take(/\\(.)|([^\\])/suy) ?? [];
    if (!text) throw refuse();
    const named = NAMES[escaped?.toLowerCase()];
    if (named) return [SETS[named], true, escaped < "a"];
    if (/[a-z\d]/i.test(escaped ?? "") && !CONTROLS[escaped]) throw refuse(text);
    return [CONTROLS[escaped] ?? escaped ?? plain];
  };
  const escaped = (c: string) => (/[!-/:-@[-`{-~]/.test(c) ? `\\x${c.charCodeAt(0).toString(16)}` : c);

  /** A class, from behind its [ on. */
  const classOf = (outer: boolean): string => {
    const not = take(/\^/y) ? "^" : "";
    let made = "";
    let common = "";
    /** Whether a range may begin at what stands last, or has begun. */
    let range: "may" | "has" | undefined;
    for (let first = at; at === first || !take(/\]/y); ) {
      if (take(/&&/y)) {
        common += `[${made}]&&`;
        made = "";
        range = undefined;
        flags = "v";
        first = at;
      } else if (range === "may" && take(/-(?!\]|&&)/y)) {
        made += "-";
        range = "has";
      } else {
        const inner = take(/\[(?!:\^?\w+:\])/y);
        const [text, set, inverse] = inner ? [classOf(false), true] : member();
        if (inner || inverse) flags = "v";
        if (set && range === "has") throw refuse();
        made += inverse ? `[^${text}]` : set ? text : escaped(text);
        range = set || range ? undefined : "may";
      }
    }
    if (common) made = `${common}[${made}]`;
    if (outer && fold) {
      const has = new RegExp(`[${made}]`, flags);
      if (common) made = `[${made}]`;
      for (const cases of LETTERS.map(casesOf)) if (cases.some((c) => has.test(c))) made += cases.join("");
    }
    return `[${not}${made}]`;
  };

  /** What can be repeated. */
  const atom = (): string => {
    if (take(/\(\?#[^)]*\)/y)) return "";
    const group = take(/\((?:\?(<?[=!]|<[a-z_]\w*>|i?:|>)|(?!\?))/iy);
    if (group) {
      const [, kind = ""] = group;
      const outer = fold;
      fold ||= kind === "i:";
      const inner = alternatives();
      fold = outer;
      if (!take(/\)/y)) throw refuse();
      return kind === ">" ? atomic(inner, name()) : `(?${/[=!]/.test(kind) ? kind : ":"}${inner})`;
    }
    if (take(/\[(?!:\^?\w+:\])/y)) return classOf(true);
    const place = take(/[.^$|]|\\[AzZbB]/y);
    if (place) return PLACES[place[0]];
    if (pattern[at] === "(" || take(QUANTIFIER)) throw refuse();
    const [text, set, not] = member();
    if (set) return text === SETS.word ? WORD.replace("[", not ? "[^" : "[") : `[${not ? "^" : ""}${text}]`;
    const all = fold ? casesOf(text) : [text];
    return all.length > 1 ? `(?:${all.join("|")})` : escaped(text);
  };
  const alternatives = (): string => {
    let js = "";
    while (at < pattern.length && pattern[at] !== ")") {
      let one = atom();
      let times = take(QUANTIFIER);
      while (times) {
        one = repeated(one, times[1].replace("{,", "{0,"), times[2], name());
        times = take(QUANTIFIER);
        if (times) one = `(?:${one})`;
      }
      js += one;
    }
    return js;
  };
  fold = !!take(/\(\?i\)/y);
  const js = alternatives();
  if (at < pattern.length) throw refuse();
  return new RegExp(js, `g${flags}`);
}
