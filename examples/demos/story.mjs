// A text that continues itself: npm run demo:story -- "Once upon a time" [seed]
import { bold, dim, model, wattention } from "./setup.mjs";

const [prompt = "Once upon a time", seed] = process.argv.slice(2);
const generate = await wattention.pipeline("text-generation", model("stories260K"));
process.stdout.write(bold(prompt));
// Without a seed the likeliest token each time; with one, drawn: the same text for the same seed, on every machine.
const options = seed === undefined ? {} : { temperature: 0.8, top_p: 0.95, seed: Number(seed) };
const begin = performance.now();
let tokens = 0;
for await (const { text } of generate.stream(prompt, { max_new_tokens: 220, ...options })) {
  process.stdout.write(text);
  tokens++;
}
const seconds = (performance.now() - begin) / 1000;
console.log(
  dim(
    `\n\n${tokens} tokens in ${seconds.toFixed(2)} s, ${(tokens / seconds).toFixed(0)} a second: a Llama of 260,000 weights`,
  ),
);

// The same model within a pattern: what it may write is masked token by token.
const regex = / there was a (little|big) (cat|dog|frog) named [A-Z][a-z]{2,7}\./;
const [{ generated_text }] = await generate("One day", { regex, max_new_tokens: 40, return_full_text: false });
console.log(`\n${dim(`within ${regex}`)}\n${bold("One day")}${generated_text}`);
generate.dispose();
