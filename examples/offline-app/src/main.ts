import { attentionView } from "./attentionView.ts";
import { byId, count, size } from "./dom.ts";
import { Library } from "./library.ts";
import { Embedder, MODEL } from "./model.ts";
import { kept, serveOffline } from "./offline.ts";
import { searchView } from "./searchView.ts";
import { Store } from "./store.ts";
import { textsView } from "./textsView.ts";
import { telling, work } from "./work.ts";

const VIEWS = ["search", "texts", "attention"];
const state = byId("state");

/** Shows the part of the page that the address names. */
function route(moved: boolean): void {
  const named = location.hash.slice(1);
  if (moved && named && !VIEWS.includes(named)) return; // a place in the view that is shown
  const view = VIEWS.includes(named) ? named : "search";
  for (const name of VIEWS) byId(`view-${name}`).hidden = name !== view;
  for (const link of document.querySelectorAll<HTMLElement>("nav a"))
    if (link.dataset.view === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  if (!moved) return;
  byId("said").textContent = "";
  byId(`${view}-title`).focus();
}

function offerUpdate(takeUp: () => void): void {
  byId("update").hidden = false;
  byId("take-up").onclick = takeUp;
}

/** A promise that others may wait for before the work begins. */
const ready = Promise.withResolvers<Library>();

async function start(): Promise<void> {
  const served = await serving;
  const library = await work(
    "Getting the model…",
    async (signal, tell) => {
      const progress_callback = ({ loaded, total }: { loaded: number; total: number }) =>
        tell({ label: `Getting the model: ${size(loaded)} of ${size(total)}`, done: loaded / total });
      const store = await Store.open();
      const embedder = await Embedder.load({ signal, progress_callback });
      try {
        const opened = new Library(store, embedder);
        await opened.open({ signal, progress_callback: telling("Reading", tell) });
        return opened;
      } catch (error) {
        embedder.close();
        throw error;
      }
    },
    () => void start(),
  );
  if (!library) {
    state.textContent = "The model is not loaded.";
    return;
  }
  state.textContent = "Ready.";
  ready.resolve(library);
  if (served) void kept(MODEL).then(() => (state.textContent = "Ready to work offline."));
}

/** What is in memory, and what is stored. */
async function memory(): Promise<void> {
  const library = await ready.promise;
  const { passages, embedder, entries } = library;
  byId("count").hidden = !entries.length;
  byId("count").textContent = `${entries.length}`;
  byId("empty").hidden = entries.length > 0;
  const { usage = 0 } = (await navigator.storage?.estimate?.()) ?? {};
  const index = passages * embedder.dim * 4;
  byId("memory").textContent =
    `Memory: model ${size(await embedder.memory())}, index ${size(index)} (${count(passages, "passage")}). Stored: ${size(usage)}.`;
}

byId("version").textContent = __VERSION__;
const serving = serveOffline(offerUpdate);
const attention = attentionView(() => ready.promise.then(({ embedder }) => embedder));
searchView(
  () => ready.promise,
  (sentence) => {
    location.hash = "attention";
    attention.look(sentence);
  },
);
textsView(
  () => ready.promise,
  (what) => {
    if (what) byId("said").textContent = what;
    void memory();
  },
);
addEventListener("hashchange", () => route(true));
route(false);
void start();
