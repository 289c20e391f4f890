import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, test } from "vitest";

test("calls have the types of what they give", () => {
  const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));
  const { config } = ts.readConfigFile(path("../../tsconfig.json"), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, path("../.."));
  const program = ts.createProgram([path("types.ts")], { ...options, noEmit: true });
  const source = program.getSourceFile(path("types.ts"))!;
  const found = program.getSemanticDiagnostics(source);
  expect(found.map((d) => ts.flattenDiagnosticMessageText(d.messageText, "\n"))).toEqual([]);
});
