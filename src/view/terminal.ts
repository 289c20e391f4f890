import type { Tensor } from "../tensor.ts";
import { axes, clip, graphemes, type Labels, shades, short, width } from "./text.ts";

export interface TextOptions {
  /** Columns of the terminal, at least 24. Default 80. */
  width?: number;
  /** ANSI 256 colours instead of block characters. Default false. */
  color?: boolean;
}

// colours of the 6×6×6 cube in rising luminance: with a background of its own, the map reads in a dark and in a light terminal
const RAMP = [233, 17, 18, 54, 90, 126, 162, 168, 204, 210, 216, 223, 230];

const pad = (columns: number, text: string) => " ".repeat(Math.max(0, columns - width(text)));

/**
 * A heat map of attention for a terminal: rows are queries, columns are keys under their names read downwards, a cell is two
 * columns wide. The strongest shade is the largest probability, stated below. Columns that do not fit are left out and counted.
 * Control characters in labels are shown, not sent.
 * @param matrix [rows, columns], probabilities
 * @returns lines joined by "\n", none wider than `width`
 * @throws ShapeError if the labels do not match the matrix
 */
export function attentionText(
  matrix: Tensor,
  labels: Labels,
  { width: limit = 80, color = false }: TextOptions = {},
): string {
  const { rows, columns } = axes(labels);
  const ramp = color ? RAMP.map((c) => `\x1b[48;5;${c}m  `) : [..." ░▒▓█"].map((c) => c + c);
  const reset = color ? "\x1b[0m" : "";
  const { max, shade } = shades(matrix, rows, columns, ramp.length - 1);
  const names = rows.map((label) => clip(label, 16));
  const indent = Math.max(0, ...names.map(width));
  const shown = columns.slice(0, (Math.max(24, limit) - indent - 1) >> 1);
  const heads = shown.map((label) => graphemes(clip(label, 10)));
  const height = Math.max(0, ...heads.map((head) => head.length));
  const lines = Array.from({ length: height }, (_, y) =>
    heads.reduce(
      (line, head) => {
        const g = head[y - height + head.length] ?? "";
        return line + g + pad(2, g);
      },
      " ".repeat(indent + 1),
    ),
  );
  names.forEach((name, y) => {
    const cells = shown.map((_, x) => ramp[shade[y * columns.length + x]]).join("");
    lines.push(`${pad(indent, name)}${name} ${cells}${reset}`);
  });
  lines.push(`0 ${ramp.map((cell) => cell.slice(0, -1)).join("")}${reset} ${short(max)}`);
  if (shown.length < columns.length) lines.push(`… ${shown.length} of ${columns.length} columns`);
  return lines.join("\n");
}
