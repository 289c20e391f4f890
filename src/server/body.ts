import type { Context } from "hono";
import { ApiError, invalid } from "./errors.ts";

/** A JSON object of a request, whose members are read with their types. */
export class Body {
  constructor(readonly values: Readonly<Record<string, unknown>>) {}

  /** @throws ApiError 415, 400 */
  static async of(c: Context): Promise<Body> {
    const type = c.req.header("content-type") ?? "";
    if (!/^application\/([\w.-]+\+)?json\s*(;|$)/i.test(type))
      throw new ApiError(415, "the content type must be application/json", "unsupported_media_type");
    let value: unknown;
    try {
      value = JSON.parse(await c.req.text());
    } catch {
      throw new ApiError(400, "the body is not valid JSON", "invalid_json");
    }
    if (typeof value !== "object" || !value || Array.isArray(value))
      throw new ApiError(400, "the body must be a JSON object", "invalid_json");
    return new Body(value as Record<string, unknown>);
  }

  /** A member, if it is there: null stands for absence, as OpenAI's clients send it. */
  #get(name: string): unknown {
    return Object.hasOwn(this.values, name) ? (this.values[name] ?? undefined) : undefined;
  }

  has(name: string): boolean {
    return this.#get(name) !== undefined;
  }

  any(name: string): unknown {
    const value = this.#get(name);
    if (value === undefined) throw invalid(name, `missing required parameter: ${name}`, "missing_required_parameter");
    return value;
  }

  string(name: string): string {
    const value = this.any(name);
    if (typeof value !== "string") throw invalid(name, `${name} must be a string`, "invalid_type");
    return value;
  }

  optional(name: string): string | undefined {
    return this.has(name) ? this.string(name) : undefined;
  }

  flag(name: string, usual: boolean): boolean {
    const value = this.#get(name) ?? usual;
    if (typeof value !== "boolean") throw invalid(name, `${name} must be true or false`, "invalid_type");
    return value;
  }

  /** A whole number from 1 on. */
  count(name: string): number | undefined {
    const value = this.#get(name);
    if (value === undefined || (Number.isSafeInteger(value) && (value as number) >= 1)) return value as number;
    throw invalid(name, `${name} must be a whole number from 1 on`);
  }

  choice<T extends string>(name: string, choices: readonly T[]): T {
    const value = this.#get(name) ?? choices[0];
    if (choices.includes(value as T)) return value as T;
    throw invalid(name, `${name} must be one of ${choices.join(", ")}`);
  }

  /** A list that is not empty and no longer than `most`. @throws ApiError 400, 413 */
  list(name: string, most: number): readonly unknown[] {
    const value = this.any(name);
    if (!Array.isArray(value)) throw invalid(name, `${name} must be an array`, "invalid_type");
    if (!value.length) throw invalid(name, `${name} is empty`, "empty_array");
    return few(name, value, most);
  }

  strings(name: string, most: number): readonly string[] {
    const list = this.list(name, most);
    const bad = list.findIndex((t) => typeof t !== "string");
    if (bad >= 0) throw invalid(`${name}[${bad}]`, `${name}[${bad}] must be a string`, "invalid_type");
    return list as string[];
  }
}

/** @throws ApiError 413 */
export function few<T>(name: string, list: readonly T[], most: number): readonly T[] {
  if (list.length <= most) return list;
  throw new ApiError(413, `${name} has ${list.length} entries, at most ${most} are taken`, "too_many_inputs", name);
}
