// What someone writes who uses the package: types.mjs has it checked, and runs nothing. `Equal` holds what is inferred to exactly that.
import {
  type Answer,
  type Classified,
  type Entity,
  type FeatureExtraction,
  type Filled,
  FormatError,
  type Found,
  type Hit,
  type LabelledToken,
  loadModel,
  type Model,
  type ModelOutputs,
  type ModelSource,
  MultiheadAttention,
  type Pipelines,
  type Progress,
  pack,
  pipeline,
  plan,
  type Ranked,
  type SemanticSearch,
  scaledDotProductAttention,
  supportedModels,
  Tensor,
  TokenOutOfRangeError,
  VectorIndex,
  WattentionError,
  type ZeroShotClassified,
} from "wattention";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
/** Refuses what is not of exactly the type `A`. */
const is =
  <A>() =>
  <B>(_: B, ..._same: Same<A, B> extends true ? [] : ["another type", B]): void => {};

export async function tasks(source: ModelSource): Promise<void> {
  // @ts-expect-error a typing error in the name of a task
  await pipeline("feature-extracton");
  // @ts-expect-error there is no such option
  await pipeline("feature-extraction", source, { dtyp: "q8" });
  // @ts-expect-error there is no such dtype
  await pipeline("feature-extraction", source, { dtype: "q5" });

  const extract = await pipeline("feature-extraction");
  is<FeatureExtraction>()(extract);
  is<Tensor>()(await extract("a text"));
  is<Tensor>()(await extract(["a", "b"] as const, { pooling: "mean", normalize: true }));
  is<string[]>()(extract.tokenizer.encode("a text").tokens);
  is<Model>()(extract.model);
  // @ts-expect-error there is no such pooling
  await extract("a text", { pooling: "median" });

  const search = await pipeline("semantic-search", source, { dtype: "q8", deterministic: true });
  is<SemanticSearch>()(search);
  await search.add(["one", { id: "2", text: "two" }]);
  is<Found[]>()(await search.search("query", { top_k: 3 }));

  const classify = await pipeline("text-classification", source);
  is<Classified[]>()(await classify("one text"));
  is<Classified[]>()(await classify(["several", "texts"]));
  is<Classified[][]>()(await classify(["several", "texts"], { top_k: 2 }));
  is<Classified[][]>()(await classify(["several", "texts"], { top_k: null }));
  is<Classified[]>()(await classify({ text: "premise", text_pair: "hypothesis" }));

  const label = await pipeline("token-classification", source);
  is<LabelledToken[]>()(await label("one text"));
  is<Entity[]>()(await label("one text", { aggregation_strategy: "simple" }));
  is<Entity[][]>()(await label(["several", "texts"], { aggregation_strategy: "max" }));

  const answer = await pipeline("question-answering", source);
  is<Answer>()(await answer("question", "context"));
  is<Answer[]>()(await answer("question", "context", { top_k: 2 }));
  is<Answer[]>()(await answer(["several", "questions"], "context"));

  const rank = await pipeline("text-ranking", source);
  is<Ranked[]>()(await rank("query", ["several", "documents"]));
  const fill = await pipeline("fill-mask", source);
  is<Filled[]>()(await fill("a [MASK]"));
  const zero = await pipeline("zero-shot-classification", source);
  is<ZeroShotClassified>()(await zero("a text", ["one", "two"]));
  const similarity = await pipeline("sentence-similarity", source);
  is<number[]>()(await similarity("a text", ["one", "two"]));

  const name: keyof Pipelines = "fill-mask";
  is<Pipelines[typeof name]>()(fill);
}

export async function models(source: ModelSource, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  using model = await loadModel(source, {
    signal,
    progress_callback: (progress) => is<Progress>()(progress),
  });
  const outputs = await model.forward({ input_ids: [[1, 2, 3]] }, { outputs: ["attentions"], signal });
  is<ModelOutputs>()(outputs);
  is<number>()((await plan(source, { length: 128 })).total);
  is<number>()(model.plan({ batch: 2, length: 128 }).total);
  is<Uint8Array>()(await pack(source, { dtype: "q4" }));
  is<Promise<string[]>>()(supportedModels());
  await loadModel(bytes);
  await loadModel({ config: {}, weights: bytes, tokenizer: "{}", "1_Pooling/config.json": {} });
  await loadModel(new URL("https://example.org/model.safetensors"), { headers: { authorization: "Bearer x" } });
  // @ts-expect-error a model has no such source
  await loadModel(42);
}

export async function layers(x: Tensor): Promise<Tensor | undefined> {
  using attention = new MultiheadAttention(16, 4, { causal: true });
  const { out, weights } = await attention.forward(x, x, x);
  is<Tensor>()(out);
  const { probs } = await scaledDotProductAttention(x, new Tensor(new Float32Array(4), [1, 4]), x, { probs: true });
  using index = await VectorIndex.create(384);
  await index.add(["a"], new Tensor(new Float32Array(384), [1, 384]));
  is<Hit[][]>()(await index.search({ data: new Float32Array(384), dims: [384] }, { top_k: 1 }));
  return weights ?? probs;
}

export function errors(error: unknown): string {
  if (error instanceof TokenOutOfRangeError) return `${error.position}: ${error.id} of ${error.vocab_size}`;
  if (error instanceof FormatError) return error.file;
  if (error instanceof WattentionError) return error.message;
  throw error;
}
