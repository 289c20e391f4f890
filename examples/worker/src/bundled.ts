// The entry of the environment "bundled": the model is part of the worker (`rules` in wrangler.jsonc).
import embedder from "wattention/models/default-embedder.safetensors";
import { bundle } from "./model.ts";

bundle("default-embedder.safetensors", embedder);

export { DocumentIndex, default } from "./index.ts";
