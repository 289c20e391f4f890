/** The attention of a sentence: its tokens, tinted by what one of them attends to, and the whole as a heat map. */

import { attentionRollout, attentionSvg } from "wattention/view";
import { Tensor } from "wattention/worker";
import { byId, element } from "./dom.ts";
import type { Attention, Embedder } from "./model.ts";
import { show } from "./work.ts";

const form = byId<HTMLFormElement>("sentence-form");
const input = byId<HTMLInputElement>("sentence");
const layer = byId<HTMLSelectElement>("layer");
const head = byId<HTMLSelectElement>("head");
const special = byId<HTMLInputElement>("special");
const chips = byId("tokens");
const heat = byId<HTMLImageElement>("heat");

let shown: Attention | undefined;
let running: AbortController | undefined;

export function attentionView(embedder: () => Promise<Embedder>): { look(sentence: string): void } {
  const run = async () => {
    running?.abort();
    running = new AbortController();
    const { signal } = running;
    try {
      const found = await (await embedder()).attention(input.value.trim(), signal);
      if (signal.aborted) return;
      shown = found;
      pickers(found);
      draw();
      byId("map").hidden = false;
    } catch (error) {
      if (!signal.aborted) show(error);
    }
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void run();
  });
  for (const control of [layer, head, special]) control.addEventListener("change", draw);
  return {
    look(sentence) {
      input.value = sentence.slice(0, input.maxLength);
      void run();
    },
  };
}

function pickers({ layers }: Attention): void {
  if (layer.options.length) return; // the same model, the same choice
  const numbered = (what: string, n: number) =>
    Array.from({ length: n }, (_, i) => new Option(`${what} ${i + 1}`, `${i}`));
  layer.replaceChildren(...numbered("Layer", layers.length), new Option("All (rollout)", "rollout"));
  layer.value = `${Math.min(1, layers.length - 1)}`;
  head.replaceChildren(new Option("Mean of all heads", "mean"), ...numbered("Head", layers[0].dims[1]));
}

/** What is picked, as one matrix [T, T]. */
function matrixOf({ layers }: Attention): Tensor {
  if (layer.value === "rollout") return attentionRollout(layers);
  const heads = layers[+layer.value].row(0);
  if (head.value !== "mean") return heads.row(+head.value);
  const [H, T] = heads.dims;
  const mean = new Float32Array(T * T);
  heads.data.forEach((p, i) => {
    mean[i % (T * T)] += p / H;
  });
  return new Tensor(mean, [T, T]);
}

function draw(): void {
  if (!shown) return;
  head.disabled = layer.value === "rollout";
  const whole = matrixOf(shown);
  const T = shown.tokens.length;
  const kept = shown.tokens.flatMap((_, i) => (shown!.special[i] && !special.checked ? [] : i));
  const part = Float32Array.from(kept.flatMap((row) => kept.map((column) => whole.data[row * T + column])));
  const matrix = new Tensor(part, [kept.length, kept.length]);
  const tokens = kept.map((i) => shown!.tokens[i]);
  drawHeat(matrix, tokens);
  drawTokens(matrix, tokens);
}

function drawHeat(matrix: Tensor, tokens: readonly string[]): void {
  const picked = layer.selectedOptions[0].text;
  const title =
    layer.value === "rollout" ? "All layers (rollout)" : `${picked}, ${head.selectedOptions[0].text.toLowerCase()}`;
  const svg = attentionSvg(matrix, { rows: tokens, columns: tokens, title });
  heat.src = `data:image/svg+xml,${encodeURIComponent(svg)}`;
  heat.alt = `Heat map of attention: ${title}. The list of tokens above says the same in words.`;
  byId("caption").textContent = "Each row is a token that attends; each column, what it attends to.";
}

const plain = (token: string) => token.replace(/^##/, "");

function drawTokens(matrix: Tensor, tokens: readonly string[]): void {
  const before = +(chips.querySelector<HTMLInputElement>(":checked")?.value ?? 0);
  const chosen = Math.min(before, tokens.length - 1);
  const made = tokens.map((token, i) => {
    const radio = element("input", {
      type: "radio",
      name: "token",
      id: `token-${i}`,
      value: `${i}`,
      class: "visually-hidden",
    });
    radio.checked = i === chosen;
    radio.addEventListener("change", () => tint(matrix, tokens, i));
    const label = element("label", { for: `token-${i}`, class: token.startsWith("##") ? "part" : "" }, plain(token));
    return [radio, label];
  });
  chips.replaceChildren(...made.flat());
  if (tokens.length) tint(matrix, tokens, chosen);
}

/** Tints the tokens by how much token `i` attends to them, and says it in words. */
function tint(matrix: Tensor, tokens: readonly string[], i: number): void {
  const row = matrix.row(i).data;
  const most = Math.max(...row);
  chips.querySelectorAll("label").forEach((label, j) => {
    label.style.setProperty("--weight", (row[j] / most).toFixed(3));
  });
  const top = [...row.keys()].sort((a, b) => row[b] - row[a]).slice(0, 3);
  const words = top.map((j) => `“${plain(tokens[j])}” (${Math.round(row[j] * 100)} %)`).join(", ");
  byId("attends").textContent = `“${plain(tokens[i])}” attends most to ${words}.`;
}
