/** as-pect compiles and runs each spec with the feature set that the --as-config names: asconfig.json (plain SIMD) or asconfig.relaxed.json. */
export default {
  entries: ["tests/assembly/*.spec.ts"],
  include: [],
  disclude: [/node_modules/],
  async instantiate(memory, createImports, instantiate, binary) {
    return instantiate(binary, createImports({ env: { memory } }));
  },
  outputBinary: false,
};
