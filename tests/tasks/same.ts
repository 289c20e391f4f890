import { expect } from "vitest";

const isScore = (field: string) => field.startsWith("score");

/** A value without its scores. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || !value) return value;
  const kept = Object.entries(value).filter(([field]) => !isScore(field));
  return Object.fromEntries(kept.map(([field, v]) => [field, plain(v)]));
}

function scores(value: unknown): number[] {
  if (typeof value !== "object" || !value) return [];
  return Object.entries(value).flatMap(([field, v]) => (isScore(field) ? [v].flat() : scores(v))) as number[];
}

/** Equal but for scores, which may differ by `tolerance`. */
export function same(actual: unknown, expected: unknown, tolerance = 1e-4): void {
  expect(plain(actual)).toEqual(plain(expected));
  const [a, e] = [scores(actual), scores(expected)];
  expect(a.length).toBe(e.length);
  for (const [i, score] of a.entries()) expect(Math.abs(score - e[i]), `score ${i}: ${score}`).toBeLessThan(tolerance);
}
