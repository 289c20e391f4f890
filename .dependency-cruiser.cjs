// Imports go one way: errors, options, tensor, platform <- format <- graph <- runtime <- nn <- generate <- models <- tasks <- view, train, server <- host, cli.
const layers = ["^src/(errors|options|tensor|platform|numeric)\\.ts", "^src/format/", "^src/graph/", "^src/runtime/", "^src/nn/", "^src/generate/", "^src/models/", "^src/tasks/", "^src/(view|train|server)/", "^src/index\\.ts", "^src/(host|cli)/"];

module.exports = {
  forbidden: [
    ...layers.slice(0, -1).map((from, i) => ({
      name: `nothing-to-the-right-of-${i}`,
      severity: "error",
      from: { path: from },
      to: { path: layers.slice(i + 1).join("|") },
    })),
    { name: "no-circular", severity: "error", from: {}, to: { circular: true } },
    { name: "not-to-unresolvable", severity: "error", from: { pathNot: "inline" }, to: { couldNotResolve: true } },
    { name: "hosts-alone-know-node", severity: "error", from: { path: "^src/", pathNot: "^src/(host|cli)/" }, to: { dependencyTypes: ["core"] } },
    { name: "cli-libraries-stay-in-the-cli", severity: "error", from: { path: "^src/", pathNot: "^src/cli/" }, to: { path: "node_modules/(commander|cli-progress)" } },
    { name: "hono-stays-in-the-server", severity: "error", from: { path: "^src/", pathNot: "^src/(server|cli)/" }, to: { path: "node_modules/@?hono" } },
    { name: "one-file-knows-relaxed-simd", severity: "error", from: { path: "^src/" }, to: { path: "^assembly/" } },
  ],
  options: { doNotFollow: { path: "node_modules" }, tsPreCompilationDeps: true, tsConfig: { fileName: "tsconfig.json" }, enhancedResolveOptions: { extensions: [".ts", ".js"], exportsFields: ["exports"], conditionNames: ["import", "types"] } },
};
