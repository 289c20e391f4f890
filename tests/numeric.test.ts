import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cos, exp, log, pow, sin } from "../src/numeric.ts";

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

  it("sin and cos", () => {
    const angle = fc.oneof(
      fc.double({ min: -1e6, max: 1e6, noNaN: true }),
      fc.double({ min: -10, max: 10, noNaN: true }),
    );
    const close = (got: number, want: number) => expect(Math.abs(got - want)).toBeLessThanOrEqual(3e-16);
    fc.assert(
      fc.property(angle, (x) => {
        close(sin(x), Math.sin(x));
        close(cos(x), Math.cos(x));
      }),
      { numRuns: 5000 },
    );
    for (const [i, want] of [0, 1, 0, -1].entries()) close(sin((i * Math.PI) / 2), want);
    expect(sin(Number.NaN)).toBeNaN();
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
