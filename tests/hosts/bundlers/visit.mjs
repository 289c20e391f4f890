// An app's page in Chromium, and what it fetched.
import { brotliCompressSync } from "node:zlib";
import { assert, sameNumbers } from "./project.mjs";
import { files, serve } from "./server.mjs";

/** What is known of the apps, but for those of which all this is so. */
const USUAL = { form: "js", modes: ["fast", "deterministic"], models: 1 };
const APPS = {
  "wasm-vite": { form: "wasm" },
  "wasm-webpack": { form: "wasm" },
  // What is not split holds both builds.
  "thread-static": { whole: true },
  "worker-static": { whole: true },
  // The attention layer by itself: of tasks, tokenizers and checkpoints nothing comes along.
  layer: { modes: ["layer"], models: 0, without: /feature-extraction|tokenizer|WordPiece|modules\.json/ },
};

/** Which builds a page was given: as JavaScript, as they are. */
function buildsIn(served, builds) {
  const found = [];
  for (const { name, text, bytes } of builds) {
    if (served.some(({ body }) => body.includes(text))) found.push(`${name}.js`);
    if (served.some(({ body }) => body.equals(bytes))) found.push(`${name}.wasm`);
  }
  return found.join(" ");
}

/** What the code weighs that a page fetched: the model aside. */
function weigh(code) {
  const sum = (bytes) => code.reduce((total, { body }) => total + bytes(body), 0);
  return { files: code.length, bytes: sum((body) => body.length), brotli: sum((b) => brotliCompressSync(b).length) };
}

/**
 * Opens the page of an app, as it is and deterministic.
 * @param splits whether a dynamic import is a chunk: then one build is fetched, else both are in the one file
 * @returns how many checks it stood, and what it fetched
 */
export async function visit({ chromium, project }, site, app, splits) {
  const { form, modes, models, whole, without } = { ...USUAL, ...APPS[app] };
  let fetched;
  let checks = 0;
  const hold = (right, message) => {
    assert(right, message);
    checks++;
  };
  for (const mode of modes) {
    const exact = mode === "deterministic";
    site.served.length = 0;
    sameNumbers(
      await chromium.result(`${site.origin}/${exact ? "?deterministic" : ""}`),
      project.expected[mode],
      exact,
    );
    const code = site.served.filter(({ path }) => /\.(m?js|wasm)(\?|$)/.test(path));
    const given = buildsIn(code, project.builds);
    const right = splits && !whole ? `${exact ? "simd" : "relaxed"}.${form}` : "relaxed.js simd.js";
    hold(given === right, `it was given ${given || "no build"} where ${right} was to be`);
    const missing = site.served.filter(({ status }) => status >= 400).map(({ path }) => path);
    hold(!missing.length, `it asked for what is not there: ${missing}`);
    const loaded = site.served.filter(({ path }) => path.endsWith(".safetensors")).length;
    hold(loaded === models, `it fetched ${loaded} models`);
    const brought = without && code.map(({ body }) => without.exec(body)?.[0]).find(Boolean);
    hold(!brought, `what it was given holds ${brought}`);
    fetched ??= weigh(code);
  }
  return { checks: checks + modes.length, ...fetched };
}

export async function visitFolder(context, folder, app, splits) {
  const site = await serve(files(folder, context.project.model));
  try {
    return await visit(context, site, app, splits);
  } finally {
    await site.close();
  }
}
