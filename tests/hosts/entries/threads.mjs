/** The same in a worker thread: Node's own kind, or a Worker of the web where the host has it. */

const inside = new URL("./thread.mjs", import.meta.url);
const config = JSON.parse(process.argv[2]);
const print = (event) => console.log(`@@${JSON.stringify(event)}`);

if (typeof Worker === "function") {
  const worker = new Worker(inside, { type: "module" });
  worker.onmessage = ({ data }) => {
    print(data);
    if (data.end) worker.terminate();
  };
  worker.onerror = (event) => {
    console.error(event.message ?? event);
    process.exit(1);
  };
  worker.postMessage(config);
} else {
  const { Worker } = await import("node:worker_threads");
  const worker = new Worker(inside);
  worker.on("message", (event) => {
    print(event);
    if (event.end) worker.terminate();
  });
  worker.postMessage(config);
}
