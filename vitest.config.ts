import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    exclude: ["tests/hosts/**"],
    setupFiles: ["tests/setup.ts"],
    testTimeout: 60_000,
    // Two at a time: engines are memory, and machines are small.
    maxWorkers: 2,
  },
});
