/** Images: pixels everywhere, files where the host decodes them. */

import { equal, ok } from "./assert.mjs";
import { json, tensors } from "./files.mjs";

/** A PNG of two by two pixels, and these. */
const PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFklEQVR4nGP4z8DA0PCfgUtE7teHZwAgRQWLTuKnHwAAAABJRU5ErkJggg==";
const RGB = [255, 0, 0, 0, 128, 255, 10, 20, 30, 250, 240, 230];

/** A folder that holds one file, whatever it is asked for. */
function folderOf(value) {
  let rest = new TextEncoder().encode(JSON.stringify(value));
  const read = async (into) => {
    const part = rest.subarray(0, into.length);
    into.set(part);
    rest = rest.subarray(part.length);
    return part.length;
  };
  return { name: "a processor", open: async () => ({ read, close: async () => {} }) };
}

export const images = {
  "image processors give the bits that Pillow and transformers give": async (c) => {
    const folder = "tests/fixtures/images";
    const cases = await json(c, `${folder}/cases.json`);
    const all = await tensors(c, `${folder}/images.safetensors`);
    const image = (name) => {
      const { data, dims } = all[`image.${name}`];
      return { data, height: dims[0], width: dims[1], channels: dims[2] };
    };
    for (const { key, images, config } of cases.process) {
      const processor = await c.wattention.loadImageProcessor(folderOf(config));
      const { data, dims } = processor.process(images.map(image)).pixel_values;
      equal(dims, all[key].dims, `dims of ${key}`);
      equal(Array.from(data), Array.from(all[key].data), key);
    }
  },
  "an image file is pixels, or an error says what is missing": async (c) => {
    const file = Uint8Array.from(atob(PNG), (x) => x.charCodeAt(0));
    let image;
    try {
      image = await c.wattention.readImage(file);
    } catch (error) {
      // Without the optional package sharp, or where there is no decoder at all.
      ok(["MissingPackageError", "InputError"].includes(error.name), String(error));
      // Deno has a canvas too, and goes by sharp as Node does.
      ok(typeof OffscreenCanvas === "undefined" || "Deno" in globalThis, `browsers decode: ${error}`);
      return;
    }
    const { data, width, height, channels } = image;
    equal([width, height], [2, 2]);
    equal(
      Array.from(data).filter((_, i) => i % channels < 3),
      RGB,
    );
  },
};
