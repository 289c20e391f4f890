/** One build of the module: its bytes, deflate-raw, as base64. Made by scripts/build.mjs. */
declare const module: string;
export default module;
