/** What stands behind #wasm/*: a build as deflate-raw in base64, or, as *.wasm in workerd, a WebAssembly.Module. */
declare const module: string;
export default module;
