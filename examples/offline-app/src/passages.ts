/** Texts as passages: what a search finds, small enough that the model reads one whole. */

export interface Passage {
  text: string;
  /** The headings that it stands under, "Title > Section"; empty where there are none. */
  heading: string;
}

/** Characters of a passage: about 120 tokens. */
const MOST = 520;
/** Fewer say little by themselves: they go with their neighbour. */
const LEAST = 160;

const sentenceCuts = new Intl.Segmenter(undefined, { granularity: "sentence" });

/** The sentences of a text, trimmed, with their places in it. */
export function sentencesOf(text: string): { text: string; start: number }[] {
  const found = [];
  // A line end that stands for a space ends no sentence; one before a list item does.
  for (const block of text.matchAll(/(?:(?!\n\s*(?:[-*+]|\d+[.)])\s|\n\s*\n)[\s\S])+/g)) {
    const mark = /^\s*(?:(?:[-*+]|\d+[.)])\s+)?/.exec(block[0])![0].length;
    const joined = block[0].slice(mark).replace(/\n/g, " ");
    for (const { segment, index } of sentenceCuts.segment(joined)) {
      const body = segment.trim();
      const start = block.index + mark + index + segment.indexOf(body);
      if (/[\p{L}\p{N}]/u.test(body)) found.push({ text: body, start });
    }
  }
  return found;
}

/** What the model reads of a passage: a heading often holds the word that its text only means. */
export const readable = ({ heading, text }: Passage) => (heading ? `${heading}: ${text}` : text);

/** Markdown by headings and paragraphs, other text by paragraphs; short neighbours under one heading are put together. */
export function passagesOf(text: string, markdown: boolean): Passage[] {
  const found: Passage[] = [];
  for (const { heading, blocks } of sections(text.replace(/\r\n?/g, "\n"), markdown)) {
    let last: Passage | undefined;
    for (const block of blocks) {
      for (const part of block.length > MOST ? cut(block) : [block]) {
        const short = last && Math.min(last.text.length, part.length) < LEAST;
        if (last && short && last.text.length + part.length + 2 <= MOST) last.text += `\n\n${part}`;
        else {
          last = { heading, text: part };
          found.push(last);
        }
      }
    }
  }
  return found;
}

function sections(text: string, markdown: boolean): { heading: string; blocks: string[] }[] {
  const found = [{ heading: "", blocks: [""] }];
  const headings: string[] = [];
  let fenced = false;
  const lines = (markdown ? text.replace(/^---\n[\s\S]*?\n---\n/, "") : text).split("\n");
  for (const line of lines) {
    if (markdown && /^\s*(```|~~~)/.test(line)) fenced = !fenced;
    const [, marks, title] = (markdown && !fenced && /^(#{1,6})\s+(.*?)\s*#*$/.exec(line)) || [];
    if (marks) {
      headings.length = Math.min(headings.length, marks.length - 1);
      headings[marks.length - 1] = title;
      found.push({ heading: headings.filter(Boolean).join(" > "), blocks: [""] });
      continue;
    }
    const { blocks } = found.at(-1)!;
    if (!line.trim() && !fenced) blocks.push("");
    else blocks[blocks.length - 1] += `${blocks.at(-1) && "\n"}${line.trimEnd()}`;
  }
  return found.map(({ heading, blocks }) => ({ heading, blocks: blocks.map((b) => b.trim()).filter(Boolean) }));
}

/** A block that is too long, cut behind sentences; a sentence that is too long, between words; a word, between characters. */
function cut(block: string): string[] {
  const parts = [""];
  const put = (piece: string, smaller: ((piece: string) => Iterable<string>)[]) => {
    const last = parts.length - 1;
    if (parts[last].length + piece.trimEnd().length <= MOST) parts[last] += piece;
    else if (piece.trimEnd().length <= MOST) parts.push(piece);
    else for (const p of smaller[0](piece)) put(p, smaller.slice(1));
  };
  const sentences = (s: string) => Array.from(sentenceCuts.segment(s), ({ segment }) => segment);
  const words = (s: string) => s.match(/\S+\s*/g) ?? [];
  put(block, [sentences, words, (s) => s]);
  return parts.map((p) => p.trim()).filter(Boolean);
}
