"""GGUF files for tests/fixtures/gguf, written by the `gguf` package (pip install gguf==0.19.0) as llama.cpp's convert_hf_to_gguf.py does.

    python tests/oracle/gguf_files.py [FOLDER]          default tests/fixtures/gguf
    python4 tests/oracle/gguf_files.py --spm [FOLDER]   under transformers 4: what the SentencePiece tokenizer gives (5 has another prefix space)

    python tests/oracle/gguf_files.py --tokens    splittings.json and gemma.json alone

blocks.safetensors: random blocks of each type (NAME, bytes) and what gguf's own dequantisation makes of them (NAME.f32).
A folder has model.gguf and expected.safetensors (in.I.NAME, out.I.NAME) of the transformers model that has the file's dequantised
weights; where transformers loads the file itself, that must give the same numbers. tokens.json has ids of texts.
"""
import gzip, json, math, os, sys
import numpy as np, torch, transformers, gguf
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from gguf import GGMLQuantizationType as Q
from gguf.quants import dequantize

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TYPES = ["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"]
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}   # where a block has f16
rng = np.random.default_rng(0)


def blocks(kind, count, scale=None):
    """Random blocks: all bits, or f16 scales of about this size."""
    size, width = gguf.GGML_QUANT_SIZES[Q[kind]]
    raw = rng.integers(0, 256, (count, width), dtype=np.uint8)
    for at in HALVES.get(kind, []):
        h = (scale * (0.5 + rng.random(count)) if scale else rng.choice([1e-7, 3e-5, 0.01, 1, 300], count) * rng.standard_normal(count)).astype(np.float16)
        raw[:, at:at + 2] = h.view(np.uint8).reshape(count, 2)
    return raw


def write_blocks(folder):
    out = {}
    for kind in TYPES:
        raw = blocks(kind, 500 if kind.endswith("F16") else 3 if kind.endswith("K") else 6)
        if kind == "F16": raw = np.concatenate([raw, np.array([0, 0x8000, 1, 0x8001, 0x3ff, 0x400, 0x7bff, 0x7c00, 0xfc00], np.uint16).view(np.uint8).reshape(-1, 2)])
        x = dequantize(raw.reshape(1, -1), Q[kind]).reshape(-1)
        keep = ~np.isnan(x) if kind.endswith("F16") else np.ones(len(x), bool)     # which NaN it is nobody says
        out[kind] = torch.from_numpy((raw[keep] if kind.endswith("F16") else raw).reshape(-1).copy())
        out[f"{kind}.f32"] = torch.from_numpy(np.ascontiguousarray(x[keep]))
    save_file(out, os.path.join(folder, "blocks.safetensors"))


