import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { exp, log, pow } from "../src/numeric.ts";

/** V8's functions are right to an ulp (2.2e-16), so a distance of less than 1e-15 from them is as far as they can tell. */
function near(got: number, want: number): void {
  expect(got === want || Math.abs(got - want) <= 1e-15 * Math.abs(want), `${got} for ${want}`).toBe(true);
}
const positive = fc.double({ min: 1e-300, max: 1e300, noNaN: true });

describe("numeric", () => {
  it("log", () => {
    fc.assert(
      fc.property(positive, (x) => near(log(x), Math.log(x))),
      { numRuns: 2000 },
    );
    fc.assert(
      fc.property(fc.double({ min: 0.5, max: 2, noNaN: true }), (x) => near(log(x), Math.log(x))),
      { numRuns: 2000 },
    );
    for (const x of [1, 5e-324, Number.MAX_VALUE, 0, Number.POSITIVE_INFINITY]) near(log(x), Math.log(x));
    expect(log(-1)).toBeNaN();
    expect(log(Number.NaN)).toBeNaN();
  });

  it("exp", () => {
    fc.assert(
      fc.property(fc.double({ min: -700, max: 709, noNaN: true }), (x) => near(exp(x), Math.exp(x))),
      { numRuns: 2000 },
    );
    for (const x of [0, -0, 1, -1, 1e-9, -800, 800, Number.NEGATIVE_INFINITY]) near(exp(x), Math.exp(x));
    expect(exp(Number.NaN)).toBeNaN();
  });

  it("pow", () => {
    const base = fc.double({ min: 1e-6, max: 1e6, noNaN: true });
    fc.assert(
      fc.property(base, fc.double({ min: -40, max: 40, noNaN: true }), (b, e) => near(pow(b, e), b ** e)),
      { numRuns: 5000 },
    );
    for (let e = -40; e < 40; e++) near(pow(3, e), 3 ** e);
    near(pow(10000, 0.5), 100);
    near(pow(160000, 0.75), 8000);
  });
});
