/** Queries and what is found for them. */

import { byId, count, element } from "./dom.ts";
import type { Found, Library } from "./library.ts";
import { show } from "./work.ts";

const form = byId<HTMLFormElement>("search-form");
const input = byId<HTMLInputElement>("query");
const status = byId("found");
const answer = byId("answer");
const list = byId("results");

const TOP = 6;
const QUESTION =
  /\?\s*$|^(who|what|when|where|why|which|whose|how|is|are|was|were|do|does|did|can|could|should|will|would|may|must|has|have)\b/i;

let running: AbortController | undefined;

/** @param look shows the attention of a sentence */
export function searchView(library: () => Promise<Library>, look: (sentence: string) => void): void {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const query = input.value.trim();
    if (!query) return;
    running?.abort();
    running = new AbortController();
    const { signal } = running;
    status.textContent = "Searching…";
    try {
      const ready = await library();
      const found = await ready.search(query, TOP, signal);
      if (!signal.aborted) draw(query, found, ready.passages, look);
    } catch (error) {
      if (signal.aborted) return; // a newer query took its place
      status.textContent = "";
      show(error);
    }
  });
}

/** Drops what was found: its texts may be gone. */
export function clearResults(): void {
  status.textContent = "";
  answer.hidden = true;
  list.replaceChildren();
}

function draw(query: string, found: readonly Found[], passages: number, look: (sentence: string) => void): void {
  const shown = count(found.length, "passage");
  status.textContent = found.length
    ? `${shown} of ${passages.toLocaleString("en")}, the nearest in meaning first.`
    : "There is nothing to search yet.";
  const [best] = found;
  answer.hidden = !(best && QUESTION.test(query));
  if (best) {
    answer.querySelector("blockquote")!.textContent = best.best.text;
    answer.querySelector(".source")!.textContent = sourceOf(best);
  }
  list.replaceChildren(...found.map((hit) => item(hit, look)));
}

const sourceOf = ({ document, passage }: Found) =>
  passage.heading ? `${document.name} · ${passage.heading.replaceAll(" > ", " › ")}` : document.name;

function item(hit: Found, look: (sentence: string) => void): HTMLElement {
  const { passage, best } = hit;
  const end = best.start + best.text.length;
  const text = element("p", { class: "text" }, passage.text.slice(0, best.start));
  text.append(element("mark", {}, passage.text.slice(best.start, end)), passage.text.slice(end));
  const button = element("button", { type: "button", class: "quiet small" }, "Show its attention");
  button.addEventListener("click", () => look(best.text));
  const alike = element("span", { class: "score" }, `similarity ${best.score.toFixed(2)}`);
  return element(
    "li",
    {},
    element("div", { class: "head source" }, element("span", {}, sourceOf(hit)), alike),
    text,
    button,
  );
}
