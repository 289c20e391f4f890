// What goes wrong, and what a user takes back.
import { writeFileSync } from "node:fs";
import { ask, NOTE, paste, QUESTION, READY, stored } from "./use.mjs";

/** Documents in an order, and their fields in one. */
const text = (all) =>
  JSON.stringify(
    all
      .toSorted((a, b) => (a.id < b.id ? -1 : 1))
      .map(({ id, name, added, model, passages, vectors }) => [id, name, added, model, passages, vectors]),
  );

/** A download that is cancelled, and asked for again. */
export async function download({ page, site, check }) {
  site.slow = 150;
  await page.goto(site.url);
  await page.says("#work-label", /Getting the model: \d.* of 5\.\d MB/);
  await page.click("#cancel");
  await page.says("#error", /Cancelled/);
  check(/not loaded/.test(await page.text("#state")), "the page says that there is no model");
  const held = async () => {
    const caught = await Promise.all((await caches.keys()).map(async (name) => (await caches.open(name)).keys()));
    return caught.flat().filter(({ url }) => url.endsWith(".safetensors")).length;
  };
  check((await page.evaluate(held)) === 0, "half a model is not kept");
  site.slow = 0;
  await page.click("#retry");
  await page.says("#state", READY);
  check((await page.evaluate(held)) === 1, "the second try succeeds");
  page.problems.length = 0;
}

/** Reading that is cancelled; what was not read is not kept. */
export async function cancel({ page, check }) {
  const before = (await stored(page)).length;
  const long = Array.from({ length: 1500 }, (_, i) => `Note ${i}. ${NOTE} ${NOTE} ${NOTE}`).join("\n\n");
  await page.fill("#title", "Long");
  await page.fill("#text", long);
  await page.submit("#paste");
  await page.says("#work-label", /Reading [1-9]\d* of 1,500 passages/);
  const found = await ask(page, QUESTION);
  check(/^Bonfires/.test(found.answer), "searching goes on while it reads");
  await page.click("#cancel");
  await page.until(() => document.querySelector("#work").hidden);
  check((await stored(page)).length === before, "what was cancelled is not there");
  check(await page.evaluate(() => document.querySelector("#error").hidden), "and it is no error");
  await paste(page, "After", "Cancelling did not hurt the engine.");
  await page.click('#documents button[aria-label="Delete After"]');
  await page.says("#said", /Deleted/);
}

/** Texts to a file and back; a damaged file; deleting all. */
export async function archive({ page, check, folder }) {
  const before = await stored(page);
  await page.evaluate(() => {
    window.saved.length = 0;
    document.querySelector("#export").click();
  });
  await page.until(() => window.saved.length === 1);
  const file = `${folder}/all.json`;
  writeFileSync(file, await page.evaluate(() => window.saved[0].text()));

  await page.click("#clear");
  await page.click('#confirm button[value="cancel"]');
  check((await stored(page)).length === before.length, "a second thought keeps them");
  await page.click("#clear");
  await page.click('#confirm button[value="delete"]');
  await page.says("#said", /Deleted all/);
  const none = await page.evaluate(() => !document.querySelector("#none").hidden);
  check(!(await stored(page)).length && none, "all are gone");

  const damaged = `${folder}/damaged.json`;
  const { documents, ...rest } = JSON.parse(await page.evaluate(() => window.saved[0].text()));
  const broken = [
    "no JSON",
    "{}",
    JSON.stringify({ ...rest, version: 9, documents }),
    JSON.stringify({ ...rest, documents: [documents[0], { ...documents[1], vectors: "AAAA" }] }),
  ];
  for (const content of broken) {
    writeFileSync(damaged, content);
    await page.upload("#import", damaged);
    await page.says("#error", /not saved by|another version|damaged/);
    await page.click("#dismiss");
  }
  check(!(await stored(page)).length, "nothing of a damaged file is taken");

  // Vectors that are not as many as they should be are made anew.
  const short = documents.map((d) => ({ ...d, vectors: "AAAAAAAAAAA=" }));
  for (const content of [
    JSON.stringify({ ...rest, documents: short }),
    await page.evaluate(() => window.saved[0].text()),
  ]) {
    writeFileSync(file, content);
    await page.evaluate(() => {
      document.querySelector("#said").textContent = "";
    });
    await page.upload("#import", file);
    await page.says("#said", /Loaded 2 texts/);
    check(text(await stored(page)) === text(before), "what comes back is what was saved, bit for bit");
  }
  check(/^Bonfires/.test((await ask(page, QUESTION)).answer), "and it is found");
}

/** Vectors of another model are never compared with this one's: the texts are read anew. */
export async function otherModel({ page, check }) {
  const before = await stored(page);
  await page.evaluate(async () => {
    const opened = indexedDB.open("offline-app");
    await new Promise((resolve) => {
      opened.onsuccess = resolve;
    });
    const transaction = opened.result.transaction("documents", "readwrite");
    const store = transaction.objectStore("documents");
    const all = store.getAll();
    all.onsuccess = () => {
      for (const d of all.result)
        store.put({ ...d, model: "another.safetensors", vectors: new Float32Array(7).fill(9) });
    };
    await new Promise((resolve) => {
      transaction.oncomplete = resolve;
    });
    opened.result.close();
  });
  await page.reload();
  await page.says("#state", READY);
  check(text(await stored(page)) === text(before), "the vectors are this model's again");
  check(/^Bonfires/.test((await ask(page, QUESTION)).answer), "and the texts are found");
}

/** Chromium alone can be told how much room there is: for the app, and not much more. Before the first visit. */
export async function little({ page, site }) {
  const session = await page.page.context().newCDPSession(page.page);
  await session.send("Storage.overrideQuotaForOrigin", { origin: site.url.slice(0, -1), quotaSize: 7_500_000 });
}

/** More than there is room for; then what there is room for. */
export async function quota({ page, check }) {
  await paste(page, "House", NOTE);
  await page.fill("#title", "Too much");
  await page.fill("#text", Array.from({ length: 1000 }, (_, i) => `Paragraph ${i}. ${NOTE} ${NOTE}`).join("\n\n"));
  await page.submit("#paste");
  const said = await page.says("#error", /no room left to keep “Too much”/);
  check(/Delete some texts/.test(said), said);
  await page.click("#dismiss");
  const all = await stored(page);
  check(all.length === 1 && all[0].name === "House", "the others are kept, and nothing of this one");
  check(/Patel/.test((await ask(page, "Who has the spare key?")).answer), "and the app goes on");
}
