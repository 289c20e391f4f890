import type { RequestIdVariables } from "hono/request-id";
import { ApiError } from "./errors.ts";

/** What middlewares leave for routes. */
export interface Env {
  Variables: RequestIdVariables & {
    /** Fires when the client goes away or the request's time is over. */
    signal: AbortSignal;
  };
}

/** Models by the name that requests give; the first is the one that a request without a name gets. */
export class Models<M extends { readonly name: string }> {
  constructor(readonly all: readonly M[]) {}

  find(name?: string): M | undefined {
    return name === undefined ? this.all[0] : this.all.find((m) => m.name === name);
  }

  /** @throws ApiError 404 as OpenAI's */
  get(name?: string): M {
    const model = this.find(name);
    if (model) return model;
    throw new ApiError(404, `The model '${name ?? ""}' does not exist`, "model_not_found", "model");
  }
}
