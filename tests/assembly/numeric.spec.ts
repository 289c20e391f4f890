import { Activation } from "../../src/graph/op";
import { activate, cos } from "../../assembly/numeric";
import { normal, ulps, worse } from "./oracle";

const SQRT_2_PI: f64 = 0.7978845608028654;

function exact(kind: i32, x: f64): f64 {
  switch (kind) {
    case Activation.exp: return NativeMath.exp(x);
    case Activation.gelu: return x * normal(x);
    case Activation.gelu_tanh: return x * sigmoid(2 * SQRT_2_PI * (x + 0.044715 * x * x * x));
    case Activation.relu: return x > 0 ? x : 0;
    case Activation.silu: return x * sigmoid(x);
    case Activation.tanh: return NativeMath.tanh(x);
    case Activation.quick_gelu: return x * sigmoid(1.702 * x);
    case Activation.relu2: return x > 0 ? x * x : 0;
    case Activation.sigmoid: return sigmoid(x);
    default: return x;
  }
}

function sigmoid(x: f64): f64 {
  return 1 / (1 + NativeMath.exp(-x));
}

function at(kind: i32, x: f32): f32 {
  return f32x4.extract_lane(activate(f32x4.splat(x), kind), 3);
}

const four = memory.data(16, 16);
/** Largest errors since the last `measure` began: in ulp of the result, and over |x| in units of 2⁻²⁴. */
let in_ulps: f64 = 0, over_x: f64 = 0;

/** Every `step`-th f32 from `from` to `to` by their bits (so of one sign), against f64. */
function sweep(kind: i32, from: f32, to: f32, step: u32): void {
  const last = reinterpret<u32>(to) - 4 * step;
  for (let next = reinterpret<u32>(from); next <= last; next += 4 * step) {
    for (let i: u32 = 0; i < 4; i++) store<u32>(four + (i << 2), next + i * step);
    v128.store(four, activate(v128.load(four), kind));
    for (let i: u32 = 0; i < 4; i++) {
      const x = <f64>reinterpret<f32>(next + i * step), want = exact(kind, x), got = load<f32>(four + (i << 2));
      in_ulps = worse(in_ulps, ulps(got, want));
      over_x = worse(over_x, abs(<f64>got - want) / max(abs(x) * 5.9604644775390625e-8, 1e-45));
    }
  }
}

/** From `least` < 0 to `most` > 0: densely where functions bend, sparsely within 2⁻⁸ of 0. */
function measure(kind: i32, least: f32, most: f32): void {
  in_ulps = over_x = 0;
  sweep(kind, 0, 0.00390625, 4091), sweep(kind, 0.00390625, most, 131);
  sweep(kind, -0.0, -0.00390625, 4091), sweep(kind, -0.00390625, least, 131);
}

const LARGEST: f32 = f32.MAX_VALUE;

function tail(kind: i32, above: f64, relative: f64): void {
  measure(kind, -1, 20);
  log<f64>(in_ulps);
  expect<f64>(in_ulps).toBeLessThan(above);
  measure(kind, -60, 20);
  log<f64>(over_x);
  expect<f64>(over_x).toBeLessThan(relative);
}

describe("exp", () => {
  it("is within 1.2 ulp where the result is over 1.7e-38", () => {
    measure(Activation.exp, -86.98, 86);
    sweep(Activation.exp, 86, 88.72284, 3);
    log<f64>(in_ulps);
    expect<f64>(in_ulps).toBeLessThan(1.2);
  });

  it("is exact at its ends", () => {
    expect<f32>(at(Activation.exp, 0)).toBe(1);
    expect<f32>(at(Activation.exp, -0.0)).toBe(1);
    expect<f32>(at(Activation.exp, 88.72283)).toBeLessThanOrEqual(LARGEST, "the largest finite results");
    expect<f32>(at(Activation.exp, 88.7229)).toBe(Infinity);
    expect<f32>(at(Activation.exp, LARGEST)).toBe(Infinity);
    expect<f32>(at(Activation.exp, Infinity)).toBe(Infinity);
    expect<u32>(reinterpret<u32>(at(Activation.exp, -Infinity))).toBe(0);
    expect<u32>(reinterpret<u32>(at(Activation.exp, -LARGEST))).toBe(0);
    expect<u32>(reinterpret<u32>(at(Activation.exp, -88))).toBe(0);
    expect<f32>(at(Activation.exp, -86.98)).toBeGreaterThan(1.6e-38);
    expect<f32>(at(Activation.exp, NaN)).toBeNaN();
  });
});

