/** Chromium, Firefox and WebKit: a page, a module worker and a service worker in each, which report to the server by themselves. */

import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";

const TRIES = 3;
const inPath = (...names) => {
  for (const name of names)
    for (const folder of (process.env.PATH ?? "").split(delimiter))
      if (existsSync(join(folder, name))) return join(folder, name);
};
const versionOf = (path) =>
  execFileSync(path, ["--version"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const freePort = () =>
  new Promise((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });

/** A browser's start may fail on a busy machine; nothing else is tried twice. */
async function started(start, log) {
  for (let i = 1; ; i++)
    try {
      return await start();
    } catch (error) {
      log(`start ${i} failed: ${error}`);
      if (i === TRIES) throw error;
      await wait(2000 * i);
    }
}

/** `start(log)` gives `{ open(url), close() }`; a browser of its own for each context, so that none inherits a registration. */
const contexts = (start) =>
  Object.fromEntries(
    Object.entries({
      page: "page.html",
      worker: "starter.html?kind=worker",
      "service-worker": "starter.html?kind=service-worker",
    }).map(([name, path]) => [
      name,
      {
        config: (c) => c,
        async run({ config, log, report, ended, onEnd }) {
          const url = new URL(`/app/${path}`, config.server);
          url.searchParams.set("id", config.id);
          const browser = await started(() => start(log), log);
          onEnd(() => browser.close());
          if (browser.version) report({ version: browser.version });
          await browser.open(url.href);
          await ended;
        },
      },
    ]),
  );

const listen = (page, log) => {
  page.on("console", (message) => log(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => log(`pageerror: ${error}`));
};

const chromium = {
  name: "chromium",
  find() {
    const path = inPath("chromium", "chromium-browser", "google-chrome");
    return path ? { version: versionOf(path) } : { absent: "no chromium in PATH" };
  },
  contexts: contexts(async (log) => {
    const { chromium: driver } = await import("playwright-core");
    const browser = await driver.launch({
      executablePath: inPath("chromium", "chromium-browser", "google-chrome"),
      args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
    });
    return {
      async open(url) {
        const page = await browser.newPage();
        listen(page, log);
        page.on("crash", () => log("the page crashed"));
        await page.goto(url);
      },
      close: () => browser.close(),
    };
  }),
};

const firefox = {
  name: "firefox",
  find() {
    const path = inPath("firefox-esr", "firefox");
    return path ? { version: versionOf(path) } : { absent: "no firefox in PATH" };
  },
  contexts: contexts(async (log) => {
    const { default: puppeteer } = await import("puppeteer-core");
    const browser = await puppeteer.launch({
      browser: "firefox",
      executablePath: inPath("firefox-esr", "firefox"),
      headless: true,
    });
    return {
      async open(url) {
        const page = await browser.newPage();
        listen(page, log);
        await page.goto(url);
      },
      close: () => browser.close(),
    };
  }),
};

/** WebDriver by plain fetch: a session, one URL, the end. */
async function webDriver(base, method, path, body) {
  const response = await fetch(base + path, { method, body: body && JSON.stringify(body) });
  const { value } = await response.json();
  if (!response.ok) throw new Error(`WebDriver ${path}: ${value?.error} ${value?.message}`);
  return value;
}

const miniBrowser = () =>
  ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/libexec"]
    .flatMap((folder) => ["4.1", "6.0", "4.0"].map((api) => `${folder}/webkit2gtk-${api}/MiniBrowser`))
    .concat(
      "/usr/lib/x86_64-linux-gnu/webkitgtk-6.0/MiniBrowser",
      "/usr/lib/aarch64-linux-gnu/webkitgtk-6.0/MiniBrowser",
    )
    .find((path) => existsSync(path));

const webkit = {
  name: "webkit",
  find() {
    const driver = inPath("WebKitWebDriver");
    if (!driver || !miniBrowser() || !inPath("Xvfb"))
      return { absent: "WebKitWebDriver, MiniBrowser and Xvfb are needed" };
    return { version: "WebKitGTK" }; // its session says which
  },
  contexts: contexts(async (log) => {
    const children = [];
    const home = mkdtempSync(join(tmpdir(), "wattention-webkit-"));
    const close = () => {
      for (const child of children) child.kill("SIGKILL");
      rmSync(home, { recursive: true, force: true });
    };
    const run = (command, args, options) => {
      const child = spawn(command, args, options);
      children.unshift(child);
      child.stderr.setEncoding("utf8").on("data", log);
      return child;
    };
    try {
      // Xvfb takes a free display and writes its number to descriptor 3.
      const screen = run(inPath("Xvfb"), ["-displayfd", "3", "-screen", "0", "1280x1024x24", "-nolisten", "tcp"], {
        stdio: ["ignore", "ignore", "pipe", "pipe"],
      });
      const display = await new Promise((done, failed) => {
        screen.stdio[3].once("data", (number) => done(`:${String(number).trim()}`));
        screen.once("exit", () => failed(new Error("Xvfb ended")));
      });
      const port = await freePort();
      // A profile of its own; no sandbox where containers have none; nothing of a desktop's session.
      const env = {
        ...process.env,
        DISPLAY: display,
        HOME: home,
        XDG_RUNTIME_DIR: home,
        XDG_CACHE_HOME: home,
        XDG_DATA_HOME: home,
        GDK_BACKEND: "x11",
        WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: "1",
        WEBKIT_DISABLE_COMPOSITING_MODE: "1",
        LIBGL_ALWAYS_SOFTWARE: "1",
        DBUS_SESSION_BUS_ADDRESS: "disabled:",
      };
      run(inPath("WebKitWebDriver"), [`--port=${port}`, "--host=127.0.0.1"], {
        env,
        stdio: ["ignore", "ignore", "pipe"],
      });
      const base = `http://127.0.0.1:${port}`;
      const options = { binary: miniBrowser(), args: ["--automation"] };
      const ask = {
        capabilities: { alwaysMatch: { browserName: "MiniBrowser", "webkitgtk:browserOptions": options } },
      };
      let session;
      for (let i = 0; !session; i++)
        try {
          session = await webDriver(base, "POST", "/session", ask);
        } catch (error) {
          if (i > 40 || !/fetch failed/.test(error)) throw error;
          await wait(250);
        }
      const { browserName, browserVersion } = session.capabilities;
      return {
        version: `WebKitGTK ${browserVersion} (${browserName})`,
        open: (url) => webDriver(base, "POST", `/session/${session.sessionId}/url`, { url }),
        async close() {
          await webDriver(base, "DELETE", `/session/${session.sessionId}`).catch(log);
          close();
        },
      };
    } catch (error) {
      close();
      throw error;
    }
  }),
};

export const browsers = [chromium, firefox, webkit];
