import { Option } from "commander";
import { command, loading, signal, whole } from "./io.ts";
import type { ServeOptions } from "./serve/start.ts";

export const serve = command(
  "serve",
  "Answer over HTTP: OpenAI's embeddings and completions, reranking, indexes that last.",
  [
    "serve                                             # the embedder that ships, on http://127.0.0.1:8080",
    "serve --port 9000 --index ./indexes --token secret",
    "serve --generate ./SmolLM2-135M-Instruct --dtype q8",
    "serve ./all-MiniLM-L6-v2 --dtype q8 --rerank ./ms-marco-MiniLM-L6-v2",
  ],
)
  .argument("[model]", "what --model says too")
  .option("-p, --port <n>", "0 for one that is free", whole(0), 8080)
  .option("--host <address>", "0.0.0.0 for all that this machine has", "127.0.0.1")
  .option("--name <name>", "what requests call the model; default: the name of its file or folder")
  .option("--rerank <model>", "a cross-encoder for /v1/rerank; without one it goes by vectors")
  .option("--generate <model>", "a decoder for /v1/chat/completions and /v1/completions")
  .option("--writers <n>", "texts that it writes at a time; default: 4", whole(1))
  .addOption(
    new Option("--token <token...>", "what requests must carry (Authorization: Bearer …)").env("WATTENTION_TOKEN"),
  )
  .option("--cors <origin...>", 'pages that may call; "*" for all')
  .option("-i, --index <folder>", "keep indexes there: a write is on disk before it is acknowledged")
  .option("--max-body <bytes>", "of a request; default: 2 MiB", whole(1))
  .option("--max-inputs <n>", "texts of a request; default: 2048", whole(1))
  .option("--max-tokens <n>", "of a request; default: 300000", whole(1))
  .option("--max-queue <n>", "texts that wait; beyond that 429; default: 4096", whole(1))
  .option("--timeout <ms>", "that a request may take; default: 60000", whole(1))
  .option("--batch-tokens <n>", "of one batch; default: 512", whole(1))
  .option("--batch-texts <n>", "of one batch; 1: no batching; default: 256", whole(1))
  .option("--batch-window <ms>", "to wait for company when nothing runs; default: 0", whole(0))
  .option("--threads <n>", "engines in threads of their own, each with its copy of the model; default: none", whole(1))
  .option("--grace <ms>", "for requests under way, at SIGTERM and Ctrl-C", whole(0), 10_000)
  .option("-q, --quiet", "no line for each request")
  .action(async (model: string | undefined, options: ServeOptions) => {
    const { start } = await import("./serve/start.ts");
    const thread = new URL("./thread.js", import.meta.url);
    await start({ ...options, model: model ?? options.model }, loading({ ...options, json: true }), signal, thread);
  });
