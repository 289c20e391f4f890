// Whether everybody can use it: axe-core over each state in both colour schemes, the keyboard alone, Lighthouse; and screenshots.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CHROMIUM, openChromium } from "./browsers.mjs";
import { APP, build, Site } from "./site.mjs";
import { ask, NOTE, paste, QUESTION, READY } from "./use.mjs";

const require = createRequire(import.meta.url);
const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const DOCS = join(APP, "../../docs");
const PHONE = { width: 390, height: 844 };

/** Each state of the page by name, and how one comes to it from the one before. */
const STATES = {
  empty: async () => {},
  "nothing stored": (page) => page.click('nav a[href="#texts"]'),
  reading: async (page) => {
    await page.fill("#text", Array.from({ length: 400 }, (_, i) => `Note ${i}. ${NOTE} ${NOTE}`).join("\n\n"));
    await page.submit("#paste");
    await page.says("#work-label", /Reading [1-9]/);
  },
  indexed: async (page) => {
    await page.click("#cancel");
    await page.until(() => document.querySelector("#work").hidden);
    await page.click("#sample");
    await page.says("#said", /Added/);
    await paste(page, "House", NOTE);
  },
  results: (page) => ask(page, QUESTION),
  attention: async (page) => {
    await page.click('nav a[href="#attention"]');
    await page.fill("#sentence", "The bank raised interest rates after the river bank flooded.");
    await page.submit("#sentence-form");
    await page.says("#attends", /attends most to/);
    await page.click('label[for="token-8"]');
  },
  error: async (page, { binary }) => {
    await page.click('nav a[href="#texts"]');
    await page.upload("#files", binary);
    await page.says("#error", /no plain text/);
  },
  confirm: (page) => page.click("#clear"),
};

async function violations(page) {
  await page.evaluate(AXE);
  const { violations, incomplete } = await page.evaluate(() =>
    axe.run(document, { resultTypes: ["violations", "incomplete"] }),
  );
  const told = (list) => list.map(({ id, nodes }) => `${id}: ${nodes.map((n) => n.html).slice(0, 3)}`);
  return { found: told(violations), unsure: told(incomplete) };
}

/** All without a pointer. */
async function keyboard({ page, site, check }) {
  const focus = () =>
    page.evaluate(
      () => document.activeElement.ariaLabel || document.activeElement.textContent.trim() || document.activeElement.id,
    );
  const until = async (what, key = "Tab", most = 40) => {
    for (let i = 0; i < most; i++) {
      await page.press(key);
      if ((await focus()).startsWith(what)) return;
    }
    throw new Error(`the keyboard does not come to ${what}`);
  };
  await page.goto(site.url);
  await page.says("#state", READY);
  await page.press("Tab");
  check((await focus()) === "Skip to the content", "the first stop skips the navigation");
  await until("Try it with a sample");
  await page.press("Enter");
  await page.says("#said", /Added 1 text/);
  check((await focus()) === "query", "then the query has the focus");
  await page.type(QUESTION);
  await page.press("Enter");
  await page.says("#found", /passages of/);
  await until("Show its attention");
  await page.press("Enter");
  const first = await page.says("#attends", /attends most to/);
  check((await focus()) === "Attention", "the view that opens has the focus");
  const token = () => page.evaluate(() => document.activeElement.name === "token");
  for (let i = 0; i < 20 && !(await token()); i++) await page.press("Tab");
  await page.press("ArrowRight");
  const second = await page.says("#attends", /attends most to/);
  check(first !== second, "arrow keys go from token to token");
  await page.goto(`${site.url}#texts`);
  await until("Skip to the content");
  await page.press("Enter");
  check(await page.evaluate(() => !document.querySelector("#view-texts").hidden), "skipping stays in the view");
  await until("Delete allotment-sample.md");
  check(true, "and comes to the button of each text");
}

async function axe({ page, site, check, files, shoot }) {
  await page.goto(site.url);
  await page.says("#state", READY);
  const unsure = new Set();
  for (const [name, reach] of Object.entries(STATES)) {
    await reach(page, files);
    for (const colorScheme of ["light", "dark"]) {
      await page.page.emulateMedia({ colorScheme });
      const result = await violations(page);
      check(!result.found.length, `${name}, ${colorScheme}: ${result.found.join("; ")}`);
      for (const u of result.unsure) unsure.add(u.split(":")[0]);
      await shoot?.(name, colorScheme);
    }
  }
  return [...unsure].join(", ");
}

