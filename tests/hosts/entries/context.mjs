/** What all entries give the suite. `config` is what run.mjs says: `{ id, server?, files?, lists, shipped?, noShipped? }`. */

const MODULE = "dist/wasm/simd.wasm";

async function fetched(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

export function contextOf(config, own) {
  const read = own.read ?? ((path) => fetched(`${config.server}/repo/${path}`));
  const url = `${config.server}/repo/${MODULE}`;
  const wasm = () => ({
    bytes: () => read(MODULE),
    "a WebAssembly.Module": async () => WebAssembly.compile(await read(MODULE)),
    ...(config.files && { "a path": () => `${config.files}/${MODULE}` }),
    ...(config.server && {
      "a Response": () => fetch(url),
      "a URL": () => new URL(url),
      "a URL as text": () => url,
    }),
  });
  return { ...config, read, wasm, ...own };
}

/** Reports over http: how browsers and workerd speak. */
export const reporter = (config) => async (event) => {
  await fetch(`${config.server}/report/${config.id}`, { method: "POST", body: JSON.stringify(event) });
};
