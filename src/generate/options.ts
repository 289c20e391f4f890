export interface GenerateOptions {
  signal?: AbortSignal;
  max_new_tokens?: number;
  min_new_tokens?: number;
  do_sample?: boolean;
  eos_token_id?: number | number[];
}
