import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { DurableStore, durableStores } from "../../src/cli/serve/durable.ts";
import { crc32, encode, readAll } from "../../src/cli/serve/records.ts";
import { FormatError, InputError } from "../../src/host/node.ts";
import { serve } from "./run.ts";

const base = mkdtempSync(join(tmpdir(), "wattention-durable-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));
let folders = 0;
const folder = () => mkdtempSync(join(base, `${folders++}-`));

const info = { model: "m", dim: 2 };
const vector = (angle: number) => Float32Array.of(Math.cos(angle), Math.sin(angle));
const open = (at: string, name = "a", about = info) =>
  DurableStore.open(at, name, about, true) as Promise<DurableStore>;
const ids = (store: DurableStore) => [...store.memory.documents()].map(({ id }) => id).sort();

describe("records", () => {
  it("have the checksum that others compute", () => {
    expect(crc32(new TextEncoder().encode("123456789"))).toBe(0xcbf43926); // the check value of CRC-32/ISO-HDLC
    expect(crc32(new TextEncoder().encode("6789"), crc32(new TextEncoder().encode("12345")))).toBe(0xcbf43926);
  });

  it("come back, up to wherever a file is cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.jsonValue(), fc.float32Array({ maxLength: 4, noNaN: true })), { maxLength: 5 }),
        fc.nat(),
        (all, cut) => {
          const records = all.map(([json, numbers]) => encode(json, numbers));
          const bytes = Buffer.concat(records);
          const end = cut % (bytes.length + 1);
          const found = [];
          const rest = readAll(bytes.subarray(0, end), "f");
          let step = rest.next();
          for (; !step.done; step = rest.next()) found.push(step.value);
          let whole = 0;
          let at = 0;
          while (whole < records.length && at + records[whole].length <= end) at += records[whole++].length;
          expect(step.value).toBe(at);
          expect(found).toHaveLength(whole);
          for (const [i, { json, numbers }] of found.entries()) {
            expect(json).toEqual(JSON.parse(JSON.stringify(all[i][0])));
            expect(numbers).toEqual(all[i][1]);
          }
        },
      ),
    );
  });

  it("tell damage in the middle from an end that was never written", () => {
    const records = Array.from({ length: 6 }, (_, i) => encode({ put: [i] }, new Float32Array(8)));
    const bytes = Buffer.concat(records);
    const last = bytes.length - records[5].length;
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (place, change) => {
        const bad = Buffer.from(bytes);
        bad[place] ^= change;
        const read = () => [...readAll(bad, "the-file")].length;
        if (place >= last) expect(read()).toBe(5);
        else {
          const at = Math.floor(place / records[0].length) * records[0].length;
          expect(read).toThrow(expect.objectContaining({ name: "FormatError", file: "the-file", offset: at }));
        }
      }),
    );
  });
});

