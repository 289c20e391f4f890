import { UnsupportedOptionError } from "../../errors.ts";
import { all, any, characters, type Expression, LAST, literal, type Range, repeat, without } from "./automaton.ts";
import { parseRegex } from "./regex.ts";

export type JsonSchema = boolean | { readonly [keyword: string]: unknown };

/** Keywords that say nothing of what is valid. */
const NOTES =
  /^(title|description|default|examples?|\$schema|\$id|\$comment|\$defs|definitions|deprecated|readOnly|writeOnly|discriminator)$/;
/** Keywords of each type: any other is refused, since it would be ignored. */
const KEYWORDS: { readonly [type: string]: readonly string[] } = {
  string: ["minLength", "maxLength", "pattern", "format"],
  integer: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
  number: [],
  boolean: [],
  null: [],
  array: ["items", "prefixItems", "minItems", "maxItems"],
  object: ["properties", "required", "additionalProperties"],
};
const TYPES = Object.keys(KEYWORDS);
/** How deep values are for which the schema says nothing. */
const DEPTH = 4;

const QUOTE = literal('"');
const SPACE = repeat(literal(" "), 0, 1);
const COMMA = all(literal(","), SPACE);
const COLON = all(literal(":"), SPACE);
const PLAIN: readonly Range[] = [[0x20, 0x21], [0x23, 0x5b], [0x5d, LAST]]; // biome-ignore format: a table
/** Halves of a surrogate pair are left out: two of them would be one character, of which a length counts one. */
const ESCAPED = all(
  literal("\\"),
  any(
    characters(...Array.from('"\\/bfnrt', (c) => [c.charCodeAt(0), c.charCodeAt(0)] as const)),
    parseRegex("u(?:[0-9a-ce-fA-CE-F][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2})"),
  ),
);
const CHARACTER = any(characters(...PLAIN), ESCAPED);
const text = (inside: Expression) => all(QUOTE, inside, QUOTE);
const INTEGER = parseRegex("-?(?:0|[1-9][0-9]{0,14})");
const NUMBER = parseRegex("-?(?:0|[1-9][0-9]{0,14})(?:\\.[0-9]{1,16})?(?:[eE][+-]?[0-9]{1,2})?");
const DATE =
  "\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]))";
const TIME = "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,6})?(?:Z|[+-](?:0\\d|1[0-3]):[0-5]\\d)";
const FORMATS: { readonly [format: string]: string } = {
  date: DATE,
  time: TIME,
  "date-time": `${DATE}T${TIME}`,
  uuid: "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
  ipv4: "(?:(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)\\.){3}(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)",
};

const list = (open: string, item: Expression, close: string, least = 0, most = Number.POSITIVE_INFINITY) =>
  all(literal(open), repeat(item, least, most, COMMA), literal(close));

/** Any JSON value, objects and arrays `depth` deep. */
function anyValue(depth: number): Expression {
  const scalars = [text(repeat(CHARACTER)), NUMBER, literal("true"), literal("false"), literal("null")];
  if (!depth) return any(...scalars);
  return any(...scalars, list("[", anyValue(depth - 1), "]"), anyObject(depth));
}
const entry = (value: Expression) => all(text(repeat(CHARACTER)), COLON, value);
export const anyObject = (depth = DEPTH): Expression => list("{", entry(anyValue(depth - 1)), "}");

/** What a JSON string with such characters holds: those that JSON escapes are written so. */
function escaped(x: Expression): Expression {
  if (x.kind === "class") {
    const special = x.ranges.flatMap(([from, to]) => {
      const points = [0x22, 0x5c, ...Array.from({ length: 0x20 }, (_, i) => i)];
      return points.filter((p) => p >= from && p <= to);
    });
    const plain = without(without(PLAIN), x.ranges);
    return any(
      characters(...plain),
      ...special.map((p) => literal(JSON.stringify(String.fromCharCode(p)).slice(1, -1))),
    );
  }
  if (x.kind === "repeat") return { ...x, of: escaped(x.of) };
  return { ...x, of: x.of.map(escaped) };
}

/** Digits of whole numbers from `a` to `b`, both not negative. */
function digits(a: number, b: number): string {
  const [low, high] = [String(a), String(b)];
  if (low.length < high.length) {
    const most = Number(`1e${low.length}`);
    return `${digits(a, most - 1)}|${digits(most, b)}`;
  }
  let same = 0;
  while (same < low.length && low[same] === high[same]) same++;
  if (same === low.length) return low;
  const rest = low.length - same - 1;
  const head = low.slice(0, same);
  const [x, y] = [Number(low[same]), Number(high[same])];
  const tail = Number(`1e${rest}`);
  const parts: string[] = [];
  const whole = (d: string) => `${head}${d}${rest ? `[0-9]{${rest}}` : ""}`;
  const [full, last] = [a % tail === 0 ? x : x + 1, b % tail === tail - 1 ? y : y - 1];
  if (full > x)
    parts.push(
      ...digits(a % tail, tail - 1)
        .split("|")
        .map((d) => padded(head + x, d, rest)),
    );
  if (full <= last) parts.push(whole(full === last ? `${full}` : `[${full}-${last}]`));
  if (last < y)
    parts.push(
      ...digits(0, b % tail)
        .split("|")
        .map((d) => padded(head + y, d, rest)),
    );
  return parts.join("|");
}
/** Digits behind a head, with the zeros that make them `width` digits. */
function padded(head: string, tail: string, width: number): string {
  const length = tail.replace(/\[[^\]]*\]/g, "x").replace(/x\{(\d+)\}/g, (_, n) => "x".repeat(Number(n))).length;
  return head + "0".repeat(width - length) + tail;
}
function wholeNumbers(least: number, most: number): Expression {
  const parts: string[] = [];
  if (least < 0)
    parts.push(
      ...digits(Math.max(1, -most), -least)
        .split("|")
        .map((d) => `-${d}`),
    );
  if (most >= 0) parts.push(digits(Math.max(0, least), most));
  return parseRegex(parts.join("|"));
}

