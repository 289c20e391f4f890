export { convert } from "./kernels/convert";
export { pack_columns, pack_rows } from "./kernels/pack";
export { quantize_weights } from "./kernels/quantize_weights";
export { fuse_dots } from "./kernels/tile_quantized";
export { run } from "./program";

/** Changes whenever records, layouts or exports do; the host refuses a module of another version. */
export function version(): i32 {
  return 4;
}

/** First byte behind the module's own data: the host's memory plan begins there. */
export function heap_base(): usize {
  return __heap_base;
}
