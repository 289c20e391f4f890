import { expect, it } from "vitest";
import { writeSafetensors } from "../../src/format/writeSafetensors.ts";
import { FormatError, pipeline, ShapeError, Tensor, VectorIndex } from "../../src/host/node.ts";

it("documents added by several calls at once are all found", async () => {
  using search = await pipeline("semantic-search");
  await Promise.all(["bread", "shares", "a cat"].map((text) => search.add([text])));
  expect(search.size).toBe(3);
  for (const text of ["bread", "shares", "a cat"]) expect((await search.search(text, { top_k: 1 }))[0].id).toBe(text);
});

it("a search that was called for before a removal has the texts of all that it finds", async () => {
  using search = await pipeline("semantic-search");
  await search.add(["bread", "shares", "a cat"]);
  const [found, removed] = await Promise.all([search.search("bread"), search.remove(["bread", "shares"])]);
  expect(removed).toBe(2);
  expect(found.every((f) => f.text === f.id)).toBe(true);
  expect((await search.search("bread")).map((f) => f.id)).toEqual(["a cat"]);
});

it("a saved search whose texts are not those of its ids is refused", async () => {
  using search = await pipeline("semantic-search");
  await search.add(["one", "two"]);
  const index = (await VectorIndex.load(await search.save())).index;
  const texts = (t: unknown) => index.save({ "wattention.texts": JSON.stringify(t) });
  for (const bad of [
    [["one", "a"]],
    [
      ["one", "a"],
      ["one", "b"],
    ],
    [
      ["one", "a"],
      ["three", "b"],
    ],
    [["one", "a"], "two"],
    "two",
    null,
  ])
    await expect(search.load(await texts(bad))).rejects.toBeInstanceOf(FormatError);
  expect((await search.search("two"))[0].text).toBe("two");
  await search.load(
    await texts([
      ["one", "a"],
      ["two", "b"],
    ]),
  );
  expect((await search.search("two"))[0].text).toBe("b");
});

it("vectors and queries must hold what their dims say", async () => {
  using index = await VectorIndex.create(4);
  expect(() => index.add(["a", "b"], { data: [1, 2, 3, 4], dims: [2, 4] })).toThrow(ShapeError);
  await index.add(["a"], { data: [1, 2, 3, 4], dims: [1, 4] });
  for (const dims of [[2, 4], [3], [1, 1, 4], []])
    expect(() => index.search({ data: [1, 2, 3, 4], dims })).toThrow(ShapeError);
  expect(index.size).toBe(1);
  const file = writeSafetensors(
    { vectors: new Tensor(new Float32Array(2), [2, 1]) },
    { "wattention.ids": '["a","a"]' },
  );
  await expect(VectorIndex.load(file)).rejects.toBeInstanceOf(FormatError);
});
