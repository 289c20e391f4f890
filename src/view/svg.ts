import type { Tensor } from "../tensor.ts";
import { clip, escaped, shades, short, width } from "./text.ts";

export interface SvgOptions {
  /** One label per query. */
  rows: readonly string[];
  /** One label per key. */
  columns: readonly string[];
  /** Heading, and the name that screen readers say. Default "Attention". */
  title?: string;
}

const STEPS = 50;
const COLUMN = 7.3; // px that a column of monospace text takes at 12 px

/**
 * A heat map of attention, token by token, as a self-contained SVG: no script, no network, no ids, light and dark as the viewer prefers.
 * Full colour is the largest probability, stated below. Up to 1024 cells have a tooltip each; more are merged into one path a shade,
 * to keep the file small.
 * @param matrix [rows, columns], probabilities
 * @throws ShapeError if the labels do not match the matrix
 */
export function attentionSvg(matrix: Tensor, { rows, columns, title = "Attention" }: SvgOptions): string {
  const { max, shade } = shades(matrix, rows, columns, STEPS);
  const margin = (labels: readonly string[]) =>
    labels.reduce((w, l) => Math.max(w, Math.ceil(width(clip(l, 24)) * COLUMN)), 0) + 18;
  const left = margin(rows);
  const top = margin(columns) + 20;
  const bottom = top + rows.length * 16;
  const W = Math.max(left + columns.length * 16 + 12, 330);
  const H = bottom + 36;
  const text = (x: number, y: number, label: string) => `<text x="${x}" y="${y}">${escaped(label)}</text>`;
  const box = (column: number, y: number, x = left) => `M${x + column * 16} ${y}h15v15h-15z`;
  const cell = (step: number, path: string, tip = "") =>
    `<path class="c" fill="#1558d6" fill-opacity="${step / STEPS}" d="${path}">${tip && `<title>${escaped(tip)}</title>`}</path>`;
  const paths: string[] = [];
  let cells = "";
  shade.forEach((step, i) => {
    const column = i % columns.length;
    const row = (i - column) / columns.length;
    const path = box(column, top + row * 16);
    if (shade.length > 1024) paths[step] = (paths[step] ?? "") + path;
    else cells += cell(step, path, `${rows[row]} → ${columns[column]}: ${short(matrix.data[i])}`);
  });
  paths.forEach((path, step) => {
    cells += cell(step, path);
  });
  const name = escaped(title);
  return `<svg xmlns="http://www.w3.org/2000/svg" class="wa" role="img" aria-label="${name}" width="${W}" height="${H}" viewBox="0 0 ${W} ${H}" font-family="ui-monospace,monospace" font-size="12" fill="#222"><title>${name}</title><style>@media(prefers-color-scheme:dark){.wa{fill:#ddd}.wa .b{fill:#15181d}.wa .c{fill:#6ab0ff}}</style><path class="b" fill="#fff" stroke="#888" d="M0 0h${W}v${H}H0z"/>${text(12, 20, clip(title, W / COLUMN - 4))}<g text-anchor="end">${rows.map((l, i) => text(left - 6, top + i * 16 + 12, clip(l, 24))).join("")}</g><g transform="rotate(-90)">${columns.map((l, i) => text(6 - top, left + i * 16 + 12, clip(l, 24))).join("")}</g>${cells}${text(12, bottom + 24, "rows attend to columns: 0")}${[1, 2, 3, 4, 5].map((i) => cell(i * 10, box(i, bottom + 12, 184))).join("")}${text(286, bottom + 24, short(max))}</svg>`;
}
