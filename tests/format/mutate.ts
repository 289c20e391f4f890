/** A seeded source of broken model files: what a bad disk, a bad converter or a bad person may leave. */

/** 0 … n-1 */
export type Random = (n: number) => number;

/** mulberry32 */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((((t ^ (t >>> 14)) >>> 0) * n) / 2 ** 32) >>> 0;
  };
}

const pick = <T>(list: readonly T[], random: Random): T => list[random(list.length)];

/** A value in a JSON text, as spans: `[from, to)` of the value, and of its key where it has one. */
interface Part {
  from: number;
  to: number;
  key?: [from: number, to: number];
  kind: "number" | "string" | "literal" | "object" | "array";
}

const known = new WeakMap<Uint8Array, { text: string; parts: Part[] }>();

/** All values of a JSON text. */
function partsOf(bytes: Uint8Array): { text: string; parts: Part[] } {
  const seen = known.get(bytes);
  if (seen) return seen;
  const text = new TextDecoder().decode(bytes);
  const parts: Part[] = [];
  const open: { part: Part; key?: [number, number] }[] = [];
  let key: [number, number] | undefined;
  for (const { 0: token, index } of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s{}[\]:,"]+/g)) {
    if (token === "}" || token === "]") {
      const { part } = open.pop()!;
      part.to = index + 1;
      parts.push(part);
    } else if (token === "{" || token === "[") {
      open.push({ part: { from: index, to: index, key, kind: token === "{" ? "object" : "array" } });
      key = undefined;
    } else if (token[0] === '"' && /^\s*:/.test(text.slice(index + token.length, index + token.length + 9))) {
      key = [index, index + token.length];
    } else if (!":,".includes(token)) {
      const kind = token[0] === '"' ? "string" : /[\d-]/.test(token[0]) ? "number" : "literal";
      parts.push({ from: index, to: index + token.length, key, kind });
      key = undefined;
    }
  }
  const found = { text, parts };
  known.set(bytes, found);
  return found;
}

const NUMBERS = [
  ...[
    "-1",
    "0",
    "1",
    "2",
    "3",
    "-0",
    "1.5",
    "1e3",
    "1E400",
    "NaN",
    "Infinity",
    "-9007199254740991",
    "0x10",
    "01",
    "1.",
  ],
  ...["2147483648", "4294967296", "9007199254740991", "9007199254740993", "18446744073709551615", "1e308", "5e-324"],
  ...["null", "true", '"7"', '"NaN"', '""', "[]", "[1]", "{}", '{"a":1}'],
];
const STRINGS = [
  ...[
    '""',
    '"x"',
    "null",
    "0",
    "-1",
    "false",
    "[]",
    '["a"]',
    "{}",
    '"\\u0000"',
    '"\\ud800"',
    '"__proto__"',
    '"../config.json"',
  ],
  ...[
    '"F32"',
    '"F16"',
    '"I64"',
    '"F4"',
    '"F7"',
    '"/etc/passwd"',
    '"a/b"',
    `"${"long ".repeat(1000)}"`,
    '"\\x"',
    '"\t"',
  ],
];
const KEYS = [
  "",
  "x",
  "__proto__",
  "constructor",
  "__metadata__",
  "\\u0064type",
  "shape",
  "hidden_size",
  "model_type",
  "0",
];

/** `text` of a JSON file with one or more faults, as bytes that may be no JSON any more. */
export function mutateJson(bytes: Uint8Array, random: Random): { bytes: Uint8Array; what: string } {
  const { text, parts } = partsOf(bytes);
  const members = parts.filter((p) => p.key);
  const done = (from: number, to: number, into: string, what: string) => ({
    bytes: new TextEncoder().encode(text.slice(0, from) + into + text.slice(to)),
    what: `${what} at ${from}: ${JSON.stringify(text.slice(from, Math.min(to, from + 40)))} → ${JSON.stringify(into.slice(0, 40))}`,
  });
  // A member of an object with the comma that goes with it.
  const whole = ({ key, to }: Part): [number, number] => {
    const after = /^\s*,/.exec(text.slice(to, to + 50));
    if (after) return [key![0], to + after[0].length];
    const before = /,\s*$/.exec(text.slice(Math.max(0, key![0] - 50), key![0]));
    return [key![0] - (before?.[0].length ?? 0), to];
  };
  switch (random(11)) {
    case 0: {
      const copy = bytes.slice();
      for (let n = 1 + random(3); n; n--) copy[random(copy.length)] ^= 1 << random(8);
      return { bytes: copy, what: "flipped bits" };
    }
    case 1: {
      const to = random(bytes.length);
      return { bytes: bytes.slice(0, to), what: `cut at ${to}` };
    }
    case 2:
    case 3:
    case 4: {
      const numbers = parts.filter((p) => p.kind === "number");
      if (!numbers.length) break;
      const { from, to } = pick(numbers, random);
      const value = Number(text.slice(from, to));
      const near = [value + 1, value - 1, value * 2, -value, value + 0.5, value * 2 ** 32].map(String);
      return done(from, to, pick(random(2) ? near : NUMBERS, random), "number");
    }
    case 5: {
      const strings = parts.filter((p) => p.kind === "string" || p.kind === "literal");
      if (!strings.length) break;
      const { from, to } = pick(strings, random);
      return done(from, to, pick(STRINGS, random), "string");
    }
    case 6: {
      if (!members.length) break;
      return done(...whole(pick(members, random)), "", "dropped");
    }
    case 7: {
      if (!members.length) break;
      // Twice the same, or the same name for another's value.
      const { key, to } = pick(members, random);
      const other = random(2) ? pick(members, random) : { from: to, to, key };
      const value =
        other.from === to ? text.slice(key![0], to) : `${text.slice(...key!)}:${text.slice(other.from, other.to)}`;
      return done(key![0], key![0], `${value},`, "twice");
    }
    case 8: {
      if (!members.length) break;
      return done(...pick(members, random).key!, `"${pick(KEYS, random)}"`, "renamed");
    }
    case 9: {
      const { from, to } = pick(parts, random);
      const depth = pick([3, 100, 5000, 20_000], random);
      const [left, right] = random(2) ? ["[", "]"] : ['{"a":', "}"];
      return done(from, to, left.repeat(depth) + (left === "[" ? "" : "1") + right.repeat(depth), "nested");
    }
    case 10: {
      const [a, b] = [pick(parts, random), pick(parts, random)];
      return done(a.from, a.to, text.slice(b.from, b.to), "copied");
    }
  }
  return done(0, 0, pick([" ", "\ufeff", "[", "{}", "\u0000", "//\n"], random), "before");
}

