import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ALIGNMENT, type Buffer, plan } from "../../src/graph/plan.ts";

const buffer = fc
  .record({ bytes: fc.integer({ min: 0, max: 5000 }), first: fc.nat(40), length: fc.nat(20) })
  .map(({ bytes, first, length }): Buffer => ({ bytes, first, last: first + length }));

describe("the memory planner", () => {
  it("never lets two live buffers overlap, and says the bytes it takes", () => {
    fc.assert(
      fc.property(fc.array(buffer, { maxLength: 60 }), (buffers) => {
        const { offsets, bytes } = plan(buffers);
        buffers.forEach((a, i) => {
          expect(offsets[i] % ALIGNMENT).toBe(0);
          expect(offsets[i] + a.bytes).toBeLessThanOrEqual(bytes);
          buffers.slice(0, i).forEach((b, j) => {
            const together = a.first <= b.last && b.first <= a.last;
            const apart = offsets[i] + a.bytes <= offsets[j] || offsets[j] + b.bytes <= offsets[i];
            expect(!together || apart || !a.bytes || !b.bytes).toBe(true);
          });
        });
      }),
      { numRuns: 500 },
    );
  });

  it("reuses the memory of what is dead", () => {
    const chain = Array.from({ length: 50 }, (_, i) => ({ bytes: 1024, first: i, last: i + 1 }));
    expect(plan(chain).bytes).toBe(2048);
  });

  it("takes no less than what lives at once, and on random plans little more", () => {
    let excess = 0;
    let runs = 0;
    fc.assert(
      fc.property(fc.array(buffer, { minLength: 5, maxLength: 40 }), (buffers) => {
        const at = (step: number) => buffers.filter((b) => b.first <= step && step <= b.last);
        const round = (n: number) => Math.ceil(n / ALIGNMENT) * ALIGNMENT;
        const least = Math.max(...buffers.map((b) => at(b.first).reduce((n, x) => n + round(x.bytes), 0)));
        const { bytes } = plan(buffers);
        expect(bytes).toBeGreaterThanOrEqual(least);
        excess += bytes / Math.max(1, least) - 1;
        runs++;
      }),
    );
    expect(excess / runs).toBeLessThan(0.15);
  });
});
