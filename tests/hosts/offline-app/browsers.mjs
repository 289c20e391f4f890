// One small language for two drivers: Chromium by playwright-core, Firefox by puppeteer-core (BiDi).
import { chromium } from "playwright-core";
import puppeteer from "puppeteer-core";

export const CHROMIUM = process.env.CHROME_PATH ?? "/usr/bin/chromium";
export const FIREFOX = process.env.FIREFOX_PATH ?? "/usr/bin/firefox-esr";

/** Runs in every page before its scripts: what the policy stopped is kept, and what the app saves to a file. */
function watch() {
  window.violations = [];
  window.saved = [];
  addEventListener("securitypolicyviolation", (e) => window.violations.push(`${e.violatedDirective} ${e.blockedURI}`));
  const create = URL.createObjectURL;
  URL.createObjectURL = (blob) => {
    window.saved.push(blob);
    return create(blob);
  };
}

/** What a test does with a page. */
class Page {
  constructor(page, { upload, close, version }) {
    this.page = page;
    Object.assign(this, { upload, close, version });
    this.problems = [];
    page.on("pageerror", (error) => this.problems.push(error.message));
    page.on("console", (message) => {
      if (message.type() === "error") this.problems.push(message.text());
    });
  }

  goto(url) {
    return this.page.goto(url);
  }

  reload() {
    return this.page.reload();
  }

  evaluate(f, ...args) {
    return this.page.evaluate(f, ...args);
  }

  /** Waits until `f` of the page gives something true, and gives it. */
  async until(f, arg, what = String(f)) {
    const end = Date.now() + 60_000;
    for (;;) {
      // A page on its way from one document to the next cannot answer.
      const value = await this.page.evaluate(f, arg).catch((error) => {
        if (Date.now() > end) throw error;
      });
      if (value) return value;
      if (Date.now() > end) throw new Error(`waited in vain for ${what}; the page says: ${await this.state()}`);
      await new Promise((next) => setTimeout(next, 50));
    }
  }

  state() {
    return this.page
      .evaluate(
        () => `${document.querySelector("#state")?.textContent} ${document.querySelector("#error")?.textContent}`,
      )
      .catch(String);
  }

  text(selector) {
    return this.page.evaluate((s) => document.querySelector(s)?.innerText?.trim() ?? "", selector);
  }

  /** Until an element says what `pattern` wants. */
  says(selector, pattern) {
    const find = ([s, source]) => {
      const element = document.querySelector(s);
      return (
        element && !element.closest("[hidden]") && new RegExp(source).test(element.textContent) && element.textContent
      );
    };
    return this.until(find, [selector, pattern.source], `${selector} to say ${pattern}`);
  }

  click(selector) {
    return this.page.evaluate((s) => document.querySelector(s).click(), selector);
  }

  fill(selector, value) {
    const set = ([s, v]) => {
      document.querySelector(s).value = v;
    };
    return this.page.evaluate(set, [selector, value]);
  }

  async submit(selector) {
    await this.page.evaluate((s) => document.querySelector(s).requestSubmit(), selector);
  }

  press(key) {
    return this.page.keyboard.press(key);
  }

  type(text) {
    return this.page.keyboard.type(text);
  }
}

export async function openChromium({ colorScheme = "light", viewport = { width: 1100, height: 800 }, scale = 1 } = {}) {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-gpu"] });
  const options = { colorScheme, viewport, deviceScaleFactor: scale, reducedMotion: "reduce" };
  const context = await browser.newContext(options);
  await context.addInitScript(watch);
  const page = await context.newPage();
  return new Page(page, {
    version: `Chromium ${browser.version()}`,
    upload: (selector, files) => page.setInputFiles(selector, files),
    close: () => browser.close(),
  });
}

export async function openFirefox() {
  const browser = await puppeteer.launch({ browser: "firefox", executablePath: FIREFOX, headless: true });
  const page = await browser.newPage();
  await page.evaluateOnNewDocument(watch);
  return new Page(page, {
    version: (await browser.version()).replace("/", " "),
    upload: async (selector, files) => (await page.$(selector)).uploadFile(...[files].flat()),
    close: () => browser.close(),
  });
}
