// First visit, everyday use, and the same with the server gone.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { passagesOf, readable, sentencesOf } from "../../../examples/offline-app/src/passages.ts";
import { APP } from "./site.mjs";

export const READY = /Ready to work offline/;
export const QUESTION = "When may I light a fire?";
const ANSWER = "Bonfires are allowed only after sunset and only between October and March.";
export const NOTE =
  "The spare key is with Mrs Patel at number nine. The boiler is serviced every September. The fuse box is behind the coats.";

const { pipeline } = await import(pathToFileURL(join(APP, "../../dist/host/node.js")).href);

/** What a search must find, computed in Node without the app: the sentence nearest to the question. */
async function oracle() {
  const extract = await pipeline("feature-extraction");
  const options = { pooling: "mean", normalize: true };
  const passages = passagesOf(readFileSync(join(APP, "public/sample.md"), "utf8"), true);
  const sentences = passages.flatMap(({ text }) => sentencesOf(text).map((s) => s.text));
  const { data, dims } = await extract([QUESTION, ...sentences], options);
  const cosine = (i) => data.subarray(0, dims[1]).reduce((sum, x, k) => sum + x * data[(i + 1) * dims[1] + k], 0);
  const [best] = [...sentences.keys()].sort((a, b) => cosine(b) - cosine(a));
  const vectors = await extract(passages.map(readable), options);
  extract.dispose();
  return { best: sentences[best], score: cosine(best), passages, vectors };
}

const expected = await oracle();
assert.equal(expected.best, ANSWER); // what a reader would say

/** All that is in IndexedDB. */
export const stored = (page) =>
  page.evaluate(async () => {
    const opened = indexedDB.open("offline-app");
    const db = await new Promise((resolve, reject) => {
      opened.onsuccess = () => resolve(opened.result);
      opened.onerror = () => reject(opened.error);
    });
    const all = db.transaction("documents").objectStore("documents").getAll();
    await new Promise((resolve) => {
      all.onsuccess = resolve;
    });
    db.close();
    return all.result.map((d) => ({ ...d, vectors: Array.from(d.vectors) }));
  });

/** Asks, and gives the answer and the passages as the page shows them. */
export async function ask(page, question) {
  await page.evaluate(() => {
    location.hash = "search";
    document.querySelector("#found").textContent = "";
  });
  await page.fill("#query", question);
  await page.submit("#search-form");
  await page.says("#found", /passages? of|nothing/);
  return page.evaluate(() => ({
    answer: document.querySelector("#answer:not([hidden]) blockquote")?.textContent,
    passages: Array.from(document.querySelectorAll("#results li"), (li) => ({
      text: li.querySelector(".text").textContent,
      mark: li.querySelector("mark").textContent,
      score: +/[\d.]+$/.exec(li.querySelector(".score").textContent)[0],
    })),
  }));
}

export async function paste(page, title, text) {
  await page.evaluate(() => {
    document.querySelector("#said").textContent = "";
  });
  await page.fill("#title", title);
  await page.fill("#text", text);
  await page.submit("#paste");
  await page.says("#said", /Added 1 text/);
}

