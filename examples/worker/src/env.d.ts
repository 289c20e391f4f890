/** What wrangler.jsonc binds; all but the first are a choice. */
declare namespace Cloudflare {
  interface Env {
    INDEXES: DurableObjectNamespace<import("./documents.ts").DocumentIndex>;
    ASSETS?: Fetcher;
    MODELS_R2?: R2Bucket;
    MODELS_KV?: KVNamespace;
    /** Names of packed models (`npx wattention pack`) in the place that is bound. */
    EMBEDDER?: string;
    RERANKER?: string;
    /** Secret: who calls must send it (`authorization: Bearer …`). */
    API_TOKEN?: string;
    /** Origins that may call from a browser, with commas between; all unless given. */
    CORS_ORIGIN?: string;
  }
}

declare module "*.safetensors" {
  const bytes: ArrayBuffer;
  export default bytes;
}
