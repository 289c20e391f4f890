// Spelling to phonemes, and which letters each phoneme looked at: npm run demo:phonemes -- [words…]
import { bold, dim, model, screen, view, wattention } from "./setup.mjs";

const words = process.argv.slice(2);
const speak = await wattention.loadModel(model("bart-g2p-us"));
const { grapheme_chars, phoneme_chars, bos_token_id, eos_token_id } = speak.config.raw;
const [letters, phonemes] = [[...grapheme_chars], [...phoneme_chars]];

for (const word of words.length ? words : ["lighthouse", "thought", "phoneme"]) {
  const spelled = [...word];
  const unknown = spelled.find((c) => letters.indexOf(c) < 4);
  if (unknown) {
    console.error(`${word}: the model has no letter "${unknown}"; it knows ${letters.slice(4).join("")}`);
    process.exitCode = 1;
    continue;
  }
  const input_ids = [[bos_token_id, ...spelled.map((c) => letters.indexOf(c)), eos_token_id]];
  const [ids] = await speak.generate({ input_ids }, { max_new_tokens: 40 });
  const spoken = ids.filter((id) => id > 3).map((id) => phonemes[id]);
  // One run more over all phonemes gives the map: the row of a phoneme is what the step that made it looked at.
  const decoder_input_ids = [ids.slice(0, -1)];
  const { cross_attentions } = await speak.forward({ input_ids, decoder_input_ids }, { outputs: ["cross_attentions"] });
  const map = cross_attentions[0].row(0).row(0);
  const rows = ids.slice(1).map((id) => (id > 3 ? phonemes[id] : id === eos_token_id ? "end" : "begin"));
  console.log(`${bold(word)}  /${spoken.join("")}/`);
  console.log(dim("rows: phonemes, in the order in which they are made; columns: letters"));
  console.log(`${view.attentionText(map, { rows, columns: ["^", ...spelled, "$"] }, screen)}\n`);
}
speak.dispose();
