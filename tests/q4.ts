const f = Math.fround;

/** The tables of q4 by docs/decisions/0019's formula: number `p` of table `code`. */
export const table: (code: number, p: number) => number = (() => {
  const units = [f(127 / 9.425)];
  while (units.length < 32) units.unshift(f(units[0] * f(1 / f(1.08))));
  const all = units.flatMap((unit) =>
    Array.from({ length: 128 }, (_, i) => {
      const v = ((i & 15) - 7.5) / 7.5;
      return Math.round(unit * ((7.5 * (v + 0.4 * v ** 3)) / 1.4 + 0.55 * ((i >> 4) - 3.5)));
    }),
  );
  return (code, p) => all[code * 16 + p];
})();

/** q of column `column` of a row of q4 whose bytes begin at `at`; `whole`: its columns rounded up to 32. */
export function unpacked(bytes: Uint8Array, at: number, column: number, whole: number): number {
  const both = bytes[at + (column >> 5) * 16 + (column & 15)];
  return table(bytes[at + whole / 2 + (column >> 4)], column & 16 ? both >> 4 : both & 15);
}
