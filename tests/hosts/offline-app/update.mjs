// A new version replaces the old one whole: no page is ever made of both.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ask, QUESTION, READY, stored } from "./use.mjs";

/** Names of what is cached, and whether each is what the build holds. */
const cached = (page) =>
  page.evaluate(async () => {
    const names = await caches.keys();
    const paths = [];
    for (const name of names)
      for (const { url } of await (await caches.open(name)).keys()) paths.push(url.slice(location.origin.length + 1));
    return { names, paths };
  });

const version = (page) => page.text("#version");
/** Asks for a new version; done once it is being installed. */
const look = (page) =>
  page.evaluate(async () => {
    await (await navigator.serviceWorker.getRegistration()).update();
  });

export async function update({ page, site, check, folders, builds }) {
  const before = await cached(page);
  check(before.names.length === 1, "one cache");
  check(
    builds[0].every((path) => before.paths.includes(path)),
    "all that was built is cached",
  );
  check((await version(page)) === "1", "version 1");
  const models = site.requests.filter((path) => path.endsWith(".safetensors")).length;

  // An update whose files are of two builds is refused.
  site.folder = folders[1];
  site.alter = (path, bytes) => (path === "/" ? readFileSync(join(folders[0], "index.html")) : bytes);
  site.requests.length = 0;
  await look(page);
  const removed = async () => {
    const registration = await navigator.serviceWorker.getRegistration();
    return !registration.installing && !registration.waiting;
  };
  await page.until(removed, undefined, "the mixed build to be refused");
  check(site.requests.includes("/"), "its files were asked for");
  check(await page.evaluate(() => document.querySelector("#update").hidden), "it is not offered");
  await page.reload();
  await page.says("#state", READY);
  check((await version(page)) === "1", "still version 1");
  page.problems.length = 0; // the browser tells of the hash that is not right

  site.alter = (_, bytes) => bytes;
  await look(page);
  await page.says("#update", /new version/);
  check((await version(page)) === "1", "version 1 until the user asks for 2");
  const found = await ask(page, QUESTION);
  check(/^Bonfires/.test(found.answer), "version 1 works while 2 waits");
  await page.click("#take-up");
  await page.says("#version", /^2$/);
  await page.says("#state", READY);
  const after = await cached(page);
  check(after.names.length === 1 && after.names[0] !== before.names[0], `caches: ${after.names}`);
  const own = builds[1].toSorted();
  check(`${after.paths.toSorted()}` === `${own}`, "the cache holds the second build and nothing else");
  const loaded = await page.evaluate(() => performance.getEntriesByType("resource").map(({ name }) => name));
  const strange = loaded.filter((url) => url.startsWith(site.url) && !own.includes(url.slice(site.url.length)));
  check(loaded.length > 2 && !strange.length, `loaded of another build: ${strange}`);
  const asked = site.requests.filter((path) => path.endsWith(".safetensors")).length;
  check(models <= 1 && !asked, "the model is the same: it was not downloaded again");
  check((await stored(page)).length === 2, "the texts are still there");

  await site.stop();
  await page.reload();
  await page.says("#state", READY);
  check((await version(page)) === "2" && /^Bonfires/.test((await ask(page, QUESTION)).answer), "version 2 offline");
  await site.start();
}
