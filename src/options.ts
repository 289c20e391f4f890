/** Options of callers, checked. */

import { UnsupportedOptionError } from "./errors.ts";

/** A whole number from `least` on. @throws UnsupportedOptionError */
export function whole(option: string, value: unknown, least = 1): number {
  if (Number.isInteger(value) && (value as number) >= least) return value as number;
  throw new UnsupportedOptionError(option, value, [`whole numbers from ${least} on`]);
}

/** What a table has for a name. @throws UnsupportedOptionError that says what it has */
export function entry<T>(table: { readonly [name: string]: T }, name: string, option: string): T {
  if (Object.hasOwn(table, name)) return table[name];
  throw new UnsupportedOptionError(option, name, Object.keys(table));
}
