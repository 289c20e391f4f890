/** What requests may bring, and how they are told what was wrong with it. */
import type { Context } from "hono";

export const LIMITS = {
  /** Bytes of a body. */
  body: 1_000_000,
  /** Texts in a request. */
  texts: 64,
  /** UTF-16 units of a text; a model cuts what is longer than its positions. */
  characters: 8192,
  /** Tokens of a text whose attention is shown: the answer grows with their square. */
  attention_tokens: 128,
  top_k: 100,
};

/** An answer that is an error; its message goes to the client. */
export class Refusal extends Error {
  constructor(
    readonly status: 400 | 401 | 404 | 409 | 413 | 415 | 507,
    readonly type: string,
    message: string,
    readonly param: string | null = null,
  ) {
    super(message);
  }
}

const invalid = (param: string, message: string) =>
  new Refusal(400, "invalid_request_error", `${param}: ${message}`, param);

/** The body, an object. */
export async function body(c: Context): Promise<Record<string, unknown>> {
  let value: unknown;
  try {
    value = await c.req.json();
  } catch {
    throw new Refusal(400, "invalid_request_error", "the body is not JSON");
  }
  if (typeof value !== "object" || !value || Array.isArray(value))
    throw new Refusal(400, "invalid_request_error", "the body is not a JSON object");
  return value as Record<string, unknown>;
}

export function text(value: unknown, param: string, most = LIMITS.characters): string {
  if (typeof value !== "string" || !value) throw invalid(param, "must be a text");
  if (value.length > most) throw invalid(param, `has ${value.length} characters, the limit is ${most}`);
  return value;
}

/** A list that is not empty, each item read by `read`. */
export function list<T>(value: unknown, param: string, read: (item: unknown, param: string) => T): T[] {
  if (!Array.isArray(value) || !value.length) throw invalid(param, "must be a list that is not empty");
  if (value.length > LIMITS.texts) throw invalid(param, `has ${value.length} items, the limit is ${LIMITS.texts}`);
  return value.map((item, i) => read(item, `${param}[${i}]`));
}

export function integer(value: unknown, param: string, fallback: number, from: number, to: number): number {
  if (value === undefined) return fallback;
  if (typeof value !== "number" || !Number.isInteger(value) || value < from || value > to)
    throw invalid(param, `must be an integer from ${from} to ${to}`);
  return value;
}

export function choice<T extends string>(value: unknown, param: string, choices: readonly T[]): T {
  if (value === undefined) return choices[0];
  const found = choices.find((c) => c === value);
  if (found === undefined) throw invalid(param, `must be one of ${choices.join(", ")}`);
  return found;
}
