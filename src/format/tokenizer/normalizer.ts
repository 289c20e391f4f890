import { Aligned } from "./aligned.ts";
import { charsmap } from "./charsmap.ts";
import { build, COMMON, COMMON_MARKS, COMMON_PUNCTUATION, compile, need, type Part, passSpace, utf8 } from "./part.ts";

export type Normalizer = (text: Aligned) => Aligned;

/** Text of printable ASCII and what cleaning makes spaces of. */
const PLAIN = /^[\t\n\r -~]*$/;
// Functions, since an engine works out the sets of a pattern where it is met, and most text is plain.
const control = () => /(?![\t\n\r])[\ufffd\p{Cc}\p{Cf}\p{Co}\p{Cs}]/gu;
const ideograph = () =>
  /[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u{20000}-\u{2a6df}\u{2a700}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/gu;

export const prepend = (text: Aligned, prefix: string) => text.replace(/^(?=.)/gs, prefix);

// Character by character: toLowerCase on the whole would make ς of a Σ at the end of a word.
const lowercase: Normalizer = (text) =>
  // Of all characters but İ, what they become is as long as they are.
  /[\u0130\u03a3]/.test(text.text)
    ? text.replace(/\p{Changes_When_Lowercased}/gu, (c) => c.toLowerCase())
    : text.like(text.text.toLowerCase());

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

const precompiled = ({ precompiled_charsmap }: Part, charsmaps: Uint8Array): Normalizer => {
  const [from, to] = precompiled_charsmap as [number, number];
  const find = charsmap(charsmaps.subarray(from, to));
  let segmenter: Intl.Segmenter | undefined;
  const ascii = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i));
  const plain = ascii.every((c) => find(c) === undefined);
  return (text) => {
    const simple = !/[^ -~]/.test(text.text);
    if (simple && plain) return text;
    segmenter ??= new Intl.Segmenter();
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
    for (const cluster of simple ? text.text : Array.from(segmenter!.segment(text.text), ({ segment }) => segment))
      if ((cluster.length > 1 && utf8(cluster).length > 5) || !put(cluster))
        for (const c of cluster) if (!put(c)) made.push([c, 0]);
    return changed ? text.transform(made) : text;
  };
};

const bert = ({
  clean_text = true,
  handle_chinese_chars = true,
  strip_accents,
  lowercase: lower = true,
}: Part): Normalizer => {
  const whole: Normalizer = (text) => {
    if (clean_text) text = text.replace(control(), "").replace(/(?! )\p{White_Space}/gu, " ");
    if (handle_chinese_chars) text = text.replace(ideograph(), (c) => ` ${c} `);
    if (strip_accents ?? lower) text = unicode("NFD")(text).replace(/\p{Mn}/gu, "");
    return lower ? lowercase(text) : text;
  };
  const common = (c: string) => {
    if (handle_chinese_chars && /[\u4e00-\u9fff]/.test(c)) c = ` ${c} `;
    if (strip_accents ?? lower) c = c.normalize("NFD").replace(COMMON_MARKS, "");
    return lower ? c.toLowerCase() : c;
  };
  // What a character becomes does not depend on others where there are no marks, which NFD sorts: so each is worked out once.
  const known = new Map<string, string>();
  return (text) => {
    if (PLAIN.test(text.text)) {
      if (clean_text) text = text.like(text.text.replace(/[\t\n\r]/g, " "));
      return lower ? text.like(text.text.toLowerCase()) : text;
    }
    if (known.size > 9999) known.clear();
    for (const c of text.text) {
      if (known.has(c)) continue;
      const plain = c < "\x7f" ? PLAIN.test(c) : COMMON.test(c) || COMMON_PUNCTUATION.test(c);
      if (!plain && /\p{M}/u.test(c)) return whole(text);
      known.set(c, plain ? common(clean_text && c < " " ? " " : c) : whole(Aligned.of(c)).text);
    }
    return text.map((c) => known.get(c)!);
  };
};

/** Builds a normalizer. @throws FormatError if its type is not supported or a field is not right. */
export function normalizer(part: unknown, charsmaps: Uint8Array): Normalizer {
  if (part == null) return (text) => text;
  return build<Normalizer>(
    "normalizer",
    {
      Sequence: ({ normalizers }) => {
        const steps = (normalizers as unknown[]).map((step) => normalizer(step, charsmaps));
        return (text) => steps.reduce((now, step) => step(now), text);
      },
      BertNormalizer: bert,
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
      Precompiled: (part) => precompiled(part, charsmaps),
    },
    part,
  );
}
