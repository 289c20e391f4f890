/** config.json and its like: every value checked when it is asked for. Errors name the file and the field. */

import { UnsupportedOptionError } from "../errors.ts";
import { brief, type Json } from "./read.ts";

/** One name, or several spellings of it: the first that is there counts. */
export type Names = string | readonly string[];

interface Range {
  min?: number;
  max?: number;
  default?: number;
}

/** How a layer turns positions into rotations. */
export interface Rope {
  rope_type: string;
  rope_theta: number;
  /** The part of each head that is rotated. */
  partial_rotary_factor: number;
  /** How many numbers of each head that is, where the config says this instead. */
  dim?: number;
  /** What the rope_type needs besides: `factor`, `low_freq_factor` … */
  more: Config;
}

const isObject = (v: unknown) => typeof v === "object" && !Array.isArray(v);

/**
 * A view over the fields of a config. A field that is absent or null has its default; where no default is given it must be there.
 * @throws UnsupportedOptionError from every method.
 */
export class Config {
  /** Empty where the file does not say. */
  readonly model_type: string;

  constructor(
    readonly raw: Json,
    readonly file = "config.json",
  ) {
    this.model_type = this.string("model_type", undefined, "");
  }

  has(names: Names): boolean {
    return this.raw[this.name(names)] != null;
  }

  /** A whole number from `min` (1) to `max` (2^20). */
  int(names: Names, { min = 1, max = 2 ** 20, default: otherwise }: Range = {}): number {
    const good = (v: unknown) => Number.isInteger(v) && (v as number) >= min && (v as number) <= max;
    return this.get(names, good, [`an integer from ${min} to ${max}`], otherwise);
  }

  /** A number from `min` (0) to `max` (10^12). */
  number(names: Names, { min = 0, max = 1e12, default: otherwise }: Range = {}): number {
    const good = (v: unknown) => typeof v === "number" && v >= min && v <= max;
    return this.get(names, good, [`a number from ${min} to ${max}`], otherwise);
  }

  string<T extends string = string>(names: Names, choices?: readonly T[], otherwise?: T): T {
    const good = (v: unknown) => typeof v === "string" && (!choices || choices.includes(v as T));
    return this.get(names, good, choices ?? ["a string"], otherwise);
  }

  bool(names: Names, otherwise = false): boolean {
    return this.get(names, (v) => typeof v === "boolean", [true, false], otherwise);
  }

  /** A list of strings (`architectures`, `layer_types`), empty where there is none. */
  strings<T extends string = string>(names: Names, choices?: readonly T[]): T[] {
    const good = (v: unknown) => typeof v === "string" && (!choices || choices.includes(v as T));
    return this.get(names, (v) => Array.isArray(v) && v.every(good), ["a list of", ...(choices ?? ["strings"])], []);
  }

  /** A list of numbers, empty where there is none. */
  numbers(names: Names): number[] {
    const good = (v: unknown) => Array.isArray(v) && v.every((x) => typeof x === "number");
    return this.get(names, good, ["a list of numbers"], []);
  }

  /** A config within this one, empty where there is none. */
  sub(names: Names): Config {
    return new Config(this.get<Json>(names, isObject, ["an object"], {}), `${this.file}: ${this.name(names)}`);
  }

  /** The names of the classes in order. Hugging Face leaves them out where they are the usual two. */
  labels(): string[] {
    if (!this.has("id2label"))
      return Array.from({ length: this.int("num_labels", { max: 1 << 16, default: 2 }) }, (_, i) => `LABEL_${i}`);
    const label = ([id, name]: [string, unknown], i: number) => id === String(i) && typeof name === "string";
    const good = (v: unknown) =>
      isObject(v) && Object.keys(v as Json).length > 0 && Object.entries(v as Json).every(label);
    return Object.values(this.get<Record<string, string>>("id2label", good, ["a name for each id from 0 on"]));
  }

  /**
   * The rotary parameters, of one layer type where they differ by it. transformers 5 has them in `rope_parameters`; before, they
   * were `rope_scaling` and a field that most models call `rope_theta`, and some `theta`.
   */
  rope(layer_type = "", theta: Names = "rope_theta", default_theta = 1e4, default_part = 1): Rope {
    const all = this.sub(["rope_scaling", "rope_parameters"]);
    const more = all.has(layer_type) ? all.sub(layer_type) : all;
    const either = (inner: string, outer: Names, range: Range) =>
      more.has(inner) ? more.number(inner, range) : this.number(outer, range);
    return {
      rope_type: more.string(["rope_type", "type"], undefined, "default"),
      rope_theta: either("rope_theta", theta, { min: 1, default: default_theta }),
      partial_rotary_factor: either("partial_rotary_factor", ["partial_rotary_factor", "rotary_pct"], {
        max: 1,
        default: default_part,
      }),
      more,
    };
  }

  private name(names: Names): string {
    const all = [names].flat();
    return all.find((name) => this.raw[name] != null) ?? all[0];
  }

  /** Any other field. @throws UnsupportedOptionError, naming what is `supported`, unless the value is absent or `good`. */
  get<T>(names: Names, good: (value: unknown) => boolean, supported: readonly unknown[], otherwise?: T): T {
    const name = this.name(names);
    const value = this.raw[name] ?? undefined;
    if (value === undefined ? otherwise === undefined : !good(value))
      throw new UnsupportedOptionError(`${this.file}: ${name}`, brief(value), supported);
    return (value ?? otherwise) as T;
  }
}
