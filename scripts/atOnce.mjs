import { readFileSync } from "node:fs";

/**
 * For esbuild: makes import statements of `await import()`, for an entry in one file. Left alone, esbuild would wrap what is imported late in
 * functions: two KB, compressed.
 */
export const allAtOnce = {
  name: "nothing comes late",
  setup({ onLoad }) {
    onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => {
      const late = [];
      const text = readFileSync(path, "utf8").replace(
        /\bawait import\(("[^"]+")\)/g,
        (_, from) => `late${late.push(from) - 1}`,
      );
      const imports = late.map((from, i) => `import * as late${i} from ${from};`);
      return { contents: [text, ...imports].join("\n"), loader: "ts" };
    });
  },
};
