/** What tasks over images share: the processor of a folder, and a model with it. */

import { InputError, MissingFileError } from "../errors.ts";
import { ImageProcessor } from "../format/image/processor.ts";
import { type ImageSource, readImage } from "../format/image/read.ts";
import { openModel } from "../format/open.ts";
import { type Json, readJson } from "../format/read.ts";
import { type ModelFolder, type ModelSource, openFolder, type SourceOptions } from "../format/source.ts";
import { type LoadOptions, loadModel, type Model } from "../models/model.ts";
import type { Tensor } from "../tensor.ts";
import type { CallOptions } from "./text.ts";

/** A folder's preprocessor_config.json, or what newer folders have in its place. @throws MissingFileError */
export async function processorConfig(folder: ModelFolder, signal?: AbortSignal): Promise<Json> {
  const name = "preprocessor_config.json";
  const config = (await readJson(folder, name, signal)) ?? (await readJson(folder, "processor_config.json", signal));
  if (!config) throw new MissingFileError(name, folder.name);
  return config;
}

/** See image.ts. */
export async function loadImageProcessor(
  source: ModelSource,
  { signal, ...options }: SourceOptions & { signal?: AbortSignal } = {},
): Promise<ImageProcessor> {
  return ImageProcessor.from(await processorConfig(await openFolder(source, options), signal));
}

/** @throws InputError where there is no model: the one that ships is an embedder */
export function given(task: string, source: ModelSource | undefined): ModelSource {
  if (source === undefined) throw new InputError(`${task} needs a model of yours`);
  return source;
}

/** A model of images alone. @throws InputError if its head is another, and what loading throws */
export async function loadImages(task: string, source: ModelSource | undefined, options: LoadOptions, heads: RegExp) {
  const folder = await openModel(given(task, source), options);
  try {
    const config = await readJson(folder, "config.json", options.signal);
    const [architecture] = ((config?.architectures ?? []) as string[]).map(String);
    if (config && !heads.test(architecture ?? ""))
      throw new InputError(`${task} needs another checkpoint; ${folder.name} is ${architecture ?? config.model_type}`);
    const processor = ImageProcessor.from(await processorConfig(folder, options.signal));
    return { model: await loadModel(folder, options), processor };
  } catch (error) {
    await folder.close?.();
    throw error;
  }
}

/** Images of a run: each may be hundreds of rows. */
const TOGETHER = 4;

/** Reads images and runs them in batches; `read` gets each image's number in its batch. Results come in the order of the images. */
export async function eachImage<R>(
  images: ImageSource | readonly ImageSource[],
  processor: ImageProcessor,
  run: (pixel_values: Tensor, count: number) => Promise<readonly R[]>,
  { signal, progress_callback }: CallOptions,
): Promise<R[]> {
  const all = (Array.isArray(images) ? images : [images]) as readonly ImageSource[];
  const found: R[] = [];
  for (let first = 0; first < all.length; first += TOGETHER) {
    const part = await Promise.all(all.slice(first, first + TOGETHER).map((image) => readImage(image, { signal })));
    const { pixel_values } = processor.process(part);
    found.push(...(await run(pixel_values, part.length)));
    progress_callback?.({ done: found.length, total: all.length });
  }
  return found;
}

/** What a task without a tokenizer has beside its call. */
export interface ModelMembers {
  readonly model: Model;
  dispose(): void;
  [Symbol.dispose](): void;
}

export function modelTask<F extends (...args: never[]) => unknown>(model: Model, call: F): F & ModelMembers {
  const dispose = () => model.dispose();
  return Object.assign(call, { model, dispose, [Symbol.dispose]: dispose });
}
