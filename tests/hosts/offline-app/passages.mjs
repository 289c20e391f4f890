// How texts become passages: nothing is lost, nothing is too long for the model, and places are right.
import assert from "node:assert/strict";
import { passagesOf, readable, sentencesOf } from "../../../examples/offline-app/src/passages.ts";

const words = (text) => text.match(/[\p{L}\p{N}]+/gu) ?? [];
const TEXTS = {
  paragraphs: "One.\n\nTwo two.\r\n\r\nThree.",
  "a word longer than a passage": "x".repeat(1500),
  "no sentence ends": "word ".repeat(400),
  "long sentences": `${"One clause, and another, ".repeat(40)}end. Short one.`,
  Japanese: "吾輩は猫である。名前はまだ無い。".repeat(60),
  "emoji only": "😀".repeat(400),
  lists: "- one\n- two\n  goes on\n- three\n\n1. first\n2) second",
  code: "# Title\n\n```sh\n# no heading\n\nls\n```\n\nAfter.",
};

export function passages() {
  let checks = 0;
  const check = (good, what) => {
    assert.ok(good, what);
    checks++;
  };
  for (const [name, text] of Object.entries(TEXTS))
    for (const markdown of [false, true]) {
      const found = passagesOf(text, markdown);
      const all = found.map((p) => p.text).join("\n");
      // Headings stand once in the text, and with each of their passages.
      const left = markdown ? text.replace(/^# Title$/m, "") : text;
      check(words(all).join("") === words(left).join(""), `${name}: every word, in its order`);
      check(
        found.every((p) => p.text.length <= 520 && p.text === p.text.trim()),
        `${name}: none too long`,
      );
      for (const p of found)
        for (const { text: sentence, start } of sentencesOf(p.text))
          check(p.text.slice(start, start + sentence.length).replace(/\n/g, " ") === sentence, `${name}: places`);
    }
  const nested = passagesOf("Before.\n# A\n## B\ntext b\n# C #\ntext c\n### D\ntext d", true);
  assert.deepEqual(
    nested.map(({ heading, text }) => [heading, text]),
    [
      ["", "Before."],
      ["A > B", "text b"],
      ["C", "text c"],
      ["C > D", "text d"],
    ],
  );
  assert.equal(readable(nested[1]), "A > B: text b");
  assert.deepEqual(passagesOf("---\ntitle: x\n---\nBody.", true), [{ heading: "", text: "Body." }]);
  assert.deepEqual(passagesOf(" \n\n", false), []);
  assert.deepEqual(
    sentencesOf("It rains. Dr. No stays\nin; he reads!\n- a list\n2. of two").map((s) => s.text),
    ["It rains.", "Dr.", "No stays in; he reads!", "a list", "of two"],
  );
  return { version: `Node ${process.versions.node}`, checks: checks + 5, ok: true, figures: {} };
}
