// A page whose models run in a worker: what is a value there is a promise here.
import * as wattention from "wattention";
import { type Found, type Progress, Tensor } from "wattention";
import { connect, expose } from "wattention/worker";

export async function onThePage(signal: AbortSignal): Promise<Found[]> {
  const { pipeline, loadModel } = connect(new Worker(new URL("./worker.js", import.meta.url), { type: "module" }));
  // @ts-expect-error a typing error in the name of a task
  await pipeline("semantic-serch");
  const progress_callback = ({ loaded, total }: Progress): void => console.log(loaded, total);
  const search = await pipeline("semantic-search", "https://example.org/model", { signal, progress_callback });
  await search.add(["one", "two"]);
  const found: Found[] = await search.search("query", { top_k: 3 });
  const extract = await pipeline("feature-extraction");
  const vectors: Tensor = await extract(["a text"], { signal });
  const model = await loadModel("https://example.org/model", { dtype: "q8" });
  const { attentions } = await model.forward({ input_ids: [[1, 2]] }, { outputs: ["attentions"] });
  await model.dispose();
  return vectors instanceof Tensor && attentions ? found : [];
}

export const inTheWorker = (): void => expose(wattention);
