/**
 * From ids of one text in an Int32Array to its mean-pooled last_hidden_state in a Float32Array: what is timed, the same function for everybody.
 * Nothing here needs Node: pages run it too.
 */

/** Mean over the rows of `[1, T, width]`. */
export function meanOfRows(data, rows) {
  const width = data.length / rows;
  const mean = new Float32Array(width);
  for (let at = 0; at < data.length; at += width) for (let j = 0; j < width; j++) mean[j] += data[at + j];
  for (let j = 0; j < width; j++) mean[j] /= rows;
  return mean;
}

/** By a model that wattention loaded. */
export const ofModel = (model) => async (ids) => {
  const { last_hidden_state } = await model.forward(
    { input_ids: { data: ids, dims: [1, ids.length] } },
    { outputs: ["last_hidden_state"] },
  );
  return meanOfRows(last_hidden_state.data, ids.length);
};

/** By something that takes ONNX's feeds, and the Tensor that goes with it. */
export const ofSession = (call, Tensor) => async (ids) => {
  const dims = [1, ids.length];
  const { last_hidden_state } = await call({
    input_ids: new Tensor("int64", BigInt64Array.from(ids, BigInt), dims),
    attention_mask: new Tensor("int64", new BigInt64Array(ids.length).fill(1n), dims),
    token_type_ids: new Tensor("int64", new BigInt64Array(ids.length), dims),
  });
  return meanOfRows(last_hidden_state.data, ids.length);
};
