/**
 * The op list's binary form, read by the executor (assembly/program.ts) and written by lowering (src/graph/lower.ts): the single
 * place that says which ops exist and where their arguments stand. It holds const enums alone, so both compilers inline it.
 *
 * A record is `Record.words` 32-bit words: the op, the rows it works on, then its arguments. Pointers are byte offsets into linear
 * memory, 0 where an optional input is absent; ld* are row strides in floats; scalars are the bits of an f32.
 * Every op can be run on a part of its rows, so `rows` is the same word everywhere.
 */
export const enum Record {
  op = 0,
  rows = 1,
  out = 2,
  words = 48,
}

/** Parts of an op begin at multiples of this many rows: whole matmul tiles of every build (4, 6), whole panels (8), whole attention tiles (24). */
export const enum Part {
  rows = 24,
}

export const enum Op {
  matmul = 0,
  attention = 1,
  embed = 2,
  layer_norm = 3,
  rms_norm = 4,
  unary = 5,
  glu = 6,
  binary = 7,
  rotary_table = 8,
  rotary = 9,
  pool = 10,
  normalize = 11,
  softmax = 12,
  copy = 13,
  pack = 14,
  unfold = 15,
  top_k = 16,
  scatter = 17,
  experts = 18,
}

/** Of matmul's epilogue, unary and glu. All of them keep 0 at 0, but for sigmoid; that and softcap only `unary` takes. */
export const enum Activation {
  none = 0,
  gelu = 1,
  gelu_tanh = 2,
  relu = 3,
  silu = 4,
  tanh = 5,
  quick_gelu = 6,
  relu2 = 7,
  sigmoid = 8,
  /** cap · tanh(x / cap). */
  softcap = 9,
  /** Only `unary` takes it. */
  exp = 10,
}

export const enum Binary {
  add = 0,
  sub = 1,
  mul = 2,
}

export const enum Pooling {
  mean = 0,
  max = 1,
  mean_sqrt_len = 2,
  weightedmean = 3,
}

/** How the numbers of a file are stored; what `pack` and `convert` read. */
export const enum Dtype {
  f32 = 0,
  f16 = 1,
  bf16 = 2,
}

/** How a matrix of weights lies in memory. What each of the quantised ones means: assembly/kernels/quantize.ts. */
export const enum Format {
  /** f32, row after row, their stride rounded up to 8 floats. */
  rows = 0,
  /** f32 in panels [n/8][k][8]: what matmul reads. */
  panels = 1,
  q8 = 2,
  q8_exact = 3,
  q4 = 4,
}

/** Of quantised matrices. */
export const enum Quantized {
  /** Numbers of a row are rounded up to whole vectors. */
  step = 32,
  /** k of one chain of sums in 16 bits, and the most that its weights of one sign may sum up to: 258 · 127 < 2¹⁵ (q8, q4). */
  chain = 128,
  bound = 258,
  /** Bytes of scale and sum of one row: [n/8][scale, sum][8] f32. */
  scales = 8,
  /** Bytes of its activations that stay in a second-level cache, and of a tile's sums. */
  cached = 262144,
  sums = 256,
}

/**
 * out[rows, n] = activation(a[rows, k] · bᵀ + bias) + residual; b in panels [n/8][k][8], or quantised with its scales beside it.
 */
export const enum Matmul {
  a = 3,
  b = 4,
  bias = 5,
  residual = 6,
  n = 7,
  k = 8,
  ldo = 9,
  lda = 10,
  ldr = 11,
  activation = 12,
  scratch = 13,
  format = 14,
  scales = 15,
}

/** Attention over ragged rows. q_offsets and k_offsets are i32[sequences + 1] row numbers. Row r of q has heads · head_dim floats. */
export const enum Attention {
  q = 3,
  k = 4,
  v = 5,
  ldo = 6,
  ldq = 7,
  ldk = 8,
  ldv = 9,
  q_offsets = 10,
  k_offsets = 11,
  sequences = 12,
  heads = 13,
  kv_heads = 14,
  head_dim = 15,
  /** Size of a head of v and of out. */
  value_dim = 16,
  scale = 17,
  /** 0: none; else scores become cap · tanh(score / cap). */
  softcap = 18,
  /** i32 position of each row of q and of k; 0: the row's number in its sequence, the last query beside the last key. */
  q_positions = 19,
  k_positions = 20,
  /** A key is seen when -left <= k_position - q_position <= right. `Unbounded` on a side switches that side off. */
  left = 21,
  right = 22,
  /** Added to the scores: mask + sequence · mask_batch + head · mask_head + query · mask_query + key (floats), query and key counted in the sequence. */
  mask = 23,
  mask_batch = 24,
  mask_head = 25,
  mask_query = 26,
  /** Relative-position bias f32[heads][2 · bias_span + 1], read at clamp(k_position - q_position, -span, span) + span. */
  bias = 27,
  bias_span = 28,
  /** ALiBi slopes f32[heads]: adds slope · (k_position - q_position). */
  slopes = 29,
  /** Extra logits f32[heads] that take part in the softmax and have no value row. */
  sinks = 30,
  /** Disentangled terms (arXiv:2006.03654): c2p[q row][head · rel_ld + i] + p2c[k row][head · rel_ld + i], i = rel_index[clamp(q_position - k_position, ±rel_span) + rel_span]. */
  c2p = 31,
  p2c = 32,
  ld_rel = 33,
  rel_ld = 34,
  rel_index = 35,
  rel_span = 36,
  /** Where the probabilities go, f32 [head][query][key] for each sequence, sequence s at float tap_offsets[s]; 0: nowhere. */
  tap = 37,
  tap_offsets = 38,
  scratch = 39,
  /** i32[sequences] row behind the last key of each sequence, where they do not lie end to end; 0: the next one's first. */
  k_ends = 40,
}

