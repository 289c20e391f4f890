/** Documents as passages: what a search finds, small enough that a sentence encoder takes one whole. */

import { readdir, stat } from "node:fs/promises";
import { extname, join, normalize, resolve } from "node:path";
import { InputError } from "../host/node.ts";
import { readText } from "./io.ts";

export interface Passage {
  /** From 1 on. */
  line: number;
  /** Below the headings that it stands under: "Title > Section: …". */
  text: string;
}

/** Characters of a passage: about 120 tokens. */
const MOST = 500;
const FOLDERS = new Set(["node_modules"]);
const TEXT = /\.(md|markdown|txt)$/i;
const CODE = /\.[cm]?[jt]sx?$/i;

/** The files at `paths`; of folders all .md, .markdown and .txt, but none that is hidden. Each once. @throws InputError if a folder has none */
export async function files(paths: readonly string[]): Promise<string[]> {
  const found = new Map<string, string>();
  const walk = async (folder: string): Promise<number> => {
    let n = 0;
    for (const entry of (await readdir(folder, { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = join(folder, entry.name);
      if (entry.name.startsWith(".") || FOLDERS.has(entry.name)) continue;
      if (entry.isDirectory()) n += await walk(path);
      else if (entry.isFile() && TEXT.test(entry.name)) n += +!!found.set(resolve(path), path);
    }
    return n;
  };
  for (const path of paths) {
    if (!(await stat(path)).isDirectory()) found.set(resolve(path), normalize(path));
    else if (!(await walk(path))) throw new InputError(`${path} holds no .md, .markdown or .txt file`);
  }
  return [...found.values()];
}

/** A file's passages, each with "path:line" as its id. */
export async function passagesOf(path: string): Promise<{ id: string; text: string }[]> {
  const taken = new Set<string>();
  return split(await readText(path), extname(path)).map(({ line, text }) => {
    let id = `${path}:${line}`;
    while (taken.has(id)) id += "+"; // several of one line
    taken.add(id);
    return { id, text };
  });
}

/** Splits Markdown by headings and paragraphs, source code into its doc comments, any other text into paragraphs. */
export function split(text: string, extension = ".md"): Passage[] {
  if (CODE.test(extension)) return comments(text);
  return paragraphs(text.split(/\r?\n/), /^\.(md|markdown)$/i.test(extension));
}

function paragraphs(lines: readonly string[], markdown: boolean): Passage[] {
  const found: Passage[] = [];
  let headings: string[] = [];
  let block: string[] = [];
  let from = 0;
  let fence = "";
  let passage: Passage | undefined;
  const end = (next: number) => {
    const body = block.join("\n");
    const joined = passage && `${passage.text}\n${body}`;
    if (body.trim() && joined && joined.length <= MOST) passage!.text = joined;
    else if (body.trim()) {
      found.push(...cut(body, from + 1));
      passage = found.at(-1);
    }
    block = [];
    from = next;
  };
  const section = (next: number) => {
    end(next);
    const title = headings.filter(Boolean).join(" > ");
    for (const p of found.slice(first)) p.text = title ? `${title}: ${p.text}` : p.text;
    first = found.length;
    passage = undefined;
  };
  let first = 0;
  let i = 0;
  if (markdown && lines[0] === "---") i = from = lines.indexOf("---", 1) + 1; // front matter
  for (; i < lines.length; i++) {
    const line = lines[i];
    const mark = markdown ? /^\s*(```|~~~)/.exec(line)?.[1] : undefined;
    const heading = markdown && !fence ? /^(#{1,6})\s+(.*?)\s*#*$/.exec(line) : null;
    if (heading) {
      section(i + 1);
      headings = [...headings.slice(0, heading[1].length - 1)];
      headings[heading[1].length - 1] = heading[2];
    } else if (markdown && !fence && /^<!--.*-->$/.test(line.trim())) end(i + 1);
    else if (!line.trim() && !fence) end(i + 1);
    else {
      if (!fence && /^([-*+]|\d+[.)])\s/.test(line)) end(i);
      block.push(line);
    }
    if (mark) fence = fence === mark ? "" : fence || mark;
  }
  section(i);
  return found;
}

/** A block that is too long, cut behind lines, else behind sentences, else between words. */
function cut(body: string, line: number): Passage[] {
  const found: Passage[] = [];
  let rest = body;
  while (rest.length > MOST) {
    const head = rest.slice(0, MOST);
    const at = [head.lastIndexOf("\n") + 1, head.search(/[.!?。]\s(?!.*[.!?。]\s)/s) + 1, head.lastIndexOf(" ") + 1];
    // The half of a surrogate pair is no character.
    const end = at.find((n) => n > MOST / 3) ?? MOST - +/[\ud800-\udbff]$/.test(head);
    found.push({ line, text: rest.slice(0, end).trimEnd() });
    line += rest.slice(0, end).split("\n").length - 1;
    rest = rest.slice(end);
  }
  if (rest.trim()) found.push({ line, text: rest });
  return found;
}

/** Doc comments that say more than a few words, each under the declaration that it stands before. */
function comments(text: string): Passage[] {
  return [...text.matchAll(/\/\*\*([\s\S]*?)\*\/\s*(?:\/\/.*\s*)*(.*)/g)].flatMap(({ 1: comment, 2: code, index }) => {
    const body = comment.replace(/^[ \t]*\* ?/gm, "").trim();
    const name = code.replace(/[{(=].*/, "").replace(/[\s:;,]+$/, "");
    const line = text.slice(0, index).split("\n").length;
    return body.length < 40 ? [] : cut(body, line).map((p) => ({ ...p, text: name ? `${name}: ${p.text}` : p.text }));
  });
}
