import { InputError, UnsupportedOptionError } from "../errors.ts";
import type { Config } from "../format/config.ts";
import type { Dims, Value } from "../graph/graph.ts";
import { type EncoderInputs, type InputRules, padded } from "../runtime/batch.ts";
import type { Session } from "../runtime/session.ts";

export type GenerateInputs = Pick<EncoderInputs, "input_ids" | "attention_mask">;

export interface GenerateOptions {
  signal?: AbortSignal;
  max_new_tokens?: number;
  min_new_tokens?: number;
  do_sample?: boolean;
  eos_token_id?: number | number[];
}

/** A sequence on its way. */
interface Row {
  /** As the caller gave it, padding included, and what was made since. */
  readonly ids: number[];
  /** What the next run reads. */
  next: number[];
  /** Tokens kept in the state. */
  past: number;
  /** Its first row there. */
  readonly start: number;
  made: number;
  done: boolean;
}

export async function generate(
  { session, config }: { session: Session; rules: InputRules; config: Config },
  inputs: GenerateInputs,
  { max_new_tokens = 20, min_new_tokens = 0, eos_token_id, signal }: GenerateOptions,
): Promise<number[][]> {
  if (!session.layout.outputs.next_logits)
    throw new UnsupportedOptionError("generate", config.model_type, ["models with a language head"]);
  const ids = padded("input_ids", inputs.input_ids);
  const mask = inputs.attention_mask && padded("attention_mask", inputs.attention_mask);
  const eos = [eos_token_id ?? (config.raw.eos_token_id as number | number[] | undefined) ?? []].flat();
  const rows: Row[] = [];
  let capacity = 0;
  for (const [b, length] of ids.lengths.entries()) {
    const at = b * ids.length;
    const all = Array.from(ids.data.subarray(at, at + length));
    const next = all.filter((_, t) => !mask || mask.data[at + t] > 0);
    if (!next.length) throw new InputError(`input_ids[${b}] has no token that counts`);
    rows.push({ ids: all, next, past: 0, start: capacity, made: 0, done: max_new_tokens <= 0 });
    capacity += next.length + max_new_tokens;
  }
  const state = await session.state(capacity, signal);
  try {
    for (let live = rows; live.some((r) => !r.done); ) {
      live = live.filter((r) => !r.done);
      const { dims, inputs } = layOut(live);
      const logits = await session.run(["next_logits"], dims, inputs, ([v]: Value[], copy) => copy(v), {
        signal,
        state,
      });
      const size = logits.length / live.length;
      for (const [i, row] of live.entries()) {
        row.past += row.next.length;
        const scores = logits.subarray(i * size, (i + 1) * size);
        if (row.made < min_new_tokens) for (const id of eos) scores[id] = Number.NEGATIVE_INFINITY;
        const id = argmax(scores);
        row.ids.push(id);
        row.next = [id];
        row.made++;
        row.done = eos.includes(id) || row.made >= max_new_tokens;
      }
    }
    return rows.map((r) => r.ids);
  } finally {
    state.dispose();
  }
}

/** What a run over the next tokens of each sequence reads. */
function layOut(rows: readonly Row[]) {
  const T = rows.reduce((n, r) => n + r.next.length, 0);
  const dims: Dims = { T, B: rows.length, P: 0, S: 0, R: 0 };
  const input_ids = new Int32Array(T);
  const position_ids = new Int32Array(T);
  const cache_rows = new Int32Array(T);
  const offsets = new Int32Array(rows.length + 1);
  let t = 0;
  for (const [b, { next, past, start }] of rows.entries()) {
    for (const [i, id] of next.entries()) {
      input_ids[t] = id;
      position_ids[t] = past + i;
      cache_rows[t++] = start + past + i;
    }
    offsets[b + 1] = t;
  }
  const inputs = {
    input_ids,
    position_ids,
    cache_rows,
    offsets,
    last_rows: offsets.slice(1).map((end) => end - 1),
    k_offsets: Int32Array.from([...rows.map((r) => r.start), 0]),
    k_ends: Int32Array.from([...rows.map((r) => r.start + r.past + r.next.length), 0]),
  };
  return { dims, inputs };
}

/** The first of the largest. */
function argmax(x: Float32Array): number {
  let best = 0;
  for (let i = 1; i < x.length; i++) if (x[i] > x[best]) best = i;
  return best;
}
