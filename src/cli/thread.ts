/** An engine in a worker thread: `serve --threads` starts them. */

import { parentPort, workerData } from "node:worker_threads";
import { pipeline } from "../host/node.ts";
import type { Answer, Job, ThreadData } from "./serve/threads.ts";

const { task, model, options } = workerData as ThreadData;
const port = parentPort!;
const running = new Map<number, AbortController>();

async function load() {
  if (task === "text-ranking") {
    const rank = await pipeline(task, model, options);
    return async ({ texts }: Job, signal: AbortSignal) => Float32Array.from(await rank.score(texts, { signal }));
  }
  const extract = await pipeline(task, model, options);
  return async ({ texts, options: call }: Job, signal: AbortSignal) => (await extract(texts, { ...call, signal })).data;
}

const loaded = load();
loaded.catch(() => {}); // each job tells
port.on("message", async (job: Job | { abort: number }) => {
  if ("abort" in job) {
    running.get(job.abort)?.abort();
    return;
  }
  const control = new AbortController();
  running.set(job.id, control);
  let answer: Answer;
  try {
    answer = { id: job.id, data: await (await loaded)(job, control.signal) };
  } catch (error) {
    const { name, message } = error as Error;
    answer = { id: job.id, error: { name, message } };
  }
  running.delete(job.id);
  port.postMessage(answer, answer.data ? [answer.data.buffer as ArrayBuffer] : []);
});
