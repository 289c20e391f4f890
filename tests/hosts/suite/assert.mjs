/** What a check may say, without anything of a host. */

const show = (value) => {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return String(text).slice(0, 300);
};

export function ok(value, message) {
  if (!value) throw new Error(message);
}

/** Equal as JSON, but for the order of keys. */
export function equal(actual, expected, message = "value") {
  const sorted = (_, v) =>
    v && typeof v === "object" && !Array.isArray(v) ? Object.fromEntries(Object.entries(v).sort()) : v;
  const [a, e] = [actual, expected].map((v) => JSON.stringify(v, sorted));
  if (a !== e) throw new Error(`${message}: expected ${show(e)}, got ${show(a)}`);
}

/** The same bits. */
export function bits(actual, expected, message = "tensor") {
  equal(actual.dims, expected.dims, `dims of ${message}`);
  const [a, e] = [actual, expected].map(({ data }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  const at = a.length === e.length ? a.findIndex((byte, i) => byte !== e[i]) : 0;
  if (at >= 0) throw new Error(`${message}: byte ${at} differs`);
}

/** Largest |actual - expected| over the largest |expected|, but at least over 1; Infinity where a number is none. */
export function distance(actual, expected) {
  let worst = 0;
  let most = 1;
  for (let i = 0; i < expected.length; i++) {
    const d = Math.abs(actual[i] - expected[i]);
    worst = Number.isNaN(d) ? Number.POSITIVE_INFINITY : Math.max(worst, d);
    most = Math.max(most, Math.abs(expected[i]));
  }
  return worst / most;
}

export function near(actual, expected, tolerance, message = "tensor") {
  equal(actual.dims, expected.dims, `dims of ${message}`);
  const d = distance(actual.data, expected.data);
  if (!(d < tolerance)) throw new Error(`${message}: off by ${d}, more than ${tolerance}`);
}

export function cosine(a, b) {
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    ab += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return ab / Math.sqrt(aa * bb);
}

/** Waits for `promise` to fail with an error of the class `wattention[name]` that holds `data`, and gives it. */
export async function fails({ wattention }, promise, name, data = {}) {
  let error;
  try {
    await promise;
  } catch (e) {
    error = e;
  }
  ok(error, `${name} was expected, nothing failed`);
  ok(
    error instanceof wattention[name] && error.name === name,
    `${name} was expected, not ${error.stack ?? show(error)}`,
  );
  ok(error instanceof wattention.WattentionError && error instanceof Error, `${name} is a WattentionError`);
  for (const [key, value] of Object.entries(data)) equal(error[key], value, `${name}.${key}`);
  return error;
}