const refuse = (where: string, value: unknown, supported?: readonly unknown[]): never => {
  throw new UnsupportedOptionError(`json_schema${where}`, value, supported);
};

/** The JSON texts that a schema takes, as far as one writes them: no spaces but one behind a comma or colon, properties in the schema's order. */
export class SchemaReader {
  constructor(readonly root: JsonSchema) {}

  /** @throws UnsupportedOptionError that names the keyword, by its place, that is not supported: recursion is one */
  read(schema: unknown = this.root, where = "", open: readonly unknown[] = []): Expression {
    if (schema === true) return anyValue(DEPTH);
    if (typeof schema !== "object" || !schema || Array.isArray(schema)) return refuse(where, schema, ["schemas"]);
    if (open.includes(schema)) return refuse(where, "a schema within itself", ["schemas without recursion"]);
    const known = schema as { readonly [keyword: string]: unknown };
    const inner = [...open, schema];
    const rest = Object.keys(known).filter((k) => !NOTES.test(k));
    const only = (...names: string[]) => {
      const odd = rest.find((k) => !names.includes(k));
      if (odd) refuse(`${where}/${odd}`, known[odd], names);
    };
    if ("$ref" in known) {
      only("$ref");
      return this.read(this.#target(known.$ref, where), `${where}/$ref`, inner);
    }
    if ("const" in known || "enum" in known) {
      only("const", "enum", "type");
      const given = "const" in known ? [known.const] : known.enum;
      if (!Array.isArray(given)) return refuse(`${where}/enum`, given, ["a list"]);
      const values = given.filter((v) => known.type === undefined || [known.type].flat().some((t) => isA(v, t)));
      if (!values.length) return refuse(`${where}/enum`, given, ["values of the type"]);
      return any(...values.map((v) => literal(JSON.stringify(v))));
    }
    for (const many of ["anyOf", "oneOf", "allOf"])
      if (many in known) {
        only(many);
        const list = known[many] as unknown[];
        if (!Array.isArray(list) || !list.length) return refuse(`${where}/${many}`, list, ["a list of schemas"]);
        if (many === "allOf" && list.length > 1) return refuse(`${where}/allOf`, `${list.length} schemas`, ["one"]);
        if (many === "oneOf" && !apart(list)) return refuse(`${where}/oneOf`, "schemas that may overlap", ["anyOf"]);
        return any(...list.map((one, i) => this.read(one, `${where}/${many}/${i}`, inner)));
      }
    const types = known.type === undefined ? this.#implied(rest, where) : ([known.type].flat() as string[]);
    if (!types) return anyValue(DEPTH);
    only("type", ...types.flatMap((type) => KEYWORDS[type] ?? refuse(`${where}/type`, type, TYPES)));
    return any(...types.map((type) => this.#typed(type, known, where, inner)));
  }

  #implied(keywords: readonly string[], where: string): string[] | undefined {
    if (!keywords.length) return undefined;
    const type = TYPES.find((t) => keywords.every((k) => KEYWORDS[t].includes(k)));
    return type ? [type] : refuse(`${where}/${keywords[0]}`, "a keyword without a type", ["type"]);
  }

  #target(ref: unknown, where: string): unknown {
    if (typeof ref !== "string" || !/^#(\/|$)/.test(ref)) return refuse(`${where}/$ref`, ref, ["#/$defs/…"]);
    let at: unknown = this.root;
    for (const part of ref.split("/").slice(1)) {
      const key = decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
      at = Object.hasOwn((at ?? {}) as object, key) ? (at as { [key: string]: unknown })[key] : undefined;
    }
    return at ?? refuse(`${where}/$ref`, ref, ["what is there"]);
  }

  #typed(
    type: string,
    schema: { readonly [keyword: string]: unknown },
    where: string,
    open: readonly unknown[],
  ): Expression {
    const count = (name: string, usual: number): number => {
      const value = schema[name] ?? usual;
      if (value === Number.POSITIVE_INFINITY || (Number.isInteger(value) && (value as number) >= 0))
        return value as number;
      return refuse(`${where}/${name}`, value, ["whole numbers from 0 on"]);
    };
    if (type === "object") return this.#object(schema, where, open);
    if (type === "array") {
      const items = schema.items ?? true;
      const first = (schema.prefixItems ?? []) as unknown[];
      const [least, most] = [count("minItems", 0), count("maxItems", Number.POSITIVE_INFINITY)];
      const item = () => this.read(items, `${where}/items`, open);
      if (!first.length) return list("[", most ? item() : any(), "]", least, most);
      const heads = first.map((one, i) => this.read(one, `${where}/prefixItems/${i}`, open));
      if (least > 0 && least < heads.length) return refuse(`${where}/minItems`, least, [`${heads.length}`]);
      const more =
        items === false ? all() : repeat(all(COMMA, item()), Math.max(0, least - heads.length), most - heads.length);
      return all(literal("["), ...heads.flatMap((h, i) => (i ? [COMMA, h] : [h])), more, literal("]"));
    }
    if (type === "string") {
      const [least, most] = [count("minLength", 0), count("maxLength", Number.POSITIVE_INFINITY)];
      const { pattern, format } = schema;
      if (pattern !== undefined || format !== undefined) {
        if (least || most !== Number.POSITIVE_INFINITY || (pattern !== undefined && format !== undefined))
          return refuse(`${where}/pattern`, "a pattern or format with a length, or with each other", ["one of them"]);
        if (pattern !== undefined) return text(escaped(parseRegex(String(pattern), { search: true })));
        if (!Object.hasOwn(FORMATS, String(format))) return refuse(`${where}/format`, format, Object.keys(FORMATS));
        return text(parseRegex(FORMATS[String(format)]));
      }
      return text(repeat(CHARACTER, least, most));
    }
    if (type === "integer") {
      const bound = (name: string, beyond: string, step: 1 | -1): number | undefined => {
        const value = schema[name] ?? (schema[beyond] === undefined ? undefined : Number(schema[beyond]) + step);
        if (value === undefined || Number.isSafeInteger(value)) return value as number | undefined;
        return refuse(`${where}/${name}`, value, ["whole numbers"]);
      };
      const [least, most] = [bound("minimum", "exclusiveMinimum", 1), bound("maximum", "exclusiveMaximum", -1)];
      if (least === undefined && most === undefined) return INTEGER;
      const far = 1e15 - 1;
      const [from, to] = [least ?? Math.min(-far, most ?? 0), most ?? Math.max(far, least ?? 0)];
      return from > to ? refuse(`${where}/minimum`, least, [`at most ${most}`]) : wholeNumbers(from, to);
    }
    return type === "number" ? NUMBER : type === "boolean" ? any(literal("true"), literal("false")) : literal("null");
  }

  #object(schema: { readonly [keyword: string]: unknown }, where: string, open: readonly unknown[]): Expression {
    const properties = (schema.properties ?? {}) as { readonly [name: string]: unknown };
    const required = (schema.required ?? []) as readonly string[];
    const { additionalProperties: more } = schema;
    const names = [...new Set([...Object.keys(properties), ...required])];
    if (!names.length) {
      if (more === false) return literal("{}");
      return more === undefined || more === true
        ? anyObject()
        : list("{", entry(this.read(more, `${where}/additionalProperties`, open)), "}");
    }
    const parts = names.map((name) => {
      const value = Object.hasOwn(properties, name) ? properties[name] : (more ?? true);
      const read = this.read(value, `${where}/properties/${name}`, open);
      return { pair: all(literal(JSON.stringify(name)), COLON, read), must: required.includes(name) };
    });
    // Of those that may be left out, any may be the first; behind it each brings its comma.
    const behind = (from: number) =>
      parts.slice(from).map(({ pair, must }) => repeat(all(COMMA, pair), must ? 1 : 0, 1));
    const first = parts.findIndex(({ must }) => must);
    const starts = parts.slice(0, first < 0 ? parts.length : first + 1);
    const ways = starts.map(({ pair }, i) => all(pair, ...behind(i + 1)));
    return all(literal("{"), any(...ways, ...(first < 0 ? [all()] : [])), literal("}"));
  }
}

function isA(value: unknown, type: unknown): boolean {
  if (value === null || Array.isArray(value)) return type === (value ? "array" : "null");
  return type === typeof value || (type === "integer" && Number.isInteger(value));
}

/** Whether no value can be valid under two of the schemas, as their types, or values of their own, tell. */
function apart(schemas: readonly unknown[]): boolean {
  const kinds = schemas.flatMap((one) => {
    const { type, const: value, enum: values } = (one ?? {}) as { type?: unknown; const?: unknown; enum?: unknown[] };
    if (value !== undefined || values) return (values ?? [value]).map((v) => JSON.stringify(v));
    return [type].flat().map((t) => (typeof t === "string" ? `type ${t}` : "?"));
  });
  const typed = kinds.filter((k) => k.startsWith("type ")).length;
  const unclear =
    kinds.includes("?") ||
    (typed && typed < kinds.length) ||
    (kinds.includes("type number") && kinds.includes("type integer"));
  return !unclear && new Set(kinds).size === kinds.length;
}
