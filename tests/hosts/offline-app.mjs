// examples/offline-app in Chromium and Firefox. `node tests/hosts/offline-app.mjs [--lighthouse] [--screenshots]`
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CHROMIUM, FIREFOX, openChromium, openFirefox } from "./offline-app/browsers.mjs";
import * as faults from "./offline-app/faults.mjs";
import { looks } from "./offline-app/looks.mjs";
import { passages } from "./offline-app/passages.mjs";
import { build, Site } from "./offline-app/site.mjs";
import { update } from "./offline-app/update.mjs";
import { use } from "./offline-app/use.mjs";

/** What a build holds, as the cache names it. */
function contents(folder) {
  const files = readdirSync(folder, { recursive: true }).filter((file) => statSync(join(folder, file)).isFile());
  return files.filter((file) => file !== "sw.js").map((file) => (file === "index.html" ? "" : file));
}

async function everything(open, { chromium }) {
  const folders = [build("1"), build("2")];
  const builds = folders.map(contents);
  const folder = mkdtempSync(join(tmpdir(), "offline-app-"));
  const files = { markdown: join(folder, "kitchen.md"), binary: join(folder, "picture.txt") };
  writeFileSync(
    files.markdown,
    "# Kitchen\n\n## Eggs\n\nBoil a soft egg for six minutes.\n\n## Rice\n\nTwo of water, one of rice.\n",
  );
  writeFileSync(files.binary, Buffer.from([0x89, 0x50, 0, 0, 1, 2]));
  let checks = 0;
  const check = (good, what) => {
    if (!good) throw new Error(`not so: ${what}`);
    checks++;
  };
  const site = await new Site(folders[0]).start();
  let page = await open();
  const { version } = page;
  try {
    await use({ page, site, check, files });
    await update({ page, site, check, folders, builds });
    await faults.cancel({ page, check });
    await faults.archive({ page, check, folder });
    await faults.otherModel({ page, check });
    await page.close();
    page = await open(); // a browser that has never been here
    if (chromium) await faults.little({ page, site });
    await faults.download({ page, site, check });
    if (chromium) await faults.quota({ page, check });
    check(site.reports.length <= 1, `policy reports: ${site.reports}`); // the one that was asked for
    const memory = await page.text("#memory");
    return { version, checks, ok: true, figures: { memory } };
  } catch (error) {
    return { version, checks, ok: false, error: `${error.stack}\n${await page.state()}\n${page.problems.join("\n")}` };
  } finally {
    await page.close();
    await site.stop();
    rmSync(folder, { recursive: true });
  }
}

/** @returns rows { name, version, checks, ok, error?, figures } */
export async function run({ lighthouse = false, screenshots = false } = {}) {
  const rows = [];
  const failed = (error) => ({ version: "", checks: 0, ok: false, error: error.stack });
  const row = async (name, browser, test) => {
    if (existsSync(browser)) rows.push({ name, figures: {}, ...(await test().catch(failed)) });
    else if (process.env.CI)
      rows.push({ name, version: "", checks: 0, ok: false, error: `no ${browser}`, figures: {} });
    else rows.push({ name, version: `skipped: no ${browser}`, checks: 0, ok: true, figures: {} });
  };
  await row("offline app: passages", process.execPath, async () => passages());
  await row("offline app: Chromium", CHROMIUM, () => everything(openChromium, { chromium: true }));
  await row("offline app: Firefox", FIREFOX, () => everything(openFirefox, { chromium: false }));
  await row("offline app: accessibility", CHROMIUM, () => looks({ lighthouse, screenshots }));
  return rows;
}

if (import.meta.main ?? process.argv[1] === import.meta.filename) {
  const given = (name) => process.argv.includes(`--${name}`);
  const rows = await run({ lighthouse: given("lighthouse"), screenshots: given("screenshots") });
  for (const { name, version, checks, ok, error, figures } of rows) {
    console.log(`${ok ? "ok" : "FAILED"} ${name} (${version}): ${checks} checks`);
    for (const [what, value] of Object.entries(figures ?? {})) console.log(`     ${what}: ${value}`);
    if (error) console.log(error);
  }
  process.exitCode = rows.every(({ ok }) => ok) ? 0 : 1;
}