def quantised(shape, kind, std):
    """Random weights that a type of blocks can say: their bytes and their numbers."""
    size, width = gguf.GGML_QUANT_SIZES[Q[kind]]
    if kind in ("F32", "F16", "BF16"):
        x = (std * rng.standard_normal(shape)).astype(np.float32)
        raw = gguf.quants.quantize(x, Q[kind])
        return raw, dequantize(raw, Q[kind]).reshape(shape)
    # scales so that the numbers have this deviation
    unit = {"Q4_0": 4.6, "Q4_1": 4.6, "Q5_0": 9.2, "Q5_1": 9.2, "Q8_0": 74, "Q4_K": 300, "Q5_K": 600, "Q6_K": 1400}[kind]
    raw = blocks(kind, int(np.prod(shape)) // size, std / unit)
    if kind in ("Q4_1", "Q5_1"):                                      # the least of a block: about minus half of its range
        d = raw[:, 0:2].copy().view(np.float16).astype(np.float32)
        raw[:, 2:4] = (-d * (7.5 if kind == "Q4_1" else 15.5)).astype(np.float16).view(np.uint8)
    if kind in ("Q4_K", "Q5_K"):
        d = raw[:, 0:2].copy().view(np.float16).astype(np.float32)
        raw[:, 2:4] = (d * (7.5 if kind == "Q4_K" else 15.5)).astype(np.float16).view(np.uint8)
    raw = raw.reshape(*shape[:-1], shape[-1] // size * width)
    return raw, dequantize(raw, Q[kind]).reshape(shape)


def permute(x, heads):   # LlamaModel.permute of convert_hf_to_gguf.py
    return x.reshape(heads, 2, x.shape[0] // heads // 2, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


def unpermute(x, heads): return x.reshape(heads, x.shape[0] // heads // 2, 2, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


def tokenizer(kind):
    with gzip.open(f"{ROOT}/fixtures/tokenizers/{kind}.json.gz") as f: return json.load(f)["tokenizer"]


def texts():
    with gzip.open(f"{ROOT}/fixtures/tokenizers/corpus.json.gz") as f: return json.load(f)["texts"][::3]


def add_tokenizer(w, kind, pre):
    t = tokenizer(kind)
    vocab, added = t["model"]["vocab"], {a["content"]: a for a in t["added_tokens"]}
    tokens = sorted({**vocab, **{k: a["id"] for k, a in added.items()}}.items(), key=lambda kv: kv[1])
    assert [i for _, i in tokens] == list(range(len(tokens)))
    merges = [m if isinstance(m, str) else " ".join(m) for m in t["model"]["merges"]]
    byte = lambda s: len(s) == 6 and s.startswith("<0x")
    w.add_tokenizer_model("llama" if pre is None else "gpt2")
    if pre: w.add_tokenizer_pre(pre)
    w.add_token_list([s for s, _ in tokens])
    w.add_token_types([6 if byte(s) else 2 if s == "<unk>" else 3 if s in added else 1 for s, _ in tokens])
    if pre is None:
        rank = {m.replace(" ", ""): -float(i) for i, m in reversed(list(enumerate(merges)))}
        w.add_token_scores([rank.get(s, -1e6) for s, _ in tokens])
    else: w.add_token_merges(merges)
    for name, add in (("<s>", w.add_bos_token_id), ("<|begin_of_text|>", w.add_bos_token_id), ("</s>", w.add_eos_token_id), ("<|endoftext|>", w.add_eos_token_id), ("<unk>", w.add_unk_token_id)):
        if name in dict(tokens): add(dict(tokens)[name])
    w.add_chat_template("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    return len(tokens)


ARCH = {"llama": "LLAMA", "qwen2": "QWEN2", "qwen3": "QWEN3", "gemma": "GEMMA", "gemma2": "GEMMA2", "gemma3_text": "GEMMA3", "phi3": "PHI3", "gpt2": "GPT2"}


@torch.no_grad()
def case(folder, name, family, kinds, tok=None, pre=None, hidden=32, heads=4, kv=2, head_dim=8, inner=64, layers=2, vocab=41, itself=True, only=(), **more):
    where = os.path.join(folder, name)
    os.makedirs(where, exist_ok=True)
    file = os.path.join(where, "model.gguf")
    arch = gguf.MODEL_ARCH[ARCH[family]]
    w = gguf.GGUFWriter(file, gguf.MODEL_ARCH_NAMES[arch])
    if tok: vocab = add_tokenizer(w, tok, pre)
    else: w.add_vocab_size(vocab)
    if family == "gpt2": c = {"n_embd": hidden, "n_head": heads, "n_layer": layers, "n_inner": inner, "n_positions": 64}
    else: c = {"hidden_size": hidden, "num_attention_heads": heads, "num_key_value_heads": kv, "head_dim": head_dim, "intermediate_size": inner, "num_hidden_layers": layers, "max_position_embeddings": 64}
    config = AutoConfig.for_model(family, vocab_size=vocab, bos_token_id=None, eos_token_id=None, pad_token_id=None, **(c | more))
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    names = gguf.get_tensor_name_map(arch, layers)
    if family == "gpt2": w.add_context_length(64); w.add_layer_norm_eps(config.layer_norm_epsilon)
    else:
        w.add_context_length(config.max_position_embeddings)
        w.add_head_count_kv(kv)
        w.add_layer_norm_rms_eps(config.rms_norm_eps)
        w.add_key_length(head_dim); w.add_value_length(head_dim)
        rope = config.rope_parameters
        w.add_rope_freq_base(float((rope.get("full_attention") or rope)["rope_theta"]))
        w.add_rope_dimension_count(head_dim)
        if (rope.get("full_attention") or rope)["rope_type"] == "linear": w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR); w.add_rope_scaling_factor(rope["full_attention"]["factor"] if "full_attention" in rope else rope["factor"])
        if rope.get("rope_type") == "yarn": w.add_rope_scaling_type(gguf.RopeScalingType.YARN); w.add_rope_scaling_factor(rope["factor"]); w.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        if rope.get("rope_type") == "llama3": w.add_tensor("rope_freqs.weight", llama3_factors(rope, head_dim))
    w.add_embedding_length(hidden); w.add_block_count(layers); w.add_feed_forward_length(inner); w.add_head_count(heads)
    if family.startswith("gemma2"): w.add_attn_logit_softcapping(config.attn_logit_softcapping); w.add_final_logit_softcapping(config.final_logit_softcapping)
    if family in ("gemma2", "gemma3_text") or getattr(config, "sliding_window", None) and family == "phi3": w.add_sliding_window(config.sliding_window)

    state, i = {}, 0
    for key, p in model.state_dict().items():
        if key == "lm_head.weight" and config.tie_word_embeddings: continue
        base, suffix = key.rsplit(".", 1)
        target = names.get_name(base)
        assert target, key
        norm = p.dim() == 1 and suffix == "weight"
        conv = family == "gpt2" and p.dim() == 2 and "h." in key
        shape = tuple(p.T.shape if conv else p.shape)
        # Norms and biases stay f32, as llama.cpp keeps them.
        kind = "F32" if p.dim() == 1 or "wpe" in key else kinds[i % len(kinds)]
        if p.dim() > 1: i += 1
        if kind in ("Q4_K", "Q5_K", "Q6_K") and shape[-1] % 256: kind = "Q8_0"
        std = 0.7 if "embed_tokens" in key or "wte" in key or "wpe" in key else 0.15 if p.dim() == 1 else 1.6 / math.sqrt(shape[-1])
        raw, x = quantised(shape, kind, std)
        if norm and "gemma" in family: x = x.astype(np.float32); state[key] = x; raw = x + 1
        elif norm: raw = x = (1 + x).astype(np.float32); state[key] = x
        elif family == "llama" and ("q_proj" in key or "k_proj" in key): state[key] = unpermute(x, heads if "q_proj" in key else kv)
        elif conv: state[key] = np.ascontiguousarray(x.T)
        else: state[key] = x
        if family == "llama" and ("q_proj" in key or "k_proj" in key): assert (permute(state[key], heads if "q_proj" in key else kv) == x).all()
        w.add_tensor(f"{target}.{suffix}", raw, raw_dtype=None if kind in ("F32", "F16") else Q[kind])
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()
    state = {k: torch.from_numpy(np.ascontiguousarray(v)).float() for k, v in state.items()}
    if config.tie_word_embeddings: state["lm_head.weight"] = state["transformer.wte.weight" if family == "gpt2" else "model.embed_tokens.weight"]
    model.load_state_dict(state)

    loaded = AutoModelForCausalLM.from_pretrained(where, gguf_file="model.gguf", dtype=torch.float32, attn_implementation="eager").eval() if itself else None
    tensors = {}
    for i, length in enumerate((17, 1)):
        ids = torch.from_numpy(rng.integers(3, vocab, (1, length)))
        for spare in range(50):
            out = model.generate(ids, max_new_tokens=12, min_new_tokens=12, do_sample=False, pad_token_id=0)
            exact = model.double()(out).logits[0, length - 1:-1]
            model.float()
            top = exact.topk(2).values
            if ((top[:, 0] - top[:, 1]) > 2e-3 * exact.abs().max()).all(): break
            ids = torch.from_numpy(rng.integers(3, vocab, (1, length)))
        else: raise AssertionError(f"{name}: choices are too close")
        logits = model(ids).logits
        if loaded is not None:
            d = (loaded(ids).logits - logits).abs().max().item()
            assert d < 2e-4, (name, d)
        tensors |= {f"in.{i}.input_ids": ids.int(), f"out.{i}.logits": logits.contiguous() if not tok else logits[:, -1:].contiguous(), f"out.{i}.greedy": out.int()}
    save_file(tensors, os.path.join(where, "expected.safetensors"))
    if tok and pre: tokens(where)
    print(name, os.path.getsize(file))


def llama3_factors(rope, dim):   # LlamaModel.generate_extra_tensors of convert_hf_to_gguf.py
    freqs = 1.0 / (rope["rope_theta"] ** (torch.arange(0, dim, 2, dtype=torch.float32) / dim))
    low, high = rope["original_max_position_embeddings"] / rope["low_freq_factor"], rope["original_max_position_embeddings"] / rope["high_freq_factor"]
    out = []
    for f in freqs:
        length = 2 * math.pi / f
        if length < high: out.append(1)
        elif length > low: out.append(rope["factor"])
        else:
            smooth = (rope["original_max_position_embeddings"] / length - rope["low_freq_factor"]) / (rope["high_freq_factor"] - rope["low_freq_factor"])
            out.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(out, dtype=np.float32)


def tokens(where):
    t = AutoTokenizer.from_pretrained(where, gguf_file="model.gguf")
    json.dump([t.encode(text, add_special_tokens=False) for text in texts()], open(os.path.join(where, "tokens.json"), "w"), separators=(",", ":"))


PRES = ["llama-bpe", "qwen2", "gpt-4o", "tekken", "gpt-2"]


def splittings():
    """Ids of the texts where the llama3 file's tokenizer names another splitting (transformers knows no normaliser of Qwen's: ids of texts in NFC)."""
    import unicodedata
    from transformers.integrations.gguf.gguf_tokenizer_mapping import convert_gguf_tokenizer, get_gguf_tokenizer
    arch, t, _ = get_gguf_tokenizer(os.path.join(folder, "llama3/model.gguf"))
    nfc = lambda pre, s: unicodedata.normalize("NFC", s) if pre == "qwen2" else s
    out = {pre: [convert_gguf_tokenizer(arch, t | {"pre_tokenizer_type": pre})[0].encode(nfc(pre, s), add_special_tokens=False).ids for s in texts()[::2]] for pre in PRES}
    json.dump(out, open(os.path.join(folder, "splittings.json"), "w"), separators=(",", ":"))


def gemma():
    """The llama file's tokens as a Gemma's: other merges, no prefix space."""
    from transformers.integrations.gguf.gguf_tokenizer_mapping import convert_gguf_tokenizer, get_gguf_tokenizer
    _, t, _ = get_gguf_tokenizer(os.path.join(folder, "llama/model.gguf"))
    k = convert_gguf_tokenizer("gemma", t)[0]
    json.dump([k.encode(s, add_special_tokens=False).ids for s in texts()[::2]], open(os.path.join(folder, "gemma.json"), "w"), separators=(",", ":"))


args = [a for a in sys.argv[1:] if a not in ("--spm", "--tokens")]
folder = args[0] if args else f"{ROOT}/fixtures/gguf"
os.makedirs(folder, exist_ok=True)
if "--spm" in sys.argv:
    tokens(os.path.join(folder, "llama"))
    sys.exit()
if "--tokens" in sys.argv:
    splittings()
    gemma()
    sys.exit()
write_blocks(folder)
BLOCK32 = ["Q4_0", "Q8_0", "Q5_1", "Q4_1", "Q5_0", "F16", "BF16"]
case(folder, "llama", "llama", ["Q4_0", "Q8_0"], "bpe-llama2", tie_word_embeddings=True)
case(folder, "llama-k", "llama", ["F16", "Q6_K", "Q5_1", "Q5_0", "BF16", "Q4_K", "Q5_K"], hidden=32, inner=256, vocab=33, tie_word_embeddings=False)
llama3 = {"rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
# transformers does not read rope_freqs.weight.
case(folder, "llama3", "llama", ["Q5_0", "Q4_1"], "bpe-llama3", "llama-bpe", itself=False, tie_word_embeddings=True, rope_parameters=llama3)
case(folder, "qwen2", "qwen2", BLOCK32, tie_word_embeddings=True, rope_parameters={"rope_type": "default", "rope_theta": 1e6})
yarn = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 16}
case(folder, "qwen3", "qwen3", BLOCK32[2:], head_dim=16, itself=False, tie_word_embeddings=False, rope_parameters=yarn)
case(folder, "gemma", "gemma", BLOCK32[1:], itself=False)
case(folder, "gemma2", "gemma2", BLOCK32, sliding_window=8, query_pre_attn_scalar=8, itself=False, head_dim=8)
linear = {"full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0}, "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}
case(folder, "gemma3", "gemma3_text", BLOCK32[3:], layers=6, inner=32, sliding_window=8, query_pre_attn_scalar=8, itself=False, rope_parameters=linear)
case(folder, "phi3", "phi3", BLOCK32, kv=4, tie_word_embeddings=False, itself=False, sliding_window=9)
case(folder, "gpt2", "gpt2", ["Q4_0", "Q8_0", "Q5_1", "F16"], "bpe-gpt2", "gpt-2", itself=False)
splittings()
gemma()
