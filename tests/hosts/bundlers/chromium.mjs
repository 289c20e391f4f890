// Pages in Chromium.
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const executablePath = "/usr/bin/chromium";

/** @returns undefined where there is none */
export async function startChromium() {
  if (!existsSync(executablePath)) return;
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  return {
    version: browser.version(),
    close: () => browser.close(),
    /** Opens a page that prints its result as one line of JSON. @throws what the page says otherwise, refusals of its policy among it */
    async result(url) {
      const context = await browser.newContext();
      try {
        const page = await context.newPage();
        return await new Promise((resolve, reject) => {
          const fail = (why) => reject(new Error(`${url}: ${why}`));
          const timer = setTimeout(fail, 30_000, "no result in 30 s");
          page.on("close", () => clearTimeout(timer));
          page.on("pageerror", (error) => fail(error.stack));
          page.on("console", (message) => {
            if (/^\[-?\d/.test(message.text())) resolve(JSON.parse(message.text()));
            else if (["error", "warning"].includes(message.type()))
              fail(`${message.text()} (${message.location().url})`);
          });
          page.goto(url).catch(reject);
        });
      } finally {
        await context.close();
      }
    },
  };
}
