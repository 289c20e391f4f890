import { expect, it } from "vitest";
import { Graph } from "../../src/graph/graph.ts";
import { bucket } from "../../src/models/mpnet.ts";
import { logBucket, logBucketT5, relativeBias, relativeRows } from "../../src/nn/relative.ts";
import { inverseFrequencies } from "../../src/nn/rope.ts";
import { Session } from "../../src/runtime/session.ts";
import "../../src/host/node.ts";

it("DeBERTa's buckets are transformers' make_log_bucket_position", () => {
  // position_buckets, max_relative_positions, Σ bucket(r) · (r mod 7 + 1) over 0 ≤ r < 2 · max_relative_positions
  const sums = [
    [256, 512, 944931],
    [256, 514, 949445],
    [32, 64, 14526],
    [16, 128, 14969],
    [8, 40, 2220],
    [32, 512, 123161],
    [64, 512, 245233],
    [256, 1024, 1937011],
    [256, 2048, 3946260],
    [10, 50, 3548],
    [9, 50, 2809],
    [24, 100, 17407],
  ];
  for (const [buckets, most, want] of sums) {
    let sum = 0;
    for (let r = 0; r < 2 * most; r++) {
      sum += logBucket(r, buckets, most) * ((r % 7) + 1);
      expect(logBucket(-r, buckets, most)).toBe(-logBucket(r, buckets, most));
    }
    expect(sum, `${buckets} ${most}`).toBe(want);
  }
});

it("rows of distances reach both ends of the table and are clamped there", () => {
  const rows = relativeRows(5, (d) => d);
  expect([...rows]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9]);
  const far = relativeRows(256, (d) => logBucket(d, 256, 512));
  expect(far.length).toBe(2 * 512 + 1);
  expect([far[0], far[512], far.at(-1)]).toEqual([0, 256, 511]);
});

it("MPNet's buckets are transformers' relative_position_bucket", () => {
  let sum = 0;
  for (let d = -600; d <= 600; d++) sum += bucket(d) * ((Math.abs(d) % 7) + 1);
  expect(sum).toBe(107992);
  expect([-600, -9, -8, -7, -1, 0, 1, 7, 8, 600].map(bucket)).toEqual([15, 8, 8, 7, 1, 0, 17, 23, 24, 31]);
});

it("the bias of a head and distance is the table's number for the bucket", async () => {
  const [heads, span] = [3, 4];
  const g = new Graph(new Map());
  const of = (d: number) => Math.min(4, Math.abs(d));
  const bias = relativeBias(g, g.input("table", 5, "f32", heads), heads, span, of);
  const session = await Session.load({ nodes: g.nodes, outputs: { bias } }, []);
  const table = Float32Array.from({ length: 5 * heads }, (_, i) => i * i);
  const got = await session.run(["bias"], { T: 1, B: 1, P: 1, S: 0, R: 0 }, { table }, ([v], copy) => copy(v));
  for (let h = 0; h < heads; h++)
    for (let d = -span; d <= span; d++) expect(got[h * 9 + d + span]).toBe(table[of(d) * heads + h]);
  session.dispose();
});

it("inverse frequencies are PyTorch's, bit for bit", () => {
  // 1 / (160000 ** (torch.arange(0, 64, 2).float() / 64)), every fourth
  const want = [1, 0.22360679507255554, 0.05000000074505806, 0.011180340312421322];
  const more = [0.0024999999441206455, 0.0005590170039795339, 0.0001250000059371814, 0.000027950851290370338];
  expect([...inverseFrequencies(64, 160000)].filter((_, i) => i % 4 === 0)).toEqual([...want, ...more]);
});

// The first distance of each bucket behind the query, as T5Attention._relative_position_bucket of transformers 5.23 on torch 2.15 has it.
it.each([
  { buckets: 8, most: 20, both: true, starts: [0, 1, 2, 7] },
  { buckets: 10, most: 24, both: true, starts: [0, 1, 2, 5, 11] },
  { buckets: 10, most: 24, both: false, starts: [0, 1, 2, 3, 4, 5, 7, 10, 13, 18] },
  { buckets: 32, most: 128, both: true, starts: [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91] },
  {
    buckets: 32,
    most: 128,
    both: false,
    starts: [
      0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99,
      113,
    ],
  },
  {
    buckets: 33,
    most: 100,
    both: false,
    starts: [
      0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 23, 25, 28, 31, 35, 38, 43, 48, 53, 59, 65, 73,
      81, 90,
    ],
  },
])("T5's $buckets buckets up to $most, both sides $both", ({ buckets, most, both, starts }) => {
  const own = both ? Math.floor(buckets / 2) : buckets;
  for (let n = 0; n <= 1100; n++) {
    const index = starts.filter((first) => first <= n).length - 1;
    // Where f32 rounds a bucket away there is one less: the last one is the last in any case.
    const bucket = logBucketT5(-n, buckets, most, both);
    if (n < Math.floor(own / 2)) expect(bucket).toBe(n);
    expect(logBucketT5(-n - 1, buckets, most, both) > bucket).toBe(starts.includes(n + 1));
    if (index === starts.length - 1) expect(bucket).toBe(own - 1);
    expect(logBucketT5(n, buckets, most, both)).toBe(!both || !n ? 0 : bucket + own);
  }
});
