import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  InputError,
  pipeline,
  type RecommendationSession,
  type Tensor,
  TokenOutOfRangeError,
} from "../../src/host/node.ts";

const tiny = fileURLToPath(new URL("../fixtures/models/sasrec", import.meta.url));
const MOST = 12;
const ITEMS = 37;
const history = (maxLength: number) => fc.array(fc.integer({ min: 1, max: ITEMS }), { minLength: 1, maxLength });

describe("recommendation", () => {
  it("a session's scores are, bit for bit, those of a run over its history, however events come", async () => {
    const recommend = await pipeline("recommendation", tiny);
    const whole = async (items: readonly number[]) => {
      const { logits } = await recommend.model.forward({ input_ids: [items.slice(-MOST)] }, { outputs: ["logits"] });
      return (logits as Tensor).data.slice(-(ITEMS + 1));
    };
    await fc.assert(
      fc.asyncProperty(fc.array(history(5), { minLength: 1, maxLength: 8 }), async (parts) => {
        const session = await recommend.session();
        const items: number[] = [];
        for (const part of parts) {
          // Without waiting: the session keeps the order.
          const added = part.length === 1 ? session.add(part[0]) : session.add(part);
          items.push(...part);
          const scores = await session.scores();
          await added;
          expect(scores).toEqual(await whole(items));
          expect(session.items).toEqual(items.slice(-MOST));
        }
        expect(await session.recommend({ exclude_seen: true })).toEqual(await recommend(items, { exclude_seen: true }));
        session.dispose();
      }),
      { numRuns: 25 },
    );
    recommend.dispose();
  });

  it("gives what sorting all scores gives, without those left out; several histories give what each does alone", async () => {
    const recommend = await pipeline("recommendation", tiny);
    await fc.assert(
      fc.asyncProperty(
        fc.array(history(20), { minLength: 1, maxLength: 4 }),
        fc.uniqueArray(fc.integer({ min: 1, max: ITEMS })),
        fc.integer({ min: 1, max: 50 }),
        fc.boolean(),
        async (histories, exclude, top_k, exclude_seen) => {
          const lists = await recommend(histories, { exclude, top_k, exclude_seen });
          for (const [b, items] of histories.entries()) {
            const { logits } = await recommend.model.forward({ input_ids: [items.slice(-MOST)] });
            const scores = (logits as Tensor).data.slice(-(ITEMS + 1));
            const wanted = Array.from(scores, (score, item) => ({ item, score }))
              .filter(({ item }) => item && !exclude.includes(item) && !(exclude_seen && items.includes(item)))
              .sort((x, y) => y.score - x.score || x.item - y.item)
              .slice(0, top_k);
            expect(lists[b]).toEqual(wanted);
            expect(await recommend(items, { exclude, top_k, exclude_seen })).toEqual(wanted);
          }
        },
      ),
      { numRuns: 25 },
    );
    recommend.dispose();
  });

  it("refuses what is no item, and goes on", async () => {
    const recommend = await pipeline("recommendation", tiny);
    const session: RecommendationSession = await recommend.session();
    await expect(session.recommend()).rejects.toThrow(InputError);
    for (const bad of [0, -1, ITEMS + 1, 1.5, Number.NaN]) {
      await expect(session.add([3, bad])).rejects.toThrow(TokenOutOfRangeError);
      await expect(recommend([3, bad])).rejects.toThrow(TokenOutOfRangeError);
      await expect(recommend([3], { exclude: [bad] })).rejects.toThrow(TokenOutOfRangeError);
    }
    await expect(recommend([])).rejects.toThrow(InputError);
    await expect(recommend([[1], []])).rejects.toThrow(InputError);
    await session.add([5, 6]);
    // Aborted while all rows were to be computed anew: the next event finds them lost.
    const signal = AbortSignal.abort();
    await expect(session.add(new Array(MOST).fill(9), { signal })).rejects.toThrow("abort");
    await session.add(7);
    expect(session.items).toEqual([5, 6, 7]);
    expect(await session.recommend()).toEqual(await recommend([5, 6, 7]));
    recommend.dispose();
  });

  it("is for models of items", async () => {
    const bert = fileURLToPath(new URL("../fixtures/models/bert", import.meta.url));
    await expect(pipeline("recommendation", bert)).rejects.toThrow(/sasrec/);
  });
});

const real = new URL("../../../shared/models/sasrec-ml1m/", import.meta.url);
it.skipIf(!existsSync(real))(
  "the reference checkpoint's own best ten (skipped where ../shared is not there)",
  async () => {
    const recommend = await pipeline("recommendation", fileURLToPath(real));
    for (const { items, top10 } of JSON.parse(readFileSync(new URL("reference.json", real), "utf8"))) {
      expect((await recommend(items)).map(({ item }) => item)).toEqual(top10);
      const session = await recommend.session();
      for (const item of items) await session.add(item);
      expect((await session.recommend()).map(({ item }) => item)).toEqual(top10);
    }
    recommend.dispose();
  },
);
