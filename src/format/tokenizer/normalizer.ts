import type { Aligned } from "./aligned.ts";
import { charsmap } from "./charsmap.ts";
import { build, type Compile, need, type Part, passSpace, utf8 } from "./part.ts";

export type Normalizer = (text: Aligned) => Aligned;

const CONTROL = /(?![\t\n\r])[\ufffd\p{Cc}\p{Cf}\p{Co}\p{Cs}]/gu;
const IDEOGRAPH =
  /[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u{20000}-\u{2a6df}\u{2a700}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/gu;

export const prepend = (text: Aligned, prefix: string) => text.replace(/^(?=.)/gs, prefix);

// Character by character: toLowerCase on the whole would make ς of a Σ at the end of a word.
const lowercase: Normalizer = (text) => text.replace(/\p{Changes_When_Lowercased}/gu, (c) => c.toLowerCase());

/**
 * Unicode normalisation. JavaScript does it, but does not say which characters became which: the k-th occurrence of a character in
 * the decomposed text is the k-th in the normal form, since the sorting of marks is stable.
 */
const unicode =
  (form: "NFC" | "NFD" | "NFKC" | "NFKD"): Normalizer =>
  (text) => {
    // JavaScript engines take quadratic time to sort a run of marks; one as long as this is no text.
    if (/\p{M}{2000}/u.test(text.text)) return text;
    const normal = text.text.normalize(form);
    if (normal === text.text) return text;
    const changes: Record<string, number[]> = {};
    const decomposed = form.replace("C", "D");
    for (const c of text.text)
      [...c.normalize(decomposed)].forEach((part, i) => {
        changes[part] ??= [];
        changes[part].push(i && 1);
      });
    for (const list of Object.values(changes)) list.reverse();
    return text.transform(
      Array.from(normal, (c) => {
        const parts = decomposed === form ? [c] : [...c.normalize("NFD")];
        return [c, parts.reduce((sum, part) => sum + changes[part].pop()! - 1, 1)];
      }),
    );
  };

const precompiled = (part: Part): Normalizer => {
  const find = charsmap(need(part, "precompiled_charsmap", "string"));
  const segmenter = new Intl.Segmenter();
  return (text) => {
    const made: [string, number][] = [];
    let changed = false;
    // The last characters made carry the difference in number, even where they are not of this replacement: what the crate does.
    const put = (old: string): boolean => {
      const found = find(old);
      if (found === undefined) return false;
      changed = true;
      const characters = [...found];
      let more = characters.length - [...old].length;
      for (const c of characters) made.push([c, 0]);
      if (more < 0 && made.length) made.at(-1)![1] += more;
      for (let i = made.length; more > 0 && i; more--) made[--i][1] = 1;
      return true;
    };
    // Of the clusters of several characters only those of at most 5 bytes are looked up whole.
    const simple = !/[^ -~]/.test(text.text);
    for (const cluster of simple ? text.text : Array.from(segmenter.segment(text.text), ({ segment }) => segment))
      if ((cluster.length > 1 && utf8(cluster).length > 5) || !put(cluster))
        for (const c of cluster) if (!put(c)) made.push([c, 0]);
    return changed ? text.transform(made) : text;
  };
};

/** Builds a normalizer. @throws FormatError if its type is not supported or a field is not right. */
export function normalizer(part: unknown, compile: Compile): Normalizer {
  if (part == null) return (text) => text;
  return build<Normalizer>(
    "normalizer",
    {
      Sequence: ({ normalizers }) => {
        const steps = (normalizers as unknown[]).map((step) => normalizer(step, compile));
        return (text) => steps.reduce((now, step) => step(now), text);
      },
      BertNormalizer:
        ({ clean_text = true, handle_chinese_chars = true, strip_accents, lowercase: lower = true }) =>
        (text) => {
          if (clean_text) text = text.replace(CONTROL, "").replace(/(?! )\p{White_Space}/gu, " ");
          if (handle_chinese_chars) text = text.replace(IDEOGRAPH, (c) => ` ${c} `);
          if (strip_accents ?? lower) text = unicode("NFD")(text).replace(/\p{Mn}/gu, "");
          return lower ? lowercase(text) : text;
        },
      Lowercase: () => lowercase,
      StripAccents: () => (text) => text.replace(/\p{M}/gu, ""),
      NFC: () => unicode("NFC"),
      NFD: () => unicode("NFD"),
      NFKC: () => unicode("NFKC"),
      NFKD: () => unicode("NFKD"),
      Strip:
        ({ strip_left, strip_right }) =>
        (text) => {
          if (strip_right) text = text.slice(0, passSpace(text.text, text.text.length, -1));
          return strip_left ? text.slice(passSpace(text.text, 0, 1)) : text;
        },
      Replace: (part) => {
        const pattern = compile(part.pattern);
        const content = need<string>(part, "content", "string");
        return (text) => text.replace(pattern, content);
      },
      Prepend: (part) => {
        const prefix = need<string>(part, "prepend", "string");
        return (text) => prepend(text, prefix);
      },
      Precompiled: precompiled,
    },
    part,
  );
}
