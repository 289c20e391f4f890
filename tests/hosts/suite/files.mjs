/** The repository's files as a host reaches them, and what PyTorch said, read without the library. */

const join = (context, path) => (context.files ? `${context.files}/${path}` : `${context.server}/repo/${path}`);

/** A path or URL that the library may be given. */
export const source = join;

export async function json(context, path) {
  return JSON.parse(new TextDecoder().decode(await context.read(path)));
}

const TYPES = { F32: Float32Array, I32: Int32Array, U8: Uint8Array };

/** The tensors of a safetensors file, by name. */
export async function tensors(context, path) {
  const bytes = await context.read(path);
  const size = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const { __metadata__, ...header } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + size)));
  return Object.fromEntries(
    Object.entries(header).map(([name, { dtype, shape, data_offsets }]) => {
      const own = bytes.slice(8 + size + data_offsets[0], 8 + size + data_offsets[1]).buffer;
      return [name, { data: new TYPES[dtype](own), dims: shape }];
    }),
  );
}

/** A folder of the repository as `{ config, weights, … }`. */
export async function given(context, folder, names = ["config", "tokenizer", "tokenizer_config"]) {
  const files = { weights: await context.read(`${folder}/model.safetensors`) };
  for (const name of names)
    files[name] = await json(context, `${folder}/${name.includes(".") ? name : `${name}.json`}`);
  return files;
}