/** Median of five, in a browser of its own each. */
async function lighthouse({ site, check }) {
  const cli = require.resolve("lighthouse/cli/index.js");
  const scores = { performance: [], accessibility: [], "best-practices": [] };
  for (let i = 0; i < 5; i++) {
    const flags = ["--output=json", "--quiet", `--only-categories=${Object.keys(scores)}`];
    const chrome = "--chrome-flags=--no-sandbox --headless=new --disable-gpu";
    const child = spawn(process.execPath, [cli, site.url, ...flags, chrome], {
      env: { ...process.env, CHROME_PATH: CHROMIUM },
      stdio: ["ignore", "pipe", "inherit"],
      timeout: 120_000,
    });
    let out = "";
    for await (const part of child.stdout) out += part;
    const { categories } = JSON.parse(out);
    for (const [name, all] of Object.entries(scores)) all.push(Math.round(categories[name].score * 100));
  }
  const median = (all) => all.toSorted((a, b) => a - b)[2];
  for (const name of ["accessibility", "best-practices"])
    check(median(scores[name]) >= 95, `Lighthouse ${name}: ${scores[name]}`);
  return Object.fromEntries(Object.entries(scores).map(([n, all]) => [`Lighthouse ${n}`, `${median(all)} of ${all}`]));
}

/** The pictures in docs: light and dark, wide and as a phone shows it. */
const PICTURES = [
  ["results", "light", "offline-app.png"],
  ["results", "dark", "offline-app-dark.png"],
  ["attention", "light", "offline-app-attention.png"],
];

async function phone({ site }) {
  const page = await openChromium({ viewport: PHONE, colorScheme: "dark", scale: 1.5 });
  await page.goto(site.url);
  await page.says("#state", READY);
  await page.click("#sample");
  await page.says("#said", /Added/);
  await ask(page, QUESTION);
  await page.evaluate(() => scrollTo(0, 0));
  await page.page.screenshot({ path: join(DOCS, "offline-app-phone.png") });
  await page.close();
}

export async function looks({ lighthouse: measured, screenshots }) {
  const site = await new Site(build("1")).start();
  const folder = mkdtempSync(join(tmpdir(), "offline-app-"));
  let checks = 0;
  const check = (good, what) => {
    if (!good) throw new Error(`not so: ${what}`);
    checks++;
  };
  const open = [];
  const browser = async (options) => {
    const page = await openChromium(options);
    open.push(page);
    return page;
  };
  const figures = {};
  let version = "";
  try {
    const page = await browser({ viewport: { width: 1000, height: 900 } });
    version = page.version;
    const shoot = async (name, scheme) => {
      const [, , file] = PICTURES.find(([n, s]) => n === name && s === scheme) ?? [];
      if (file) await page.page.screenshot({ path: join(DOCS, file), fullPage: name === "attention" });
      await page.page.screenshot({ path: join(folder, `${name}-${scheme}.png`), fullPage: true });
    };
    const binary = join(folder, "picture.txt");
    writeFileSync(binary, Buffer.from([0x89, 0x50, 0, 0]));
    figures["axe-core is unsure of"] = await axe({
      page,
      site,
      check,
      files: { binary },
      shoot: screenshots ? shoot : undefined,
    });
    await keyboard({ page: await browser(), site, check });

    const narrow = await browser({ viewport: { width: 320, height: 640 } });
    await narrow.goto(site.url);
    await narrow.says("#state", READY);
    await narrow.click("#sample");
    await narrow.says("#said", /Added/);
    for (const view of ["search", "texts", "attention"]) {
      await narrow.evaluate((v) => {
        location.hash = v;
      }, view);
      if (view === "attention") {
        await narrow.submit("#sentence-form");
        await narrow.says("#attends", /attends/);
      }
      const over = await narrow.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      check(over <= 0, `${view} is ${over} px too wide for 320`);
    }
    if (screenshots) await phone({ site });
    if (measured) Object.assign(figures, await lighthouse({ site, check }));
    return { version, checks, ok: true, figures };
  } catch (error) {
    return { version, checks, ok: false, error: `${error.stack}\n${await open.at(-1)?.state()}`, figures };
  } finally {
    for (const page of open) await page.close();
    await site.stop();
    if (!screenshots) rmSync(folder, { recursive: true });
    else console.log(`every state is in ${folder}`);
  }
}
