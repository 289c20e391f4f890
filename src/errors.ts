/**
 * Every error this package throws on purpose. Each carries the data that names the fault, so that a program can act on it and a
 * person can read it. None of them harms the engine: the next call works.
 */

/** Base class of all errors of this package. */
export class WattentionError extends Error {
  // Written out, here and below: minifiers rename classes.
  override readonly name: string = "WattentionError";
}

/** A file is not what its format says: truncated, lying or malformed. `offset` is the byte offset in `file`, where one is known. */
export class FormatError extends WattentionError {
  override readonly name = "FormatError";

  constructor(
    readonly file: string,
    detail: string,
    readonly offset?: number,
  ) {
    super(`${file}: ${detail}${offset === undefined ? "" : ` (byte ${offset})`}`);
  }
}

/** A file that the model needs is not there. */
export class MissingFileError extends WattentionError {
  override readonly name = "MissingFileError";

  constructor(
    readonly file: string,
    readonly source: string,
    options?: ErrorOptions,
  ) {
    super(`${source} has no ${file}`, options);
  }
}

/** A server gave an error instead of a file (`status`), or the connection failed (`cause`). */
export class FetchError extends WattentionError {
  override readonly name = "FetchError";

  constructor(
    readonly url: string,
    readonly status?: number,
    options?: ErrorOptions,
  ) {
    super(`${url}: ${status ?? "the connection failed"}`, options);
  }
}

/** A tensor has other dims than its place asks for. `null` in `expected` stands for any size. */
export class ShapeError extends WattentionError {
  override readonly name = "ShapeError";

  constructor(
    readonly tensor: string,
    readonly expected: readonly (number | string | null)[],
    readonly actual: readonly number[],
  ) {
    super(`${tensor}: expected dims [${expected.map((d) => d ?? "any").join(", ")}], got [${actual.join(", ")}]`);
  }
}

/** The checkpoint lacks tensors that the architecture needs, or holds tensors that it has no place for. */
export class WeightsError extends WattentionError {
  override readonly name = "WeightsError";

  constructor(
    readonly missing: readonly string[],
    readonly unexpected: readonly string[],
  ) {
    const part = (what: string, names: readonly string[]) =>
      names.length
        ? `${what} ${names.slice(0, 8).join(", ")}${names.length > 8 ? ` and ${names.length - 8} more` : ""}`
        : "";
    super([part("missing tensors:", missing), part("unexpected tensors:", unexpected)].filter(Boolean).join("; "));
  }
}

/** `config.json` names an architecture that this package does not have. */
export class UnsupportedModelError extends WattentionError {
  override readonly name = "UnsupportedModelError";

  constructor(
    readonly model_type: string,
    readonly supported: readonly string[],
  ) {
    super(`model_type "${model_type}" is not supported; supported are ${supported.join(", ")}`);
  }
}

/** An option, of a config or of a call, has a value that this package does not have or that makes no sense. */
export class UnsupportedOptionError extends WattentionError {
  override readonly name = "UnsupportedOptionError";

  constructor(
    readonly option: string,
    readonly value: unknown,
    readonly supported?: readonly unknown[],
  ) {
    const show = (v: unknown) =>
      typeof v === "string" ? `"${v}"` : typeof v === "object" ? JSON.stringify(v) : String(v);
    super(
      `${option}: ${show(value)} is not supported${supported ? `; supported: ${supported.map(show).join(", ")}` : ""}`,
    );
  }
}

/** A plan needs more bytes than the engine may have. */
export class MemoryLimitError extends WattentionError {
  override readonly name = "MemoryLimitError";

  constructor(
    readonly needed: number,
    readonly limit: number,
  ) {
    super(`needs ${needed} bytes of memory, the limit is ${limit}`);
  }
}

/** An id of the input lies outside the table it indexes. */
export class TokenOutOfRangeError extends WattentionError {
  override readonly name = "TokenOutOfRangeError";

  constructor(
    readonly position: number,
    readonly id: number,
    readonly vocab_size: number,
    readonly input = "input_ids",
  ) {
    super(`${input}[${position}] is ${id}, outside 0 … ${vocab_size - 1}`);
  }
}

/** A sequence is longer than the model has positions for. */
export class InputTooLongError extends WattentionError {
  override readonly name = "InputTooLongError";

  constructor(
    readonly length: number,
    readonly limit: number,
  ) {
    super(`a sequence of ${length} tokens is longer than the model's ${limit} positions`);
  }
}

/** An argument of a call is not usable: a missing input, a wrong type, an empty list. */
export class InputError extends WattentionError {
  override readonly name = "InputError";
}

/** The engine was disposed, or WebAssembly (or a feature of it that is needed) is missing, or the module trapped. */
export class EngineError extends WattentionError {
  override readonly name = "EngineError";
}

/** The worker behind `wattention/worker` failed to start, crashed, or was ended: what was asked of it has no answer. */
export class WorkerError extends WattentionError {
  override readonly name = "WorkerError";
}

/** What was asked for needs an optional package that is not installed. */
export class MissingPackageError extends WattentionError {
  override readonly name = "MissingPackageError";

  constructor(
    readonly package_name: string,
    purpose: string,
    options?: ErrorOptions,
  ) {
    super(`${purpose} needs the package ${package_name}: npm install ${package_name}`, options);
  }
}

/** The caller's AbortSignal fired. `cause` is the signal's reason. */
export class AbortError extends WattentionError {
  override readonly name = "AbortError";

  constructor(reason?: unknown) {
    super("the operation was aborted", { cause: reason });
  }
}

/** Throws AbortError if `signal` has fired. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new AbortError(signal.reason);
}
