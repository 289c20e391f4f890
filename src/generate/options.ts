import type { Cache } from "./cache.ts";

export interface GenerateOptions {
  signal?: AbortSignal;
  max_new_tokens?: number;
  min_new_tokens?: number;
  do_sample?: boolean;
  eos_token_id?: number | number[];
  /** `model.cache(…)`: what the prompt has in common with it is not computed again, and it holds the text afterwards. One for each sequence. */
  cache?: Cache | readonly Cache[];
}
