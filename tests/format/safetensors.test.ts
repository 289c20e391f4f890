import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AbortError, FormatError } from "../../src/errors.ts";
import { byteReader, chunkReader } from "../../src/format/read.ts";
import { dtypeBits, readHeader, streamTensors } from "../../src/format/safetensors.ts";
import { chunks, gather, readTensors } from "./helpers.ts";
import { oracleSafetensors } from "./oracle.ts";
import { assemble, tensor, writeSafetensors } from "./write.ts";

const floats = (n: number) => Float32Array.from({ length: n }, (_, i) => i / 7);
const small = writeSafetensors(
  {
    a: tensor(floats(12), [4, 3]),
    none: tensor(floats(0), [0, 5]),
    scalar: tensor(floats(1), []),
    ids: tensor(BigInt64Array.of(1n, -2n), [2]),
    half: tensor(Uint16Array.of(1, 2, 3), [3, 1], "F16"),
  },
  { format: "pt" },
);
const data = new Uint8Array(16);
const info = (dtype: unknown, shape: unknown, data_offsets: unknown) => ({ dtype, shape, data_offsets });
const whole = info("F32", [4], [0, 16]);

describe("readHeader", () => {
  it("reads what was written", async () => {
    const { header, data } = await readTensors(small);
    expect(header.metadata).toEqual({ format: "pt" });
    expect([...header.tensors.keys()]).toEqual(["a", "none", "scalar", "ids", "half"]);
    expect(header.tensors.get("a")).toEqual({ name: "a", dtype: "F32", shape: [4, 3], begin: 0, end: 48 });
    expect(header.start + header.bytes).toBe(small.length);
    for (const [name, { data: want }] of oracleSafetensors(small)!.tensors)
      if (want.length) expect(data.get(name)).toEqual(want);
  });

  it("sorts tensors by their place", async () => {
    const file = assemble({ b: info("F32", [2], [8, 16]), a: info("U8", [8], [0, 8]) }, data);
    expect([...(await readHeader(byteReader(file), "f")).tensors.keys()]).toEqual(["a", "b"]);
  });

  it("takes a name that is a trap in JavaScript", async () => {
    const file = assemble('{"__proto__":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', data);
    expect([...(await readHeader(byteReader(file), "f")).tensors.keys()]).toEqual(["__proto__"]);
  });

  it("takes every dtype of the specification and knows its size", async () => {
    const sizes = { BOOL: 8, U8: 8, I8: 8, F4: 4, F6_E2M3: 6, F6_E3M2: 6, F8_E5M2: 8, F8_E4M3: 8, F8_E8M0: 8 };
    const wide = { I16: 16, U16: 16, F16: 16, BF16: 16, I32: 32, U32: 32, F32: 32, C64: 64, F64: 64, I64: 64, U64: 64 };
    for (const [dtype, bits] of Object.entries({ ...sizes, ...wide, F8_E4M3FNUZ: 8, F8_E5M2FNUZ: 8 })) {
      const file = assemble({ a: info(dtype, [2, 4], [0, bits]) }, new Uint8Array(bits));
      const { tensors } = await readHeader(byteReader(file), "f");
      expect(dtypeBits(tensors.get("a")!.dtype)).toBe(bits);
    }
  });

  const wrong: [what: string, file: Uint8Array, message: RegExp, offset: number][] = [
    ["an empty file", new Uint8Array(0), /too short/, 0],
    ["7 bytes", new Uint8Array(7), /too short/, 7],
    ["a length beyond the file", assemble({ a: whole }, data, 10_000), /header of 10000 bytes/, 0],
    ["an absurd length", assemble({ a: whole }, data, 2n ** 64n - 1n), /header of 18446744073709552000 bytes/, 0],
    ["no JSON", assemble("{nonsense}", data), /is no JSON/, 8],
    ["invalid UTF-8", assemble(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d), data), /is no JSON/, 8],
    ["an array", assemble("[]", data), /begin its header/, 8],
    ["leading space", assemble(" {}", new Uint8Array(0)), /begin its header/, 8],
    ["a byte order mark", assemble("\ufeff{}", new Uint8Array(0)), /begin its header/, 8],
    ["an empty header", assemble("", data), /begin its header/, 8],
    ["metadata that is no text", assemble({ __metadata__: { a: 1 }, t: whole }, data), /__metadata__/, 8],
    ["metadata that is null", assemble({ __metadata__: null, t: whole }, data), /__metadata__/, 8],
    ["an info that is no object", assemble({ a: [1, 2, 3] }, data), /"a" must have/, 8],
    ["a dropped key", assemble({ a: { dtype: "F32", shape: [4] } }, data), /"a" must have/, 8],
    ["one key too many", assemble({ a: { ...whole, x: 1 } }, data), /"a" must have/, 8],
    ["an unknown dtype", assemble({ a: info("F31", [4], [0, 16]) }, data), /unknown dtype F31/, 8],
    ["a dtype that is no text", assemble({ a: info(["F32"], [4], [0, 16]) }, data), /unknown dtype an array/, 8],
    ["a negative dim", assemble({ a: info("F32", [-4], [0, 16]) }, data), /impossible shape/, 8],
    ["a broken dim", assemble({ a: info("F32", [1.5], [0, 6]) }, data), /impossible shape/, 8],
    ["a dim as text", assemble({ a: info("F32", ["4"], [0, 16]) }, data), /impossible shape/, 8],
    ["dims beyond 2^53", assemble({ a: info("F32", [2 ** 40, 2 ** 40], [0, 16]) }, data), /impossible shape/, 8],
    ["huge dims and a 0", assemble({ a: info("F32", [2 ** 40, 2 ** 40, 0], [0, 0]) }, data), /impossible shape/, 8],
    ["dims that make infinity", assemble({ a: info("F32", Array(99).fill(2 ** 52), [0, 16]) }, data), /impossible/, 8],
    ["a shape that is no list", assemble({ a: info("F32", 4, [0, 16]) }, data), /impossible shape/, 8],
    ["one offset", assemble({ a: info("F32", [4], [16]) }, data), /impossible data_offsets/, 8],
    ["a negative offset", assemble({ a: info("F32", [4], [-16, 0]) }, data), /impossible data_offsets/, 8],
    ["an end before the begin", assemble({ a: info("F32", [4], [16, 0]) }, data), /cannot have 4 × F32/, 80],
    ["too few bytes", assemble({ a: info("F32", [5], [0, 16]) }, data), /cannot have 5 × F32 in bytes 0 to 16/, 64],
    ["half a byte", assemble({ a: info("F4", [3], [0, 2]) }, data), /cannot have 3 × F4/, 64],
    ["an overlap", assemble({ a: whole, b: info("F32", [2], [8, 16]) }, data), /"b" begins at 8.*ends at 16/, 128],
    ["a hole", assemble({ a: info("F32", [2], [8, 16]) }, data), /"a" begins at 8.*ends at 0/, 72],
    ["the same bytes twice", assemble({ a: whole, b: whole }, data), /"b" begins at 0/, 120],
    ["a tensor beyond the end", assemble({ a: info("F32", [5], [0, 20]) }, data), /has 80 bytes.*tells of 84/, 80],
    ["bytes after the last", assemble({ a: info("F32", [3], [0, 12]) }, data), /has 80 bytes.*tells of 76/, 76],
    ["the same name twice", assemble(`{"a":${JSON.stringify(whole)},"a":${JSON.stringify(whole)}}`, data), /twice/, 8],
    [
      "the same name spelled twice",
      assemble(`{"a":${JSON.stringify(whole)},"\\u0061":${JSON.stringify(whole)}}`, data),
      /twice/,
      8,
    ],
    [
      "a field twice",
      assemble('{"a":{"dtype":"F32","shape":[4],"shape":[4],"data_offsets":[0,16]}}', data),
      /twice/,
      8,
    ],
    ["deep nesting", assemble(`{"a":${"[".repeat(1e5)}${"]".repeat(1e5)}}`, data), /"a" must have/, 8],
  ];
  it.each(wrong)("refuses %s", async (_, file, message, offset) => {
    const error = await readHeader(byteReader(file), "f.safetensors").catch((e) => e);
    expect(error).toBeInstanceOf(FormatError);
    expect(error.message).toMatch(message);
    expect({ file: error.file, offset: error.offset }).toEqual({ file: "f.safetensors", offset });
    expect(oracleSafetensors(file)).toBeUndefined();
  });

  it("does not wait for a header beyond the specification's limit", async () => {
    const file = assemble("{", data, 1e8 + 1);
    let given = 0;
    const next = () => (given++ ? { value: new Uint8Array(1 << 16) } : { value: file });
    const error = await readHeader(chunkReader({ next }), "f").catch((e) => e);
    expect(error.message).toMatch(/header of 100000001 bytes/);
    expect(given).toBe(1);
  });

  it("does not believe a colon or quote within a string", async () => {
    const odd = { 'a:"b\\': tensor(floats(2), [2]), "\\": tensor(floats(1), [1]) };
    const { header } = await readTensors(writeSafetensors(odd, { '":': '\\":{' }));
    expect([...header.tensors.keys()]).toEqual(Object.keys(odd));
  });

  it("shows a huge name shortened", async () => {
    const file = assemble({ ["n".repeat(1e6)]: info("F32", [-1], [0, 16]) }, data);
    const error = await readHeader(byteReader(file), "f").catch((e) => e);
    expect(error.message.length).toBeLessThan(200);
  });
});

