import { pipeline } from "wattention";
import model from "wattention/models/default-embedder.safetensors";
import { api } from "wattention/server";

export { DocumentIndex } from "./documents.ts"; // which the configuration names

export default api({ models: { "default-embedder": () => pipeline("feature-extraction", model) } });
