import { ShapeError } from "../errors.ts";
import type { Tensor } from "../tensor.ts";

/** One label per row and column of a matrix; a plain list serves both axes. */
export type Labels = readonly string[] | { readonly rows: readonly string[]; readonly columns: readonly string[] };

export const axes = (labels: Labels) => ("rows" in labels ? labels : { rows: labels, columns: labels });

/**
 * `text` without the characters that could steer a terminal, reorder a line or break XML 1.0: C0 controls become their pictures (␊, ␛),
 * other controls, format characters (bidi overrides among them), lone surrogates and U+FFFE/F become U+FFFD. The joiners inside emoji
 * and Indic clusters stay.
 */
export const plain = (text: string) =>
  text.replace(/(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\ufffe\uffff]/gu, (c) =>
    c < " " ? String.fromCharCode(0x2400 + c.charCodeAt(0)) : "\ufffd",
  );

/** `text` for element content or a quoted attribute, in XML and in HTML. */
export const escaped = (text: string) => plain(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

let segmenter: Intl.Segmenter | undefined;

/** Made on first need: loading the segmenter's tables takes longer than all else here, and ASCII does without. */
export function graphemes(text: string): string[] {
  if (/^[ -~]*$/.test(text)) return [...text];
  segmenter ??= new Intl.Segmenter("en");
  return Array.from(segmenter.segment(text), (s) => s.segment);
}

// East_Asian_Width W and F (UAX #11) in living scripts; a flag or a character asked to be an emoji (U+FE0F) is as wide
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6b\uff01-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}\p{EPres}]|\ufe0f/u;

/** Columns that `text` takes in a terminal: per grapheme 2 if anything in it is wide, 0 if all of it is combining, else 1. */
export const width = (text: string) =>
  graphemes(text).reduce((sum, g) => sum + (/^[\p{M}\u200c\u200d]+$/u.test(g) ? 0 : WIDE.test(g) ? 2 : 1), 0);

/** `plain(text)` in at most `limit` columns, cut with an ellipsis. */
export function clip(text: string, limit: number): string {
  text = plain(text);
  if (width(text) <= limit) return text;
  let cut = "";
  for (const g of graphemes(text)) {
    if (width(cut + g) >= limit) break;
    cut += g;
  }
  return `${cut}…`;
}

/** Three significant digits. */
export const short = (v: number) => `${+v.toPrecision(3)}`;

/** The largest value, and every value as a step 0 … `steps` of it. @throws ShapeError unless `matrix` is [rows, columns]. */
export function shades(matrix: Tensor, rows: readonly string[], columns: readonly string[], steps: number) {
  const dims = [rows.length, columns.length];
  if (`${matrix.dims}` !== `${dims}`) throw new ShapeError("matrix", dims, matrix.dims);
  const max = matrix.data.reduce((a, b) => (b > a ? b : a), 0);
  return { max, shade: Uint8ClampedArray.from(matrix.data, (v) => (v / max) * steps) };
}
