/** Slow and plain readers that share nothing with src/format: what a file means, or that it means nothing. */

type Value = null | boolean | number | string | Value[] | Members;
/** Keeps its keys in order, and those that come twice. */
class Members {
  constructor(readonly list: [string, Value][]) {}
}

class Bad extends Error {}
const bad = (why: string): never => {
  throw new Bad(why);
};

/** RFC 8259, character by character. */
function parse(text: string): Value {
  let at = 0;
  const space = () => {
    while (" \t\n\r".includes(text[at] ?? "x")) at++;
  };
  const eat = (what: string) => {
    if (text.slice(at, at + what.length) !== what) bad(`no ${what} at ${at}`);
    at += what.length;
  };
  const string = (): string => {
    eat('"');
    let out = "";
    while (text[at] !== '"') {
      if (at >= text.length || text[at] < " ") bad("string");
      if (text[at] !== "\\") out += text[at++];
      else {
        const c = text[at + 1];
        const simple = 'bfnrt"\\/'.indexOf(c ?? "x");
        if (simple >= 0) out += '\b\f\n\r\t"\\/'[simple];
        else if (c === "u" && /^[0-9a-fA-F]{4}$/.test(text.slice(at + 2, at + 6))) {
          out += String.fromCharCode(Number.parseInt(text.slice(at + 2, at + 6), 16));
          at += 4;
        } else bad("escape");
        at += 2;
      }
    }
    at++;
    return out;
  };
  const value = (depth: number): Value => {
    if (depth > 1000) bad("nested beyond what any header has");
    space();
    let out: Value;
    if (text[at] === "{") {
      const list: [string, Value][] = [];
      at++;
      space();
      if (text[at] === "}") at++;
      else
        for (;;) {
          space();
          const key = string();
          space();
          eat(":");
          list.push([key, value(depth + 1)]);
          if (text[at] === "}") {
            at++;
            break;
          }
          eat(",");
        }
      out = new Members(list);
    } else if (text[at] === "[") {
      out = [];
      at++;
      space();
      if (text[at] === "]") at++;
      else
        for (;;) {
          out.push(value(depth + 1));
          if (text[at] === "]") {
            at++;
            break;
          }
          eat(",");
        }
    } else if (text[at] === '"') out = string();
    else {
      const word = /^(true|false|null|-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?)/.exec(
        text.slice(at, at + 500),
      )?.[0];
      if (word === undefined) return bad(`value at ${at}`);
      at += word.length;
      out = word === "true" ? true : word === "false" ? false : word === "null" ? null : Number(word);
    }
    space();
    return out;
  };
  const all = value(0);
  if (at !== text.length) bad("something after it");
  return all;
}

const BITS: Record<string, number> = {
  ...{
    BOOL: 8,
    U8: 8,
    I8: 8,
    U16: 16,
    I16: 16,
    F16: 16,
    BF16: 16,
    U32: 32,
    I32: 32,
    F32: 32,
    U64: 64,
    I64: 64,
    F64: 64,
  },
  ...{ C64: 64, F4: 4, F6_E2M3: 6, F6_E3M2: 6, F8_E5M2: 8, F8_E4M3: 8, F8_E8M0: 8, F8_E4M3FNUZ: 8, F8_E5M2FNUZ: 8 },
};

export interface OracleTensor {
  dtype: string;
  shape: number[];
  data: Uint8Array;
}

/** The tensors of a safetensors file by name, and its metadata, or undefined where it is no such file. */
export function oracleSafetensors(
  file: Uint8Array,
): { tensors: Map<string, OracleTensor>; metadata: Map<string, string> } | undefined {
  try {
    if (file.length < 8) bad("short");
    let length = 0n;
    for (let i = 7; i >= 0; i--) length = length * 256n + BigInt(file[i]);
    if (length > 100_000_000n || length + 8n > BigInt(file.length)) bad("length");
    const raw = Buffer.from(file.slice(8, 8 + Number(length)));
    const text = raw.toString("utf8");
    if (!Buffer.from(text, "utf8").equals(raw)) bad("UTF-8");
    if (text[0] !== "{") bad("begins otherwise");
    const header = parse(text) as Members;
    const unique = (m: Members) => {
      if (new Set(m.list.map(([k]) => k)).size !== m.list.length) bad("twice");
    };
    unique(header);
    const data = file.slice(8 + Number(length));
    const owner = Array<string | undefined>(data.length).fill(undefined);
    const tensors = new Map<string, OracleTensor>();
    const spans = new Map<string, { begin: number; end: number }>();
    const metadata = new Map<string, string>();
    const natural = (v: Value): bigint =>
      typeof v === "number" && Number.isInteger(v) && v >= 0 && v < 2 ** 53 ? BigInt(v) : bad("number");
    for (const [name, info] of header.list) {
      if (!(info instanceof Members)) return bad("info");
      unique(info);
      if (name === "__metadata__") {
        for (const [k, v] of info.list) metadata.set(k, typeof v === "string" ? v : bad("metadata"));
        continue;
      }
      if (
        info.list
          .map(([k]) => k)
          .sort()
          .join() !== "data_offsets,dtype,shape"
      )
        bad("keys");
      const field = new Map(info.list);
      const dtype = field.get("dtype");
      const bits = typeof dtype === "string" && Object.hasOwn(BITS, dtype) ? BITS[dtype] : undefined;
      const shape = field.get("shape");
      const offsets = field.get("data_offsets");
      if (bits === undefined || !Array.isArray(shape) || !Array.isArray(offsets) || offsets.length !== 2)
        return bad("info");
      let count = 1n;
      for (const dim of shape) {
        count *= natural(dim);
        if (count >= 2n ** 53n) bad("product");
      }
      const [begin, end] = offsets.map(natural);
      if (begin > end || (end - begin) * 8n !== count * BigInt(bits) || end > BigInt(data.length)) bad("bytes");
      for (let i = Number(begin); i < Number(end); i++) {
        if (owner[i] !== undefined) bad("overlap");
        owner[i] = name;
      }
      spans.set(name, { begin: Number(begin), end: Number(end) });
      tensors.set(name, {
        dtype: dtype as string,
        shape: shape.map(Number),
        data: data.slice(Number(begin), Number(end)),
      });
    }
    if (owner.some((name) => name === undefined)) bad("hole");
    // One of no bytes lies between others, not within one.
    for (const [, { begin, end }] of spans)
      if (begin === end && begin > 0 && begin < data.length && owner[begin - 1] === owner[begin]) bad("within");
    return { tensors, metadata };
  } catch (error) {
    if (error instanceof Bad) return undefined;
    throw error;
  }
}