describe("a durable index", () => {
  it("is there again, with what was put, replaced and removed", async () => {
    const at = folder();
    let store = await open(at);
    await store.put(
      [
        { id: "x", text: "old" },
        { id: "y", text: "why", metadata: { n: 1 } },
        { id: "z", text: "gone" },
      ],
      [vector(0), vector(1), vector(2)],
    );
    await Promise.all([store.put([{ id: "x", text: "new" }], [vector(3)]), store.remove(["z", "none"])]);
    await store.close();
    store = await open(at);
    expect(store.size()).toBe(2);
    const [[first, second]] = await store.search([vector(3)], 5);
    expect(first).toEqual({ id: "x", text: "new", score: expect.closeTo(1, 5) });
    expect(second).toEqual({ id: "y", text: "why", metadata: { n: 1 }, score: expect.closeTo(Math.cos(2), 5) });
    await store.close();
  });

  it("writes changes that wait together, in order", async () => {
    const at = folder();
    let store = await open(at);
    const changes = Array.from({ length: 50 }, (_, i) =>
      i % 5 === 4
        ? store.remove([`${i - 1}`]).then((n) => expect(n).toBe(1))
        : store.put([{ id: `${i}`, text: `${i}` }], [vector(i)]),
    );
    await Promise.all(changes);
    const before = ids(store);
    expect(before).toHaveLength(30);
    await store.close();
    store = await open(at);
    expect(ids(store)).toEqual(before);
    await store.close();
  });

  it("drops an end that was never acknowledged, and goes on behind what was", async () => {
    const at = folder();
    let store = await open(at);
    await store.put([{ id: "a", text: "a" }], [vector(0)]);
    await store.close();
    const { size } = statSync(join(at, "a.log"));
    const torn = encode({ put: [{ id: "b", text: "b" }] }, vector(1));
    for (const cut of [1, 5, 13, torn.length - 1]) {
      appendFileSync(join(at, "a.log"), torn.subarray(0, cut));
      store = await open(at);
      expect(ids(store)).toEqual(["a"]);
      expect(statSync(join(at, "a.log")).size).toBe(size);
      await store.close();
    }
    store = await open(at);
    await store.put([{ id: "c", text: "c" }], [vector(1)]);
    await store.close();
    store = await open(at);
    expect(ids(store)).toEqual(["a", "c"]);
    await store.close();
  });

  it("names the file and the place of damage, and leaves other people's files alone", async () => {
    const at = folder();
    const file = join(at, "a.log");
    const store = await open(at);
    await store.put([{ id: "a", text: "a" }], [vector(0)]);
    await store.put([{ id: "b", text: "b" }], [vector(1)]);
    await store.close();
    const bytes = readFileSync(file);
    bytes[encode({ version: 1, ...info }).length + 20] ^= 1;
    writeFileSync(file, bytes);
    await expect(open(at)).rejects.toMatchObject({ file, offset: encode({ version: 1, ...info }).length });
    await expect(open(at)).rejects.toBeInstanceOf(FormatError);
    expect(readFileSync(file)).toEqual(bytes);
    writeFileSync(join(at, "b.log"), "GET / 200\n");
    await expect(open(at, "b")).rejects.toBeInstanceOf(FormatError);
    expect(readFileSync(join(at, "b.log"), "utf8")).toBe("GET / 200\n");
  });

  it("refuses another model, and vectors that are none", async () => {
    const at = folder();
    const store = await open(at);
    await expect(store.put([{ id: "n", text: "" }], [Float32Array.of(Number.NaN, 0)])).rejects.toBeInstanceOf(
      InputError,
    );
    await store.close();
    await expect(open(at, "a", { model: "n", dim: 2 })).rejects.toThrow("was made by m");
    await expect(open(at, "a", { model: "m", dim: 3 })).rejects.toBeInstanceOf(InputError);
    expect(await DurableStore.open(at, "none", info, false)).toBe(undefined);
  });

  it("is written anew when most of it is gone", async () => {
    const at = folder();
    let store = await open(at);
    const text = "long ".repeat(5000);
    for (let round = 0; round < 8; round++)
      await Promise.all(
        Array.from({ length: 20 }, (_, i) => store.put([{ id: `${i}`, text: `${text}${round}` }], [vector(i)])),
      );
    expect(statSync(join(at, "a.log")).size).toBeLessThan(3 * 20 * text.length);
    expect(readdirSync(at)).toEqual(["a.log"]);
    await store.put([{ id: "after", text: "after" }], [vector(7)]);
    await store.close();
    store = await open(at);
    expect(store.size()).toBe(21);
    expect([...store.memory.documents()].filter((d) => d.text === `${text}7`)).toHaveLength(20);
    await store.close();
  });

  it("says what was acknowledged, after any cut of its file", async () => {
    const at = folder();
    const store = await open(at);
    // Where the file ended when each change was acknowledged, and what it held then.
    const states: { size: number; ids: string[] }[] = [{ size: 0, ids: [] }];
    const note = () => states.push({ size: statSync(join(at, "a.log")).size, ids: ids(store) });
    note();
    for (let i = 0; i < 12; i++) {
      if (i % 3 === 2) await store.remove([`${i - 2}`]);
      else await store.put([{ id: `${i}`, text: "t".repeat(i) }], [vector(i)]);
      note();
    }
    await store.close();
    const bytes = readFileSync(join(at, "a.log"));
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length), fc.uint8Array({ maxLength: 30 }), async (cut, junk) => {
        const other = folder();
        writeFileSync(join(other, "a.log"), bytes.subarray(0, cut));
        if (cut > states[1].size) appendFileSync(join(other, "a.log"), junk); // what a machine may leave behind the end
        const again = await open(other);
        expect(ids(again)).toEqual(states.findLast(({ size }) => size <= cut)!.ids);
        await again.close();
      }),
      { numRuns: 60 },
    );
  });
});