describe("streamTensors", () => {
  it("gives the same tensors whatever the chunks and the windows", async () => {
    const want = oracleSafetensors(small)!.tensors;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(40), { minLength: 1, maxLength: 12 }).filter((sizes) => sizes.some(Boolean)),
        fc.integer({ min: 1, max: 5 }),
        async (sizes, rows) => {
          const { header, data } = await readTensors(byteReader(chunks(small, sizes)), rows);
          expect([...header.tensors.keys()]).toEqual([...want.keys()]);
          for (const [name, tensor] of want) expect(data.get(name)).toEqual(tensor.data);
        },
      ),
      { numRuns: 200 },
    );
  });

  it("gives any tensors back", async () => {
    const one = fc.record({
      dtype: fc.constantFrom("F32", "F16", "I64", "U8"),
      shape: fc.array(fc.nat(4), { maxLength: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.dictionary(fc.string(), one, { maxKeys: 6 }), fc.nat(200), async (all, seed) => {
        delete all.__metadata__;
        const bytes = { F32: 4, F16: 2, I64: 8, U8: 1 } as Record<string, number>;
        const written = Object.entries(all).map(([name, { dtype, shape }]) => {
          const data = new Uint8Array(shape.reduce((a, b) => a * b, 1) * bytes[dtype]).map((_, i) => i * 7 + seed);
          return [name, { dtype, shape, data }] as const;
        });
        const { header, data } = await readTensors(writeSafetensors(Object.fromEntries(written)));
        expect(new Set(header.tensors.keys())).toEqual(new Set(Object.keys(all)));
        for (const [name, w] of written) {
          expect(data.get(name)).toEqual(w.data);
          expect(header.tensors.get(name)!.shape).toEqual(w.shape);
        }
      }),
      { numRuns: 200 },
    );
  });

  it("asks for the window anew before each read, and never beyond the tensor", async () => {
    const reader = byteReader(small);
    const header = await readHeader(reader, "f");
    const asked: string[] = [];
    await streamTensors(reader, "f", header, ({ name }) => ({
      window: () => {
        asked.push(name);
        return new Uint8Array(24);
      },
      flush: (n) => void asked.push(`${n}`),
    }));
    expect(asked).toEqual(["a", "24", "a", "24", "scalar", "4", "ids", "16", "half", "6"]);
  });

  it("reads straight into WebAssembly memory that grows between the reads", async () => {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 9 });
    const reader = byteReader(chunks(small, [5]));
    const header = await readHeader(reader, "f");
    await streamTensors(reader, "f", header, ({ name, begin, end }) =>
      name !== "a"
        ? undefined
        : {
            window: () => new Uint8Array(memory.buffer, 64, 12),
            flush: (n) => {
              const bytes = new Uint8Array(memory.buffer);
              bytes.copyWithin(1024 + at, 64, 64 + n);
              at += n;
              memory.grow(1);
              expect(end - begin).toBe(48);
            },
          },
    );
    expect(new Float32Array(memory.buffer, 1024, 12)).toEqual(floats(12));
  });
  let at = 0;

  it("counts every byte, of skipped tensors too", async () => {
    const reader = byteReader(small);
    const header = await readHeader(reader, "f");
    let sum = 0;
    const onProgress = (n: number) => {
      sum += n;
    };
    await streamTensors(
      reader,
      "f",
      header,
      ({ name }) => (name === "a" ? gather().sink(header.tensors.get(name)!) : undefined),
      {
        onProgress,
      },
    );
    expect(sum).toBe(header.bytes);
  });

  it("waits for a flush that takes its time", async () => {
    const reader = byteReader(small);
    const header = await readHeader(reader, "f");
    let busy = false;
    await streamTensors(reader, "f", header, () => ({
      window: () => {
        expect(busy).toBe(false);
        return new Uint8Array(8);
      },
      flush: async () => {
        busy = true;
        await new Promise((done) => setTimeout(done, 1));
        busy = false;
      },
    }));
  });

  it("says where a file ends too soon, at every length", async () => {
    for (let length = 0; length < small.length; length++) {
      const error = await readTensors(byteReader(chunks(small.slice(0, length), [11]))).catch((e) => e);
      expect(error).toBeInstanceOf(FormatError);
      expect(error.offset).toBe(length);
    }
  });

  it("finds bytes after the last tensor of a stream", async () => {
    const longer = new Uint8Array(small.length + 1);
    longer.set(small);
    const error = await readTensors(byteReader(chunks(longer, [64]))).catch((e) => e);
    expect(error).toBeInstanceOf(FormatError);
    expect(error.offset).toBe(small.length);
  });

  it("does not hang on an empty window", async () => {
    const reader = byteReader(small);
    const header = await readHeader(reader, "f");
    const sink = () => ({ window: () => new Uint8Array(0), flush: () => {} });
    await expect(streamTensors(reader, "f", header, sink)).rejects.toThrow(FormatError);
  });

  it("stops between chunks when aborted", async () => {
    const controller = new AbortController();
    const reader = byteReader(small);
    const header = await readHeader(reader, "f");
    let flushed = 0;
    const sink = () => ({
      window: () => new Uint8Array(8),
      flush: () => {
        if (++flushed === 2) controller.abort("enough");
      },
    });
    const error = await streamTensors(reader, "f", header, sink, { signal: controller.signal }).catch((e) => e);
    expect(error).toBeInstanceOf(AbortError);
    expect(error.cause).toBe("enough");
    expect(flushed).toBe(2);
  });
});

it("a tensor may be called as what objects inherit", async () => {
  for (const name of ["__proto__", "constructor", "toString"]) {
    const written = writeSafetensors(Object.fromEntries([[name, tensor(Float32Array.of(1, 2), [2])]]));
    expect([...(await readTensors(written)).header.tensors.keys()]).toEqual([name]);
  }
});
