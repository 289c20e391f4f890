/** The tables that a run prints. */
import { table } from "./measure.mjs";

const show = (x, digits) => (Number.isFinite(x) ? x.toFixed(digits) : "-");
const span = ({ q1, q3 }, digits) => `${show(q1, digits)} – ${show(q3, digits)}`;
const MB = (bytes) => show(bytes / 1e6, Math.abs(bytes) < 1e6 ? 3 : 1);

export function lengthsTable(rows) {
  const body = rows.map((r) => [
    r.length,
    r.peer,
    show(r.ms.median, 2),
    span(r.ms, 2),
    show(r.times.median, 2),
    span(r.times, 2),
    show(r.cpu.median, 2),
    show(r.times_cpu.median, 2),
    r.baseline,
    r.distance.toExponential(1),
  ]);
  const head = ["T", "peer", "ms", "quartiles", "×", "quartiles", "cpu ms", "×", "over", "1 - cosine"];
  return `${table(head, body)}\n×: how many times as fast as its group's baseline, by round; cpu: processor time; 1 - cosine: to the first f32 peer's vector of that text`;
}

export function qualityTable(peers, scores) {
  const body = peers.map((one, i) => [
    one.name,
    one.loaded.version,
    one.accuracy.worst.toExponential(1),
    ...(scores[i]
      ? [scores[i].cosine.toFixed(4), scores[i].worst.toFixed(4), scores[i].spearman.toFixed(4)]
      : ["-", "-", "-"]),
  ]);
  const head = ["peer", "version", "1 - cosine to PyTorch, worst", "mean cosine to f32", "least", "Spearman"];
  const pairs = scores.length ? `; cosine and Spearman of ${scores[0].pairs} STS pairs` : "";
  return `${table(head, body)}\n${peers[0].accuracy.texts} reference texts of up to 256 tokens to PyTorch${pairs}`;
}

export function startsTable(starts) {
  const body = starts.map((r) => [
    r.mode,
    r.peer,
    show(r.first_ms.median, 0),
    span(r.first_ms, 0),
    show(r.times.median, 1),
    r.baseline,
    show(r.cpu_ms.median, 0),
    MB(r.rss.median),
    MB(r.peak.median),
    MB(r.model_bytes),
    MB(r.rss.median - r.model_bytes),
  ]);
  const head = ["in", "peer", "first ms", "quartiles", "×", "over", "cpu ms", "RSS MB", "peak", "files", "RSS - files"];
  return `${table(head, body)}\nfirst result in a fresh process, from its first import; MB over a bare Node at that moment; ids: 16 of them; text: one sentence`;
}

export function sizesTable(rows) {
  const body = rows.map((r) => [
    r.mode,
    r.peer,
    MB(r.code.raw),
    MB(r.code.brotli),
    MB(r.model.raw),
    MB(r.model.brotli),
  ]);
  return `${table(["in", "peer", "code MB", "brotli", "model MB", "brotli"], body)}\nwhat a page downloads before its first result`;
}
