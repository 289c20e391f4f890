// What a deployment sends, as wrangler counts it.
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { join } from "node:path";

export function run({ folder, bundles: { assets, bundled } }) {
  const model = statSync(join(folder, "node_modules/wattention/dist/shipped/default-embedder.safetensors")).size;
  assert.ok(assets.gzip <= 3e6, `the bundle has ${assets.gzip} bytes after gzip`);
  assert.ok(assets.raw < model, "the model is in the bundle that fetches it");
  assert.ok(bundled.raw > model, "the model is not in the bundle that holds it");
  assert.ok(bundled.gzip <= 10e6, `the bundle with the model has ${bundled.gzip} bytes after gzip`);
  const kb = (bytes) => `${(bytes / 1000).toFixed(0)} kB`;
  return {
    checks: 4,
    figures: {
      "bundle, gzip": kb(assets.gzip),
      "bundle, whole": kb(assets.raw),
      "bundle with the model, gzip": kb(bundled.gzip),
    },
  };
}
