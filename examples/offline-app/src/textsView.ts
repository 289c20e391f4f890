/** Adding texts, the list of them, and all of them as a file. */

import { read, write } from "./archive.ts";
import { byId, count, download, element } from "./dom.ts";
import type { Library, Text } from "./library.ts";
import { clearResults } from "./searchView.ts";
import { show, telling, work } from "./work.ts";

const list = byId("documents");
const title = byId<HTMLInputElement>("title");
const text = byId<HTMLTextAreaElement>("text");
const READABLE = /\.(txt|md|markdown)$/i;

/** @param changed is called whenever there are other texts than before; says what happened */
export function textsView(library: () => Promise<Library>, changed: (what: string) => void): void {
  const draw = async (what: string) => {
    drawList((await library()).entries, remove);
    changed(what);
  };

  // Nothing waits for the model inside `work`: loading it is work itself, and comes again after a failure.
  const add = async (texts: readonly Text[]) => {
    const ready = await library();
    const what = await work("Reading…", async (signal, tell) => {
      try {
        const passages = await ready.add(texts, { signal, progress_callback: telling("Reading", tell) });
        void navigator.storage?.persist?.(); // the browser should not tidy them away
        return `Added ${count(texts.length, "text")}, ${count(passages, "passage")}.`;
      } finally {
        await draw(""); // those that were done stay
      }
    });
    if (what) changed(what);
  };

  const remove = async (id: string, name: string) => {
    await (await library()).delete(id).catch(show);
    clearResults();
    await draw(`Deleted ${name}.`);
    byId("texts-title").focus();
  };

  const addFiles = async (files: readonly File[]) => {
    const texts: Text[] = [];
    const refused: string[] = [];
    for (const file of files) {
      const read = READABLE.test(file.name) || /^text\/(plain|markdown)$/.test(file.type) ? await file.text() : "\0";
      if (read.includes("\0") || !read.trim()) refused.push(file.name);
      else texts.push({ name: file.name, text: read });
    }
    if (refused.length) show(`Not added, since there is no plain text in it: ${refused.join(", ")}.`);
    if (texts.length) await add(texts);
  };

  byId("paste").addEventListener("submit", (event) => {
    event.preventDefault();
    const body = text.value.trim();
    if (!body) return;
    const name = title.value.trim() || `${body.slice(0, 40).replace(/\s+/g, " ").trim()}…`;
    title.value = text.value = "";
    void add([{ name, text: body }]);
  });
  byId<HTMLInputElement>("files").addEventListener("change", ({ target }) => take(target, addFiles));
  byId<HTMLInputElement>("import").addEventListener("change", ({ target }) =>
    take(target, async ([file]) => {
      const ready = await library();
      await work("Loading…", async (signal, tell) => {
        const documents = read(await file.text());
        await ready.restore(documents, { signal, progress_callback: telling("Reading", tell) });
        await draw(`Loaded ${count(documents.length, "text")}.`);
      });
    }),
  );
  byId("export").addEventListener("click", async () => {
    download("offline-search.json", write(await (await library()).store.all()));
  });
  byId("sample").addEventListener("click", async () => {
    const response = await fetch("./sample.md");
    await add([{ name: "allotment-sample.md", text: await response.text() }]);
    byId("query").focus();
  });

  const dialog = byId<HTMLDialogElement>("confirm");
  byId("clear").addEventListener("click", () => {
    dialog.returnValue = "";
    dialog.showModal();
  });
  dialog.addEventListener("close", async () => {
    if (dialog.returnValue !== "delete") return;
    await (await library()).clear().catch(show);
    clearResults();
    await draw("Deleted all texts.");
  });

  dropping(addFiles);
  void library().then(
    () => draw(""),
    () => {},
  );
}

/** The files that an input was given, which may be given again. */
function take(target: EventTarget | null, use: (files: File[]) => unknown): void {
  const input = target as HTMLInputElement;
  const files = [...(input.files ?? [])];
  input.value = "";
  if (files.length) use(files);
}

function drawList(entries: Library["entries"], remove: (id: string, name: string) => void): void {
  byId("none").hidden = entries.length > 0;
  list.replaceChildren(
    ...entries.map(({ id, name, added, passages }) => {
      const button = element(
        "button",
        { type: "button", class: "quiet small", "aria-label": `Delete ${name}` },
        "Delete",
      );
      button.addEventListener("click", () => remove(id, name));
      const day = new Date(added).toLocaleDateString("en", { dateStyle: "medium" });
      const about = element("span", { class: "quiet-text" }, `${count(passages.length, "passage")} · ${day}`);
      return element("li", {}, element("div", {}, element("strong", {}, name), about), button);
    }),
  );
}

/** Files can be dropped anywhere on the page. */
function dropping(addFiles: (files: File[]) => void): void {
  const carries = (event: DragEvent) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dropping");
  });
  addEventListener("drop", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    document.body.classList.remove("dropping");
    addFiles([...(event.dataTransfer?.files ?? [])]);
  });
}
