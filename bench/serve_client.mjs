// A client of /v1/embeddings that costs little beside the server: sockets that stay open, requests written once, answers compared as bytes.
// It runs in a process of its own: `node serve_client.mjs` reads its job as JSON on standard input and writes what it saw.
import { connect } from "node:net";
import { text } from "node:stream/consumers";

const { port, clients, ms, warm = 0, format = "base64", cases } = JSON.parse(await text(process.stdin));
const HEAD = Buffer.from("\r\n\r\n");

const all = cases.map(({ text: input, expected }) => {
  const body = Buffer.from(JSON.stringify({ model: "default-embedder", input, encoding_format: format }));
  const head = `POST /v1/embeddings HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\naccept: application/json\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
  return { request: Buffer.concat([Buffer.from(head), body]), expected: Buffer.from(`"embedding":${expected}}`) };
});

let next = 0;
const took = [];
const seen = { all: 0, right: 0, wrong: 0, refused: {}, lost: 0, opened: 0 };
const begin = performance.now() + warm;
const end = begin + ms;

/** One connection: a request, its answer, the next. */
function client() {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    seen.opened++;
    let current;
    let start = 0;
    let got = Buffer.alloc(0);
    const send = () => {
      if (performance.now() >= end) {
        current = undefined;
        return socket.end();
      }
      current = all[next++ % all.length];
      start = performance.now();
      socket.write(current.request);
    };
    socket.on("connect", send);
    socket.on("data", (chunk) => {
      got = got.length ? Buffer.concat([got, chunk]) : chunk;
      const head = got.indexOf(HEAD);
      if (head < 0) return;
      const lines = got.latin1Slice(0, head);
      const length = Number(/content-length: (\d+)/i.exec(lines)?.[1]);
      if (got.length < head + 4 + length) return;
      const now = performance.now();
      seen.all++;
      const status = lines.slice(9, 12);
      if (start >= begin) {
        if (status !== "200") seen.refused[status] = (seen.refused[status] ?? 0) + 1;
        else if (got.includes(current.expected)) seen.right++;
        else seen.wrong++;
        took.push(now - start);
      }
      got = got.subarray(head + 4 + length);
      current = undefined;
      send();
    });
    const over = () => {
      if (current) seen.lost++;
      current = undefined;
      resolve();
    };
    socket.on("error", over);
    socket.on("close", over);
  });
}

const cpu = process.cpuUsage();
await Promise.all(Array.from({ length: clients }, client));
const used = process.cpuUsage(cpu);
took.sort((a, b) => a - b);
const at = (q) => took[Math.min(took.length - 1, Math.floor(q * took.length))];
console.log(
  JSON.stringify({
    ...seen,
    seconds: (performance.now() - begin) / 1000,
    p50: at(0.5),
    p99: at(0.99),
    worst: took.at(-1),
    cpu: (used.user + used.system) / 1e6,
  }),
);