describe("activations", () => {
  it("tanh is within 2.6 ulp, never beyond 1, and x near 0", () => {
    measure(Activation.tanh, -20, 20);
    log<f64>(in_ulps);
    expect<f64>(in_ulps).toBeLessThan(2.6);
    expect<f32>(at(Activation.tanh, LARGEST)).toBe(1);
    expect<f32>(at(Activation.tanh, -Infinity)).toBe(-1);
    expect<f32>(at(Activation.tanh, 1e-30)).toBe(1e-30);
    expect<u32>(reinterpret<u32>(at(Activation.tanh, -0.0))).toBe(0x80000000);
    let beyond = 0;
    for (let i: u32 = 0x40000000; i < 0x42000000; i += 7) if (at(Activation.tanh, reinterpret<f32>(i)) > 1) beyond++;
    expect<i32>(beyond).toBe(0);
  });

  it("sigmoid is within 2.5 ulp where the result is over 1.7e-38, and goes to 0 and 1", () => {
    measure(Activation.sigmoid, -86.98, 20);
    log<f64>(in_ulps);
    expect<f64>(in_ulps).toBeLessThan(2.5);
    expect<f32>(at(Activation.sigmoid, Infinity)).toBe(1);
    expect<f32>(at(Activation.sigmoid, -Infinity)).toBe(0);
    expect<f32>(at(Activation.sigmoid, 0)).toBe(0.5);
  });

  it("silu is within 2.5 ulp down to -86", () => {
    measure(Activation.silu, -86, 20);
    log<f64>(in_ulps);
    expect<f64>(in_ulps).toBeLessThan(2.5);
  });

  it("gelu is within 5 ulp from -1 up and 4 · 2⁻²⁴ · |x| everywhere", () => {
    tail(Activation.gelu, 5, 4);
  });

  it("gelu_tanh is within 3 ulp from -1 up and 2 · 2⁻²⁴ · |x| everywhere", () => {
    tail(Activation.gelu_tanh, 3, 2);
  });

  it("quick_gelu is within 5 ulp from -1 up and 2.5 · 2⁻²⁴ · |x| everywhere", () => {
    tail(Activation.quick_gelu, 2.5, 2);
  });

  it("relu and relu2 are exact to half an ulp", () => {
    measure(Activation.relu, -LARGEST, LARGEST);
    expect<f64>(in_ulps).toBe(0);
    measure(Activation.relu2, -1.8e19, 1.8e19);
    expect<f64>(in_ulps).toBeLessThanOrEqual(0.5);
  });

  it("all hand on NaN, are finite for finite numbers, and but for sigmoid keep 0 at 0", () => {
    for (let kind: i32 = Activation.none; kind <= Activation.sigmoid; kind++) {
      expect<f32>(at(kind, NaN)).toBeNaN();
      expect<f32>(at(kind, reinterpret<f32>(0xff812345))).toBeNaN();
      if (kind != Activation.sigmoid) {
        expect<f32>(at(kind, 0)).toBe(0);
        expect<f32>(abs(at(kind, -0.0))).toBe(0);
      }
      // relu2 alone grows faster than x.
      const most: f32 = kind == Activation.relu2 ? 1.8e19 : LARGEST;
      let infinite = 0;
      for (let i: u32 = 0; i <= reinterpret<u32>(most); i += 9973) {
        const x = reinterpret<f32>(i);
        if (!isFinite(at(kind, x))) infinite++;
        if (!isFinite(at(kind, -x))) infinite++;
      }
      expect<i32>(infinite).toBe(0);
    }
  });

  it("are the identity on the right and 0 on the left, far out", () => {
    for (let kind: i32 = Activation.gelu; kind <= Activation.quick_gelu; kind++) {
      if (kind == Activation.tanh) continue;
      for (let x: f32 = 100; x < 1e38; x *= 9.7) {
        expect<f32>(at(kind, x)).toBe(x);
        expect<f32>(abs(at(kind, -x))).toBe(0);
      }
    }
  });
});

describe("cos", () => {
  it("rounds to f32 as the f64 functions do, up to angles of 4e8", () => {
    let worst: f64 = 0;
    for (let i: u32 = 0x2f000000; i < 0x4dbebc20; i += 1511) {
      const x = <f64>reinterpret<f32>(i);
      worst = worse(worst, ulps(<f32>cos(x, 0), NativeMath.cos(x)));
      worst = worse(worst, ulps(<f32>cos(x, 1), NativeMath.sin(x)));
      worst = worse(worst, ulps(<f32>cos(-x, 0), NativeMath.cos(x)));
      worst = worse(worst, ulps(<f32>cos(-x, 1), -NativeMath.sin(x)));
    }
    log<f64>(worst);
    expect<f64>(worst).toBeLessThan(0.501);
    expect<f64>(cos(0, 0)).toBe(1);
    expect<f64>(cos(0, 1)).toBe(0);
  });
});