/** Searches, adds, looks at attention, deletes: with a server or without. */
async function everyday(page, check) {
  const found = await ask(page, QUESTION);
  check(found.answer === expected.best, `the answer is "${found.answer}"`);
  check(found.passages[0].mark === expected.best, "the best sentence is marked");
  check(Math.abs(found.passages[0].score - expected.score) < 0.011, `its score is ${found.passages[0].score}`);
  check(
    found.passages.every((p, i, all) => !i || p.score <= all[i - 1].score),
    "passages come in the order of their scores",
  );

  await paste(page, "House", NOTE);
  const key = await ask(page, "Who has the spare key?");
  check(key.answer === "The spare key is with Mrs Patel at number nine.", `of a pasted text: "${key.answer}"`);

  await page.click("#results li button");
  const said = await page.says("#attends", /“.+” attends most to “.+” \(\d+ %\)/);
  check(/“the”/.test(said), `attention: ${said}`);
  const sum = await page.evaluate(() => document.querySelector("#heat").naturalWidth);
  check(sum > 100, "the heat map is drawn");
  const maps = new Set();
  for (const [layer, head] of [
    ["0", "0"],
    ["0", "1"],
    ["1", "mean"],
    ["rollout", "mean"],
  ]) {
    const pick = ([l, h]) => {
      for (const [id, value] of [
        ["#layer", l],
        ["#head", h],
      ]) {
        const select = document.querySelector(id);
        select.value = value;
        select.dispatchEvent(new Event("change"));
      }
      return document.querySelector("#heat").src;
    };
    maps.add(await page.evaluate(pick, [layer, head]));
  }
  check(maps.size === 4, "each layer and head has a map of its own");
  await page.evaluate(() => {
    document.querySelector("#layer").value = "1";
  });

  await page.click('#documents button[aria-label="Delete House"]');
  await page.says("#said", /Deleted House/);
  const gone = await ask(page, "Who has the spare key?");
  check(!gone.passages.some(({ text }) => text.includes("Patel")), "what is deleted is not found");
}

export async function use({ page, site, check, files }) {
  const response = await fetch(site.url);
  const policy = response.headers.get("content-security-policy");
  check(/script-src 'self' 'wasm-unsafe-eval';/.test(policy) && !/unsafe-inline|'unsafe-eval'/.test(policy), policy);

  await page.goto(site.url);
  const meta = await page.evaluate(() => document.querySelector("meta[http-equiv]").content);
  check(policy.replace(/; report-uri.*/, "") === meta, "the page says the policy itself");
  await page.says("#state", READY);
  const asked = site.requests.filter((path) => path.endsWith(".safetensors"));
  check(asked.length === 1, `the model was asked for ${asked.length} times`);
  check(/model \d+ MB, index 0 kB \(0 passages\)/.test(await page.text("#memory")), "the memory line");
  check(!(await page.evaluate(() => document.querySelector("#empty").hidden)), "it says that there is nothing yet");

  await page.click("#sample");
  await page.says("#said", /Added 1 text/);
  const [sample] = await stored(page);
  check(sample.passages.length === expected.passages.length, "the sample's passages are stored");
  const apart = Math.max(...sample.vectors.map((x, i) => Math.abs(x - expected.vectors.data[i])));
  check(apart < 1e-3 && sample.vectors.length === expected.vectors.data.length, `vectors are ${apart} off Node's`);
  check(sample.model.startsWith("default-embedder-"), "they name their model");

  await everyday(page, check);

  await page.evaluate(() => {
    document.querySelector("#said").textContent = "";
  });
  await page.upload("#files", [files.markdown, files.binary]);
  await page.says("#error", /no plain text in it: picture\.txt/);
  await page.says("#said", /Added 1 text/);
  await page.click("#dismiss");
  const fromFile = await ask(page, "How long do I boil an egg?");
  check(/six minutes/.test(fromFile.answer), `of a file: "${fromFile.answer}"`);

  await site.stop();
  site.requests.length = 0;
  await page.reload();
  await page.says("#state", READY);
  check((await page.text("#count")) === "2", "the texts are there again");
  const again = await ask(page, "How long do I boil an egg?");
  check(again.answer === fromFile.answer, "offline: the same answer");
  await everyday(page, check);
  await page.reload();
  await page.says("#state", READY);
  check((await stored(page)).length === 2, "offline: what was deleted stays so");
  check(!site.requests.length, "nothing was asked of the server");
  await site.start();

  // A policy that stops nothing would report nothing.
  check(!(await page.evaluate(() => window.violations.length)), "the policy had nothing to stop");
  check(!site.reports.length, `reports: ${site.reports}`);
  check(!page.problems.length, `the console: ${page.problems}`);
  await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "window.inline = true";
    document.body.append(script);
  });
  await page.until(() => window.violations.length && !window.inline, undefined, "an inline script to be stopped");
  check(true, "an inline script is stopped");
  page.problems.length = 0;
}