/** Floats of Matmul.scratch: one tile's sums, then packed rows: at most `cached` floats, or `rows` rows where those are longer. */
export const enum MatmulScratch {
  sums = 64,
  /** 256 KB: what stays in a second-level cache. */
  cached = 65536,
  rows = 6,
  /** Packing writes whole vectors. */
  slack = 32,
}

/** Floats of Attention.scratch: `fixed`, and `each` for every float of head_dim and of value_dim rounded up to 8. */
export const enum AttentionScratch {
  fixed = 3698,
  each = 288,
}

/** The value of Attention.left or right that means: no bound on this side. */
export const enum Unbounded {
  value = 0x3fffffff,
}

/**
 * A k position that no query sees, even without bounds: padding that had to stay. A query that stands there sees every key, and all alike
 * (DeBERTa's masked tokens); that needs k_positions.
 */
export const enum Invisible {
  position = -0x40000000,
}

/** out[r] = table[ids[r]] · scale + residual[r], the table in any Format; ldt: of Format.rows. */
export const enum Embed {
  ids = 3,
  table = 4,
  residual = 5,
  cols = 6,
  ldo = 7,
  ldt = 8,
  ldr = 9,
  scale = 10,
  format = 11,
  scales = 12,
}

/** Of layer_norm and rms_norm (bias 0, offset added to the weight). */
export const enum Norm {
  x = 3,
  weight = 4,
  bias = 5,
  cols = 6,
  ldo = 7,
  ldx = 8,
  eps = 9,
  offset = 10,
  /** Of rms_norm: each row is so many vectors of `cols`, each with a norm of its own. */
  groups = 11,
}

/** Of unary (kind: Activation; eps: of softcap), softmax, normalize (eps: least norm) and copy (writes exactly cols floats a row, the others whole vectors). */
export const enum Unary {
  x = 3,
  cols = 4,
  ldo = 5,
  ldx = 6,
  kind = 7,
  eps = 8,
}

/** out = activation(gate) · up. */
export const enum Glu {
  gate = 3,
  up = 4,
  cols = 5,
  ldo = 6,
  ldg = 7,
  ldu = 8,
  kind = 9,
}

/** out = a (kind) b · scale; ldb 0: one row of b for all rows. */
export const enum Elementwise {
  a = 3,
  b = 4,
  cols = 5,
  ldo = 6,
  lda = 7,
  ldb = 8,
  kind = 9,
}

/** ldf 0: one row of inv_freq for all. out[r] = scale · cos(positions[r] · inv_freq[i]) for i < half, then scale · sin(…), each angle rounded to f32 as PyTorch does. */
export const enum RotaryTable {
  positions = 3,
  inv_freq = 4,
  half = 5,
  ldo = 6,
  scale = 7,
  ldf = 8,
}

/** Rotates the first 2 · half floats of each head by the row's table; interleaved: pairs (2i, 2i + 1) instead of (i, i + half). */
export const enum Rotary {
  x = 3,
  table = 4,
  heads = 5,
  head_dim = 6,
  half = 7,
  ldo = 8,
  ldx = 9,
  ldt = 10,
  interleaved = 11,
}

/** One row for each sequence, over its rows whose `visible` (i32, 0: all) is not 0. rows counts sequences. */
export const enum Pool {
  x = 3,
  offsets = 4,
  visible = 5,
  mode = 6,
  cols = 7,
  ldo = 8,
  ldx = 9,
}

/** Panels of x's rows as matmul's b: out [rows/8][cols][8]. rows counts rows of x; the last panel is filled up with zeros. */
export const enum Pack {
  x = 3,
  cols = 4,
  ldx = 5,
}

/** out[r] = rows r - before … r + width - 1 - before of x beside each other, zero where they leave the sequence or are not visible. */
export const enum Unfold {
  x = 3,
  offsets = 4,
  visible = 5,
  sequences = 6,
  cols = 7,
  width = 8,
  before = 9,
  ldo = 10,
  ldx = 11,
}

/** out[index[r]] = x[r]: rows of x among the rows of out. */
export const enum Scatter {
  x = 3,
  index = 4,
  cols = 5,
  ldo = 6,
  ldx = 7,
}

/** The k largest of each row of x (n floats): values in out, their columns (i32) in index, best first, equal ones by column. */
export const enum TopK {
  index = 3,
  x = 4,
  n = 5,
  k = 6,
  ldo = 7,
  ldx = 8,
}

/** A mixture of experts: weights and index are what each token chose, `chosen` of them (see assembly/kernels/experts.ts). */
export const enum Experts {
  x = 3,
  weights = 4,
  index = 5,
  up = 6,
  up_scales = 7,
  up_bias = 8,
  down = 9,
  down_scales = 10,
  down_bias = 11,
  /** Of up; that of down is another where a single expert has few rows. */
  format = 12,
  experts = 13,
  chosen = 14,
  /** Of x and of out. */
  cols = 15,
  inner = 16,
  kind = 17,
  /** 0: none. */
  limit = 18,
  ldo = 19,
  ldx = 20,
  ldw = 21,
  ldi = 22,
  scratch = 23,
  down_format = 24,
}

/** Tokens that pass an expert together. */
export const enum ExpertsScratch {
  rows = 48,
}
