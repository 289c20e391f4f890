/** A run's lengths, or its decoders, as an SVG of bars, readable on light and dark pages: `node chart.mjs RESULT.json [FILE.svg]`, or `--svg FILE` of the run itself. */
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

const WIDTH = 820;
const LEFT = 260;
const RIGHT = 150;
const BAR = 16;
const STEP = 22;
const SHOWN = [16, 128, 512];

const escaped = (text) => String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
const label = (x, y, text, kind, anchor = "start") =>
  `<text x="${x}" y="${y}" class="${kind}" text-anchor="${anchor}">${escaped(text)}</text>`;
const style = `
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .page { fill: #ffffff } .head { font-weight: 600; font-size: 13px }
  .small { fill: #57606a; font-size: 11px }
  .ours { fill: #0969da } .other { fill: #9aa4af } .spread { stroke: #24292f; stroke-width: 1 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } text { fill: #e6edf3 } .small { fill: #9198a1 } .ours { fill: #4493f8 } .other { fill: #656c76 } .spread { stroke: #e6edf3 }
  }`;

/** @param result what `minilm.mjs --json` writes @returns the SVG's text */
export function chart(result) {
  const lengths = [...new Set(result.lengths.map((row) => row.length))];
  const shown = lengths.some((length) => SHOWN.includes(length)) ? lengths.filter((l) => SHOWN.includes(l)) : lengths;
  const parts = [];
  let y = 22;
  parts.push(label(10, y, `${result.model}, one thread: milliseconds a text, less is better`, "head"));
  y += 18;
  const { machine } = result;
  parts.push(
    label(
      10,
      y,
      `${machine.cpu}, Node ${machine.node.slice(1)}, ${result.date.slice(0, 10)}; medians, line: quartiles; ×: over the line named last`,
      "small",
    ),
  );
  for (const length of shown) {
    const rows = result.lengths.filter((row) => row.length === length);
    const most = Math.max(...rows.map((row) => row.ms.q3));
    const scale = (ms) => (ms / most) * (WIDTH - LEFT - RIGHT);
    y += 28;
    parts.push(label(10, y, `${length} tokens`, "head"));
    for (const row of rows) {
      y += STEP;
      const middle = y - BAR / 2 + 1;
      const end = LEFT + Math.max(scale(row.ms.median), scale(row.ms.q3));
      parts.push(
        label(LEFT - 8, y - 2, row.peer, "name", "end"),
        `<rect x="${LEFT}" y="${y - BAR + 1}" width="${scale(row.ms.median).toFixed(1)}" height="${BAR}" rx="2" class="${row.word.startsWith("wattention") ? "ours" : "other"}"/>`,
        `<line x1="${(LEFT + scale(row.ms.q1)).toFixed(1)}" x2="${(LEFT + scale(row.ms.q3)).toFixed(1)}" y1="${middle}" y2="${middle}" class="spread"/>`,
        label((end + 6).toFixed(1), y - 2, text(row), "value"),
      );
    }
  }
  return framed(parts, y, `${result.model}: milliseconds a text`);
}

/** @param decoders what `decoders.mjs --json` writes @returns the SVG's text */
export function decodersChart(decoders) {
  const parts = [];
  let y = 22;
  parts.push(label(10, y, "Decoders in a page of Chromium, one thread each: milliseconds, less is better", "head"));
  y += 18;
  const about = `Chromium ${decoders.chromium}, ${decoders.date.slice(0, 10)}; medians of interleaved rounds; ×: over wllama, by round`;
  parts.push(label(10, y, about, "small"));
  for (const { model, what, ours, peer, times } of decoders.rows) {
    y += 28;
    parts.push(label(10, y, `${model}, in a page: ${what}`, "head"));
    for (const [name, ms, kind] of [
      ["wattention q8", ours, "ours"],
      [`wllama ${decoders.wllama} Q8_0`, peer, "other"],
    ]) {
      y += STEP;
      const width = (ms.median / Math.max(ours.median, peer.median)) * (WIDTH - LEFT - RIGHT);
      const value = `${Number(ms.median.toPrecision(3))} ms${kind === "ours" ? ` · ${times.median.toFixed(1)}×` : ""}`;
      parts.push(
        label(LEFT - 8, y - 2, name, "name", "end"),
        `<rect x="${LEFT}" y="${y - BAR + 1}" width="${width.toFixed(1)}" height="${BAR}" rx="2" class="${kind}"/>`,
        label((LEFT + width + 6).toFixed(1), y - 2, value, "value"),
      );
    }
  }
  return framed(parts, y, "decoders: milliseconds");
}

function framed(parts, y, name) {
  const height = y + 16;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escaped(name)}">
<style>${style}
</style>
<rect width="${WIDTH}" height="${height}" rx="6" class="page"/>
${parts.join("\n")}
</svg>
`;
}

const text = (row) => {
  const ms = row.ms.median < 10 ? row.ms.median.toFixed(1) : row.ms.median.toFixed(0);
  return row.word === row.baseline ? `${ms} ms` : `${ms} ms · ${row.times.median.toFixed(1)}× ${row.baseline}`;
};

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [from, to] = process.argv.slice(2);
  const result = JSON.parse(readFileSync(from, "utf8"));
  const svg = result.wllama ? decodersChart(result) : chart(result);
  if (to) writeFileSync(to, svg);
  else process.stdout.write(svg);
}
