// Next items for a viewer, event by event: npm run demo:next-item -- [items…]
import { bold, dim, model, wattention } from "./setup.mjs";

const given = process.argv.slice(2).map(Number);
const items = given.length ? given : [1533, 2954, 2151, 2844, 1300, 784, 3320, 3245, 690, 2279, 560, 801];
const recommend = await wattention.pipeline("recommendation", model("sasrec-ml1m"));
const count = recommend.model.config.int("vocab_size") - 1;
console.log(`SASRec over the ${count} films of MovieLens-1M, by the numbers that the checkpoint has for them.\n`);

const session = await recommend.session();
for (const item of items) {
  const begin = performance.now();
  await session.add(item); // the items before it are not computed again: their keys and values are kept
  const best = await session.recommend({ top_k: 5, exclude_seen: true });
  const ms = (performance.now() - begin).toFixed(1);
  const shown = best.map(({ item, score }) => `${String(item).padStart(5)} ${dim(score.toFixed(2))}`).join("  ");
  console.log(`saw ${bold(String(item).padStart(4))}  next: ${shown}  ${dim(`${ms} ms`)}`);
}
const exclude = (await session.recommend({ top_k: 3 })).map(({ item }) => item);
const others = await session.recommend({ top_k: 5, exclude, exclude_seen: true });
console.log(`\nwithout ${exclude.join(", ")}: ${others.map(({ item }) => item).join(", ")}`);
session.dispose();
recommend.dispose();
