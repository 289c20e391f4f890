import { llamaLike, NORMS } from "./causal.ts";

/** OLMo 2 (arXiv:2501.00656): Llama with norms behind attention and feed-forward, and of all queries and all keys. */
export const olmo2 = llamaLike({ bias: { mlp: false }, norms: NORMS.after, qk_norm: "all" });
