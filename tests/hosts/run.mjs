/**
 * Runs the one suite in every host: `npm run test:hosts`, or `node tests/hosts/run.mjs [host | host.context …]`. A host that is not there is
 * skipped with its reason, and with CI=true fails.
 */

import { execFileSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const here = import.meta.dirname;
const root = resolve(here, "../..");
/** Milliseconds without a word from a context before it counts as hung. */
const SILENCE = 180_000;

if (!existsSync(join(root, "dist/shipped/default-embedder.safetensors"))) {
  console.error("dist is not there: npm run build first");
  process.exit(1);
}
if (!existsSync(join(here, "node_modules")))
  execFileSync("npm", ["ci", "--strict-allow-scripts"], { cwd: here, stdio: "inherit" });

const { makeApps } = await import("./apps.mjs");
const { serve } = await import("./server.mjs");
const { processes } = await import("./hosts/processes.mjs");
const { workerd } = await import("./hosts/workerd.mjs");
const { browsers } = await import("./hosts/browsers.mjs");
const hosts = [...processes, workerd, ...browsers];

const wanted = process.argv.slice(2);
const names = hosts.flatMap((host) => [host.name, ...Object.keys(host.contexts).map((c) => `${host.name}.${c}`)]);
for (const name of wanted)
  if (!names.includes(name)) {
    console.error(`no host "${name}"; there are ${names.join(", ")}`);
    process.exit(1);
  }
const isWanted = (host, context) => !wanted.length || wanted.includes(host) || wanted.includes(`${host}.${context}`);

/** What a context says, and how it ends. */
class Record {
  passed = 0;
  skipped = [];
  failed = [];
  rows = new Map();
  #log = [];
  #last = "its start";
  #heard = Date.now();

  constructor() {
    this.ended = new Promise((done) => {
      this.end = done;
    });
  }

  report = (event) => {
    this.#heard = Date.now();
    if (event.start) this.#last = event.start;
    if (event.passed) this.passed++;
    if (event.skipped) this.skipped.push(event);
    if (event.failed) this.failed.push(event);
    if (event.version) this.version = event.version;
    if (event.row) this.rows.set(event.row, event.hash);
    if (event.end) this.end(true);
    // A context that does not start says so once, and nothing else.
    if (event.failed === "start") this.end(false);
  };

  log = (text) => void this.#log.push(String(text).trimEnd());

  /** Ends when the context does, or when it was silent for too long. */
  async watch(run) {
    let timer;
    const silent = new Promise((_, failed) => {
      timer = setInterval(() => {
        if (Date.now() - this.#heard > SILENCE) failed(new Error(`hangs in "${this.#last}"`));
      }, 1000);
    });
    try {
      await Promise.race([run, silent]);
      if (!(await Promise.race([this.ended, new Promise((done) => setTimeout(done, 2000))])) && !this.failed.length)
        throw new Error(`ended in "${this.#last}"`);
    } catch (error) {
      this.failed.push({ failed: "run", error: `${error?.stack ?? error}` });
    } finally {
      clearInterval(timer);
    }
    if (this.failed.length) this.failed.push(...this.#log.slice(-60).map((error) => ({ failed: "log", error })));
  }
}

const { folder, lists } = await makeApps();
const records = new Map();
const server = await serve(folder, (id, event) => records.get(id)?.report(event));
writeFileSync(join(folder, "config.json"), JSON.stringify({ server: server.url, lists }));

const summary = [];
/** By row: the value of each context. */
const table = new Map();
let bad = 0;

async function runContext(host, name, { config, run }) {
  const id = `${host}.${name}`.replaceAll(/[^\w.-]+/g, "-");
  const record = new Record();
  records.set(id, record);
  const ends = [];
  const begun = Date.now();
  await record.watch(
    (async () =>
      run({
        folder,
        config: config({ id, server: server.url, lists }),
        report: record.report,
        log: record.log,
        ended: record.ended,
        onEnd: (end) => ends.unshift(end),
      }))(),
  );
  for (const end of ends)
    await Promise.race([(async () => end())().catch(() => {}), new Promise((done) => setTimeout(done, 10_000))]);
  const seconds = Math.round((Date.now() - begun) / 1000);
  const skipped = record.skipped.length ? `, ${record.skipped.length} that need what it has not` : "";
  console.log(`  ${name}: ${record.passed + record.rows.size} checks passed${skipped} (${seconds} s)`);
  for (const { failed, error } of record.failed) console.log(`  ✗ ${failed}\n${error.replaceAll(/^/gm, "      ")}`);
  bad += record.failed.length;
  for (const [row, hash] of record.rows) {
    if (!table.has(row)) table.set(row, new Map());
    table.get(row).set(id, hash);
  }
  return { count: record.passed + record.rows.size, version: record.version };
}

for (const host of hosts) {
  const contexts = Object.entries(host.contexts).filter(([name]) => isWanted(host.name, name));
  if (!contexts.length) continue;
  let found;
  try {
    found = host.find();
  } catch (error) {
    found = { absent: String(error) };
  }
  if (found.absent) {
    const fails = process.env.CI === "true";
    if (fails) bad++;
    console.log(`${host.name}: ${fails ? "ABSENT" : "skipped"}, ${found.absent}`);
    summary.push([host.name, `${fails ? "absent" : "skipped"}: ${found.absent}`, ""]);
    continue;
  }
  let version = found.version.split("\n").join(", ");
  console.log(`${host.name}: ${version}`);
  const counts = [];
  for (const [name, context] of contexts) {
    const ran = await runContext(host.name, name, context);
    counts.push(`${name} ${ran.count}`);
    version = ran.version ?? version;
  }
  summary.push([host.name, version, counts.join(", ")]);
}
server.close();

console.log("\nHosts, and the checks that passed in each context");
for (const [name, version, counts] of summary) console.log(`  ${name.padEnd(9)} ${version}${counts && `: ${counts}`}`);

console.log("\nWith deterministic: true, SHA-256 by row");
const ran = [...records.keys()];
for (const [row, values] of table) {
  const different = Map.groupBy(ran, (id) => values.get(id) ?? "none");
  if (different.size === 1) console.log(`  ${row.padEnd(30)} ${[...values.values()][0]}  ${values.size} contexts`);
  else {
    bad++;
    console.log(`  ✗ ${row}`);
    for (const [hash, ids] of different) console.log(`      ${hash.padEnd(64)}  ${ids.join(", ")}`);
  }
}
console.log(bad ? `\n${bad} failed` : "\nall passed");
process.exit(bad ? 1 : 0);
