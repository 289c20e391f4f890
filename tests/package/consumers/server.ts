import type { Hono } from "hono";
import { pipeline } from "wattention";
import { type ApiOptions, api } from "wattention/server";

const options: ApiOptions = {
  models: { small: () => pipeline("feature-extraction") },
  rerankers: { cross: () => pipeline("text-ranking", "cross-encoder") },
  tokens: ["secret"],
  cors: "*",
};
export const server: Pick<Hono, "fetch"> = api(options);
// @ts-expect-error there is nothing to serve
api({});
export default server;
