export { type ApiOptions, api } from "./api.ts";
export type { BatchEvent, BatchOptions } from "./batcher.ts";
export { ApiError, type ErrorBody } from "./errors.ts";
export type { WriteOptions, Writer, WrittenToken } from "./generation.ts";
export type { Embedder, Limits, Reranker } from "./models.ts";
export {
  type FoundDocument,
  type IndexInfo,
  MemoryStore,
  memoryStores,
  type StoredDocument,
  type Stores,
  type VectorStore,
} from "./store.ts";
