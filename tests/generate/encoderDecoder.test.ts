import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadModel, type Model, type Tensor } from "../../src/host/node.ts";

const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/models/${name}`, import.meta.url));

/** A sequence of ids that are neither special nor padding. */
const ids = (most: number) => fc.array(fc.integer({ min: 3, max: 40 }), { minLength: 1, maxLength: most });
const sources = fc.array(ids(14), { minLength: 1, maxLength: 4 });

describe.each(["bart", "marian", "m2m-100", "t5"])("%s", (name) => {
  let model: Model;
  beforeAll(async () => {
    model = await loadModel(fixture(name));
  });
  afterAll(() => model.dispose());

  it("writes for sources of several lengths what it writes for each alone", async () => {
    const options = { max_new_tokens: 6, min_new_tokens: 3, do_sample: false };
    await fc.assert(
      fc.asyncProperty(sources, async (input_ids) => {
        const together = await model.generate({ input_ids }, options);
        for (const [b, one] of input_ids.entries())
          expect(together[b]).toEqual((await model.generate({ input_ids: [one] }, options))[0]);
      }),
      { numRuns: 12 },
    );
  });

  it("logits of a batch are bit for bit those of its sequences, wherever they are padded", async () => {
    await fc.assert(
      fc.asyncProperty(sources, fc.boolean(), async (input_ids, left) => {
        const decoder_input_ids = input_ids.map((row) => row.slice(0, 3));
        const length = Math.max(...input_ids.map((row) => row.length));
        const pads = (row: readonly number[]) => new Array<number>(length - row.length).fill(1);
        // Left pads move positions where these are columns: there they are put right only.
        const side = left && name === "t5";
        const put = (row: number[], fill: (row: readonly number[]) => number[]) =>
          side ? [...fill(row), ...row] : [...row, ...fill(row)];
        const zeros = (row: readonly number[]) => pads(row).fill(0);
        const batch = await model.forward(
          {
            input_ids: input_ids.map((row) => put(row, pads)),
            attention_mask: input_ids.map((row) => put(new Array<number>(row.length).fill(1), zeros)),
            decoder_input_ids,
          },
          { outputs: ["logits", "cross_attentions"] },
        );
        const logits = (batch.logits as Tensor).tolist() as number[][][];
        for (const [b, row] of input_ids.entries()) {
          const alone = await model.forward(
            { input_ids: [row], decoder_input_ids: [decoder_input_ids[b]] },
            { outputs: ["logits"] },
          );
          expect(logits[b].slice(0, decoder_input_ids[b].length)).toEqual(
            (alone.logits as Tensor).tolist()[0 as never],
          );
        }
        const [map] = batch.cross_attentions as Tensor[];
        for (const [b, heads] of (map.tolist() as number[][][][]).entries())
          for (const head of heads)
            for (const row of head.slice(0, decoder_input_ids[b].length)) {
              expect(row.reduce((a, p) => a + p)).toBeCloseTo(1, 5);
              const padding = side ? row.slice(0, length - input_ids[b].length) : row.slice(input_ids[b].length);
              expect(padding.every((p) => p === 0)).toBe(true);
            }
      }),
      { numRuns: 12 },
    );
  });

  it("what it writes is what forward says of it, token by token", async () => {
    const input_ids = [
      [5, 9, 21, 30],
      [8, 40],
    ];
    const written = await model.generate({ input_ids }, { max_new_tokens: 6, min_new_tokens: 6, do_sample: false });
    const eos = model.config.int("eos_token_id");
    const read = written.map((row) => row.slice(0, -1));
    const { logits } = await model.forward({ input_ids, decoder_input_ids: read }, { outputs: ["logits"] });
    for (const [b, rows] of ((logits as Tensor).tolist() as number[][][]).entries())
      for (const [t, row] of rows.entries()) {
        const seen = row.map((x, id) => (id === eos ? Number.NEGATIVE_INFINITY : x));
        expect(seen.indexOf(Math.max(...seen))).toBe(written[b][t + 1]);
      }
  });

  it("gives what the encoder says without a decoder's text, and names what is missing for the rest", async () => {
    const { encoder_last_hidden_state: state } = await model.forward(
      { input_ids: [[5, 6, 7]] },
      { outputs: ["encoder_last_hidden_state"] },
    );
    expect((state as Tensor).dims).toEqual([1, 3, 20]);
    await expect(model.forward({ input_ids: [[5, 6, 7]] }, { outputs: ["logits"] })).rejects.toThrow(
      "logits needs more than input_ids",
    );
    await expect(model.forward({ input_ids: [[5], [6]], decoder_input_ids: [[2]] })).rejects.toThrow(
      "the decoder has 1 sequences, the encoder 2",
    );
    await expect(model.forward({ input_ids: [[5]], decoder_input_ids: [[999]] })).rejects.toThrow("decoder_input_ids");
    await expect(model.forward({ input_ids: [[5]], attention_mask: [[0]], decoder_input_ids: [[2]] })).rejects.toThrow(
      "input_ids[0] has no token that counts",
    );
    expect((await model.generate({ input_ids: [[5, 6]] }, { max_new_tokens: 2 }))[0].length).toBeGreaterThan(1);
  });

  it("begins with what it is given of the decoder's text", async () => {
    const options = { max_new_tokens: 5, min_new_tokens: 5, do_sample: false };
    const [whole] = await model.generate({ input_ids: [[5, 9, 21]] }, options);
    const begun = { input_ids: [[5, 9, 21]], decoder_input_ids: [whole.slice(0, 3)] };
    expect(await model.generate(begun, { ...options, max_new_tokens: 3, min_new_tokens: 3 })).toEqual([whole]);
  });

  it("beams and several copies read the same encoder", async () => {
    const options = { num_beams: 3, num_return_sequences: 2, max_new_tokens: 5, do_sample: false };
    const together = await model.generate({ input_ids: [[5, 9, 21], [7]] }, options);
    const alone = [
      await model.generate({ input_ids: [[5, 9, 21]] }, options),
      await model.generate({ input_ids: [[7]] }, options),
    ];
    expect(together).toEqual(alone.flat());
  });
});

it("the encoder runs in the first step alone", async () => {
  const model = await loadModel(fixture("bart"));
  const session = model.session;
  const seen: (number | undefined)[] = [];
  const perform = session.perform.bind(session);
  session.perform = ((names, dims, ...rest) => {
    seen.push(dims["encoder.T"]);
    return perform(names, dims, ...rest);
  }) as typeof session.perform;
  await model.generate({ input_ids: [[5, 9, 21]] }, { max_new_tokens: 4, min_new_tokens: 4 });
  model.dispose();
  expect(seen.map((n) => n ?? 0)).toEqual([3, 0, 0, 0]);
});

it("a plan is made for the sizes that inputs of that shape have", async () => {
  const zeros = (...dims: number[]) => ({ data: new Float32Array(dims.reduce((a, b) => a * b)), dims });
  for (const [name, length, source] of [
    ["bart", 6, { input_ids: [new Array<number>(6).fill(5), new Array<number>(6).fill(7)] }],
    ["whisper", 4, { input_features: zeros(2, 10, 42) }],
    ["trocr", 4, { pixel_values: zeros(2, 3, 18, 18) }],
  ] as const) {
    const model = await loadModel(fixture(name));
    const { architecture, config } = model;
    const decoder_input_ids = [new Array<number>(length).fill(3), new Array<number>(length).fill(4)];
    const { dims } = architecture.layOut!({ ...source, decoder_input_ids }, config);
    const planned = architecture.dims!(config, 2, length);
    for (const [axis, n] of Object.entries(dims)) expect(planned[axis as "T"], `${name} ${axis}`).toBe(n);
    model.dispose();
  }
});