describe("a folder of indexes", () => {
  it("is one process's, lists, and drops", async () => {
    const at = folder();
    const stores = await durableStores(at);
    await expect(stores.open("none", info, false)).resolves.toBe(undefined);
    const [one, same] = await Promise.all([stores.open("one", info, true), stores.open("one", info, true)]);
    expect(one).toBe(same);
    await one!.put([{ id: "a", text: "a" }], [vector(0)]);
    expect(await stores.list()).toEqual(["one"]);
    writeFileSync(join(at, "lock"), "1\n"); // a process that is there, and is another
    await expect(durableStores(at)).rejects.toBeInstanceOf(InputError);
    writeFileSync(join(at, "lock"), "999999999\n"); // one that is gone
    await (await durableStores(at)).close();
    const dropped = stores.drop("one");
    const next = stores.open("one", info, true); // behind the drop
    expect(await dropped).toBe(true);
    expect(await (await next)!.size()).toBe(0);
    await expect(one!.put([{ id: "b", text: "b" }], [vector(0)])).rejects.toThrow("closed");
    expect(await stores.drop("none")).toBe(false);
    await stores.close();
  });
});

describe("a server that is killed", () => {
  it("has every write that it acknowledged", { timeout: 120_000 }, async () => {
    const at = folder();
    const acknowledged = new Set<string>();
    const asked = new Set<string>();
    const removed = new Set<string>();
    let n = 0;
    for (let life = 0; life < 4; life++) {
      const server = await serve("--index", at, "--quiet");
      const about = await fetch(`${server.url}/v1/indexes/all`);
      if (life) expect((await about.json()).size).toBeGreaterThanOrEqual(acknowledged.size - asked.size);
      let alive = true;
      const client = async () => {
        while (alive) {
          const id = `${life}-${n++}`;
          try {
            const put = await server.post("/v1/indexes/all/documents", {
              documents: [{ id, text: `the text of ${id}` }],
            });
            if (put.status !== 200) continue;
            await put.json();
            acknowledged.add(id);
            if (acknowledged.size % 7) continue;
            asked.add(id); // what the kill cuts the answer off of may have happened
            const gone = await server.post("/v1/indexes/all/documents", { ids: [id] }, { method: "DELETE" });
            if (gone.status === 200 && (await gone.json()).deleted === 1) removed.add(id);
          } catch {
            return; // the kill
          }
        }
      };
      const clients = Array.from({ length: 8 }, client);
      await new Promise((go) => setTimeout(go, 300 + 150 * life));
      await server.stop("SIGKILL");
      alive = false;
      await Promise.all(clients);
    }
    expect(acknowledged.size).toBeGreaterThan(100);
    const stores = await durableStores(at);
    const file = join(at, "all.log");
    const first = readAll(readFileSync(file), file).next().value as { json: { model: string; dim: number } };
    const store = (await stores.open("all", { model: first.json.model, dim: first.json.dim }, false)) as DurableStore;
    const there = new Set(ids(store));
    expect([...acknowledged].filter((id) => !there.has(id) && !asked.has(id))).toEqual([]);
    expect([...removed].filter((id) => there.has(id))).toEqual([]);
    await stores.close();
  });
});
