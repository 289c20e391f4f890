/** The type of wattention/wasm/*: what `import` gives of it in workerd, and `import source` elsewhere. */
declare const module: WebAssembly.Module;
export default module;