/** A safetensors file with one or more faults in its length, its header or its end. */
export function mutateSafetensors(file: Uint8Array, random: Random): { bytes: Uint8Array; what: string } {
  const view = new DataView(file.buffer, file.byteOffset);
  const length = Number(view.getBigUint64(0, true));
  const build = (header: Uint8Array, what: string, told: number | bigint = header.length, from = 8 + length) => {
    const bytes = new Uint8Array(8 + header.length + file.length - from);
    new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, BigInt(told)), true);
    bytes.set(header, 8);
    bytes.set(file.subarray(from), 8 + header.length);
    return { bytes, what };
  };
  const header = headers.get(file) ?? file.slice(8, 8 + length);
  headers.set(file, header);
  switch (random(12)) {
    case 0: {
      const bytes = file.slice();
      for (let n = 1 + random(3); n; n--) bytes[random(8 + length)] ^= 1 << random(8);
      return { bytes, what: "flipped bits" };
    }
    case 1: {
      const to = random(2) ? random(file.length) : file.length - 1 - random(Math.min(9, file.length));
      return { bytes: file.slice(0, to), what: `cut at ${to}` };
    }
    case 2: {
      const bytes = new Uint8Array(file.length + 1 + random(9));
      bytes.set(file);
      return { bytes, what: "longer" };
    }
    case 3: {
      const told = [
        0,
        1,
        7,
        length - 1,
        length + 1,
        length - 8,
        length + 8,
        file.length,
        1e8,
        1e8 + 1,
        2 ** 31,
        2 ** 53,
      ];
      const lie = random(4) ? BigInt(pick(told, random)) : 2n ** 64n - 1n - BigInt(random(9));
      return build(header, `header of ${lie} bytes`, lie);
    }
    case 4: {
      // Offsets of one tensor moved, or exchanged with another's: overlaps, holes, ends before their begin.
      const text = new TextDecoder().decode(header);
      const spans = [...text.matchAll(/"data_offsets"\s*:\s*\[\s*(\d+)\s*,\s*(\d+)\s*\]/g)];
      if (!spans.length) break;
      const at = pick(spans, random);
      const [, a, b] = pick(spans, random);
      const by = pick([-8, -4, -1, 1, 2, 4, 8, 1 << 20], random);
      const [x, y] = [+at[1], +at[2]];
      const offsets = pick(
        [[x + by, y + by], [x + by, y], [x, y + by], [y, x], [a, b], [x, b], [x, y, y], [x]],
        random,
      );
      const changed = `${text.slice(0, at.index)}"data_offsets":[${offsets}]${text.slice(at.index + at[0].length)}`;
      return build(new TextEncoder().encode(changed), `offsets ${offsets}`);
    }
    case 5: {
      // The shape's product stays, or nearly.
      const text = new TextDecoder().decode(header);
      const spans = [...text.matchAll(/"shape"\s*:\s*\[([^\]]*)\]/g)];
      if (!spans.length) break;
      const at = pick(spans, random);
      const dims = at[1].split(",").filter(Boolean).map(Number);
      const n = dims.reduce((p, d) => p * d, 1);
      const huge = 2 ** 32;
      const lies = [
        [n],
        [1, ...dims],
        [...dims, 1],
        [-1, -n],
        [n / 2, 2],
        [huge, huge, n],
        [0, huge, huge, huge],
        [huge, huge, 0],
        [],
      ];
      const shape = pick([...lies, Array(40).fill(1e300), dims.toReversed()], random);
      const changed = `${text.slice(0, at.index)}"shape":[${shape}]${text.slice(at.index + at[0].length)}`;
      return build(new TextEncoder().encode(changed), `shape ${shape}`);
    }
  }
  const { bytes, what } = mutateJson(header, random);
  return build(bytes, what);
}
const headers = new WeakMap<Uint8Array, Uint8Array>();

/** A set of files with a fault in one of them; a file may also be missing or empty. */
export function mutateFiles(
  files: Readonly<Record<string, Uint8Array>>,
  random: Random,
): { files: Record<string, Uint8Array>; what: string } {
  const name = pick(Object.keys(files), random);
  const { [name]: old, ...rest } = files;
  if (!random(40)) return { files: rest, what: `${name}: gone` };
  if (!random(40)) return { files: { ...files, [name]: new Uint8Array(0) }, what: `${name}: empty` };
  const { bytes, what } = name.endsWith(".safetensors") ? mutateSafetensors(old, random) : mutateJson(old, random);
  return { files: { ...files, [name]: bytes }, what: `${name}: ${what}` };
}
