import type { ContentfulStatusCode } from "hono/utils/http-status";

/** The body of every error: OpenAI's shape. */
export interface ErrorBody {
  error: { message: string; type: string; param: string | null; code: string | null };
}

/** An answer that is an error. Its message goes to the client. */
export class ApiError extends Error {
  override readonly name = "ApiError";

  constructor(
    readonly status: ContentfulStatusCode,
    message: string,
    readonly code: string,
    readonly param: string | null = null,
    readonly headers: Readonly<Record<string, string>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  get body(): ErrorBody {
    const type =
      this.status === 429 ? "rate_limit_error" : this.status >= 500 ? "server_error" : "invalid_request_error";
    return { error: { message: this.message, type, param: this.param, code: this.code } };
  }
}

/** A value of the request's body that makes no sense. */
export const invalid = (param: string, message: string, code = "invalid_value"): ApiError =>
  new ApiError(400, message, code, param);

/** Errors of this package that the client's input caused, by name: the pipeline may live in another copy of the package, or in a worker. */
const CLIENTS = new Set([
  "InputError",
  "InputTooLongError",
  "TokenOutOfRangeError",
  "UnsupportedOptionError",
  "ShapeError",
]);

/** What a client is told of any error. Those that are nobody's input say nothing of what is inside. */
export function apiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  const { name, message } = (error ?? {}) as Error;
  if (CLIENTS.has(name)) return new ApiError(422, message, "unprocessable_input", "input");
  if (name === "AbortError") return new ApiError(499 as ContentfulStatusCode, "the client went away", "aborted");
  if (name === "MemoryLimitError") return new ApiError(413, message, "input_too_large", "input");
  return new ApiError(500, "internal error", "internal_error", null, {}, { cause: error });
}
