"""Reference cases for the decoder families: tiny random models, what transformers computes and how it goes on with a text.

    python tests/oracle/decoders.py [FOLDER]            writes every case (default /tmp/decoders), checks each by reloading it
    python tests/oracle/decoders.py --fixtures FOLDER   writes the small selection that is committed under tests/fixtures/models
    python tests/oracle/decoders.py --verify FOLDER     reloads cases only
    --only TEXT                                         limits to names that contain TEXT

Under transformers 4 it writes the same cases in that version's spelling of config.json. Folders are as families.py writes them, with
out.I.greedy: the prompt and what greedy search adds. Logits are computed in f64 too, over the whole continuation: a case whose f32
error exceeds 2e-5, or whose choices are close enough that a rounding could turn one, is drawn again with other ids, and fails after some tries.
"""
import argparse, json, math, os, shutil, sys, zlib
import torch, transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM
from families import distance, kept, rename, respell, store

FOUR = transformers.__version__.startswith("4.")
EAGER = {} if FOUR else {"experts_implementation": "eager"}           # others refuse odd sizes
ATTENTIONS, STATES = 34, 16                                          # write attentions and hidden_states up to these lengths
SIZES = {"a": (40, 4, 2, 10, 52, 2, 131), "b": (36, 3, 1, 12, 50, 3, 97), "c": (48, 4, 4, 12, 93, 4, 101)}   # hidden, heads, kv, head_dim, inner, layers, vocabulary
NAMES = ("hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim", "intermediate_size", "num_hidden_layers", "vocab_size", "max_position_embeddings")
OWN = {                                                              # what a family calls NAMES; None: it has no such option
    "gpt2": ("n_embd", "n_head", None, None, "n_inner", "n_layer", "vocab_size", "n_positions"),
    "gpt_neo": ("hidden_size", "num_heads", None, None, "intermediate_size", "num_layers", "vocab_size", "max_position_embeddings"),
    "gptj": ("n_embd", "n_head", None, None, "n_inner", "n_layer", "vocab_size", "n_positions"),
    "opt": NAMES[:2] + (None, None, "ffn_dim") + NAMES[5:],
    "bloom": ("hidden_size", "n_head", None, None, None, "n_layer", "vocab_size", None),
    "falcon": NAMES[:2] + (None, None, "ffn_hidden_size") + NAMES[5:],
    "gpt_neox": NAMES[:2] + (None, None) + NAMES[4:],
}


# ---------------------------------------------------------------- models

def spelled(more):
    """The config's options as this transformers reads them: 4 has rope_theta and rope_scaling."""
    more = dict(more)
    rope = more.pop("rope_parameters", None)
    if rope is None: return more
    if not FOUR: return more | {"rope_parameters": rope}
    by_layer = isinstance(next(iter(rope.values())), dict)
    one = dict(rope["full_attention"] if by_layer else rope)
    if by_layer: more["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
    more["rope_theta"] = one.pop("rope_theta", 10000.0)
    if "partial_rotary_factor" in one: more["partial_rotary_factor"] = one.pop("partial_rotary_factor")
    if one.get("rope_type", "default") != "default": more["rope_scaling"] = one
    return more


def model_class(family, labels=False):
    if labels: return transformers.AutoModelForSequenceClassification
    return transformers.Gemma3ForConditionalGeneration if family == "gemma3" else AutoModelForCausalLM


def configure(family, size="a", max_position=96, **more):
    if family == "gemma3":       # its text part, beside a small vision tower
        vision = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "image_size": 8, "patch_size": 4, "num_channels": 1}
        text = configure("gemma3_text", size, max_position, **more)
        return AutoConfig.for_model(family, text_config=text, vision_config=vision, mm_tokens_per_image=4, image_token_index=0, boi_token_index=0, eoi_token_index=0, eos_token_id=2)
    row = SIZES[size] if isinstance(size, str) else size
    c = {k: v for k, v in zip(OWN.get(family, NAMES), (*row, max_position)) if k}
    if family == "gemma2": c |= {"query_pre_attn_scalar": row[3], "sliding_window": 8, "attn_logit_softcapping": 5.0, "final_logit_softcapping": 3.0}
    if family == "gpt_neo": c |= {"window_size": 6, "attention_types": [[["global", "local"], row[5] // 2]] + ([[["global"], 1]] if row[5] % 2 else [])}
    if family == "gptj": c |= {"rotary_dim": row[3] // 4 * 2}
    if family == "mistral": c |= {"sliding_window": 9}
    if family == "mixtral": c |= {"num_local_experts": 5}
    if family == "qwen2_moe": c |= {"num_experts": 5, "num_experts_per_tok": 3, "moe_intermediate_size": 18, "shared_expert_intermediate_size": 22}
    if family == "qwen3_moe": c |= {"num_experts": 5, "num_experts_per_tok": 2, "moe_intermediate_size": 18}
    if family == "gpt_oss": c |= {"num_local_experts": 5, "num_experts_per_tok": 2, "sliding_window": 6}
    if family == "gemma3_text": c |= {"query_pre_attn_scalar": row[3] + 2, "sliding_window": 6}
    return AutoConfig.for_model(family, **(c | {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0} | spelled(more)))


@torch.no_grad()
def randomise(model, g):
    """Weights of activations near one and attention that is sharp; every bias and norm differs from its default."""
    tables = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Embedding)}
    for name, p in model.named_parameters():
        n = torch.randn(p.shape, generator=g)
        if id(p) in tables: p.copy_(0.7 * n)
        elif p.dim() > 1: p.copy_(n * 1.6 / math.sqrt(p.shape[-2] if name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")) or type(model).__name__ == "GptOssForCausalLM" and "experts" in name else p.shape[-1]))
        elif name.endswith("sinks"): p.copy_(n)
        elif name.endswith("bias"): p.copy_(0.15 * n)
        else: p.copy_((0 if "Gemma" in type(model).__name__ else 1) + 0.15 * n)


# ---------------------------------------------------------------- inputs: how long, how far on, which tokens are there

def plain(length, more=0, batch=1): return {"length": length, "more": more, "rows": [None] * batch}
def masked(length, rows, more=0): return {"length": length, "more": more, "rows": rows}


def draw(spec, g, vocab):
    """Rows: a number keeps that many at the left, minus a number that many at the right, None keeps all."""
    ids = torch.randint(3, vocab, (len(spec["rows"]), spec["length"]), generator=g)
    if spec["rows"] == [None] * len(spec["rows"]): return {"input_ids": ids}
    mask = torch.ones_like(ids)
    for b, r in enumerate(spec["rows"]):
        if r is not None and r >= 0: mask[b, r:] = 0
        elif r is not None: mask[b, :r] = 0
    return {"input_ids": ids * mask, "attention_mask": mask}


def standard(): return [plain(1, 24), plain(7, 24), plain(33, 24), plain(63), plain(5, 12, 3), masked(12, [5, None, 1]), masked(13, [-4, None, -1], 12)]
def brief(): return [plain(21, 14), masked(11, [5, None, 2]), masked(11, [-6, None, -2], 12)]


# ---------------------------------------------------------------- expected

def afresh(model):
    """Forgets the lengths that were met before: rotations by length stay those of the longest one else."""
    for m in model.modules():
        if hasattr(m, "original_inv_freq"): m.inv_freq, m.max_seq_len_cached = m.original_inv_freq.clone(), m.original_max_seq_len


@torch.no_grad()
def run(model, inputs, dtype=torch.float32, **options):
    afresh(model)
    softmax = torch.nn.functional.softmax
    if dtype is torch.float64: torch.nn.functional.softmax = lambda t, dim, dtype=None: softmax(t, dim)   # many ask for it in f32
    try: return model.to(dtype)(**inputs, use_cache=False, **options)
    finally:
        torch.nn.functional.softmax = softmax
        model.to(torch.float32)


def implementation(config):
    """eager, but where it adds ALiBi twice."""
    return "sdpa" if config.model_type == "falcon" and config.alibi else "eager"


def outputs(model, inputs, dtype=torch.float32):
    length, maps = inputs["input_ids"].shape[1], implementation(model.config) == "eager"
    r = run(model, inputs, dtype, output_attentions=maps, output_hidden_states=True)
    out = {"logits": r.logits}
    if length <= ATTENTIONS and maps: out |= {f"attentions.{i}": t for i, t in enumerate(r.attentions)}
    if length <= STATES: out |= {f"hidden_states.{i}": t for i, t in enumerate(r.hidden_states)}
    return {k: v.clone(memory_format=torch.contiguous_format) for k, v in out.items()}


@torch.no_grad()
def greedy(model, inputs, more, **options):
    afresh(model)
    return model.generate(**inputs, max_new_tokens=more, min_new_tokens=more, do_sample=False, **options)


def clear(model, inputs, sequences, first, margin=2e-3):
    """Whether every choice after `first` tokens is the largest in f64 by `margin` of the logits' size."""
    mask = inputs.get("attention_mask")
    x = {"input_ids": sequences}
    if mask is not None:
        x["attention_mask"] = torch.cat([mask, torch.ones(len(mask), sequences.shape[1] - first, dtype=torch.long)], 1)
        x["position_ids"] = (x["attention_mask"].cumsum(1) - 1).clamp(min=0)
        if model.config.model_type in NO_POSITIONS: del x["position_ids"]
    if (getattr(model.config, "rope_parameters", None) or getattr(model.config, "rope_scaling", None) or {}).get("rope_type") in ("dynamic", "longrope"):
        # Keys stay as they were turned when their sequence was shorter: only the steps themselves can tell.
        steps = greedy(model, inputs, sequences.shape[1] - first, output_logits=True, return_dict_in_generate=True)
        logits = torch.stack(steps.logits, 1)
    else: logits = run(model, x, torch.float64).logits[:, first - 1:-1]
    eos = model.config.eos_token_id
    scale = max(1.0, float(logits.abs().max()))
    for e in [eos] if isinstance(eos, int) else eos or []: logits[..., e] = -math.inf     # min_new_tokens forbids them
    best = logits.topk(2)
    return bool((best.indices[..., 0] == sequences[:, first:]).all() and (best.values[..., 0] - best.values[..., 1]).min() > margin * scale)


NO_POSITIONS = {"bloom"}                                               # models that take no position_ids


def good(model, inputs, more):
    """What is expected of these inputs, or why they test rounding."""
    want, exact = outputs(model, inputs), outputs(model, inputs, torch.float64)
    mask = inputs.get("attention_mask")
    for k, t in want.items():
        d = distance(kept(t.double(), mask), kept(exact[k].double(), mask))
        if not (d < 2e-5) or not torch.isfinite(kept(t, mask)).all(): return None, f"{k}: f32 is {d:.1e} from f64"
    if more:
        want["greedy"] = greedy(model, inputs, more)
        if not clear(model, inputs, want["greedy"], inputs["input_ids"].shape[1]): return None, "greedy choices are close"
    return {k: torch.where(torch.isfinite(v), v, 0) if v.is_floating_point() else v for k, v in want.items()}, ""


# ---------------------------------------------------------------- writing

def write(root, case):
    name, family = case["name"], case["family"]
    g = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    config = configure(family, case.get("size", "a"), case.get("max_position", 96), **case.get("config", {}))
    how = config._attn_implementation = implementation(config)
    model = (model_class(family)(config) if family == "gemma3" else model_class(family, "num_labels" in case.get("config", {})).from_config(config, attn_implementation=how, **EAGER)).eval()
    randomise(model, g)
    if "weights" in case:
        with torch.no_grad(): case["weights"](model, g)
    folder = os.path.join(root, name)
    shutil.rmtree(folder, ignore_errors=True)
    store(model, folder, case.get("dtype", torch.float32))
    for extra in ("generation_config.json",):
        if os.path.exists(os.path.join(folder, extra)): os.remove(os.path.join(folder, extra))
    if "rename" in case: rename(folder, case["rename"])
    if "respell" in case: respell(folder, case["respell"])
    expected = {}
    for i, spec in enumerate((case.get("inputs") or standard)()):
        for _ in range(40):
            inputs = draw(spec, g, config.get_text_config().vocab_size)
            want, why = good(model, inputs, spec["more"])
            if want: break
        assert want, f"{name} in.{i}: {why}"
        expected |= {f"in.{i}.{k}": v.to(torch.int32) for k, v in inputs.items()}
        expected |= {f"out.{i}.{k}": v.to(torch.int32 if k == "greedy" else torch.float32) for k, v in want.items()}
    save_file(expected, os.path.join(folder, "expected.safetensors"))
    with open(os.path.join(folder, "case.json"), "w") as f:
        json.dump({"name": name, "kind": "encoder_head" if "num_labels" in case.get("config", {}) else "causal", "model_class": type(model).__name__, "transformers": transformers.__version__, "torch": torch.__version__}, f)
    return verify(folder)


def verify(folder):
    """Largest distance between the expected numbers and those of the folder loaded afresh."""
    config = AutoConfig.from_pretrained(folder)
    model, loading = model_class(config.model_type, "Sequence" in config.architectures[0]).from_pretrained(folder, attn_implementation=implementation(config), **EAGER, dtype=torch.float32, output_loading_info=True)
    assert not loading["missing_keys"] and not loading["mismatched_keys"], f"{folder}: {loading}"
    expected, worst = load_file(os.path.join(folder, "expected.safetensors")), 0.0
    for i in range(1 + max(int(k.split(".")[1]) for k in expected if k.startswith("in."))):
        inputs = {k.split(".")[2]: v.long() for k, v in expected.items() if k.startswith(f"in.{i}.")}
        want = {k.split(".", 2)[2]: v for k, v in expected.items() if k.startswith(f"out.{i}.")}
        sequences = want.pop("greedy", None)
        got, mask = outputs(model.eval(), inputs), inputs.get("attention_mask")
        assert got.keys() == want.keys(), f"{folder} in.{i}: {sorted(got)} for {sorted(want)}"
        for k, w in want.items(): worst = max(worst, distance(kept(got[k], mask), kept(w, mask)))
        if sequences is not None:
            made = greedy(model, inputs, sequences.shape[1] - inputs["input_ids"].shape[1])
            assert torch.equal(made, sequences.long()), f"{folder} in.{i}: another continuation"
    assert worst < 1e-5, f"{folder}: reloaded numbers differ by {worst:.1e}"
    return worst


# ---------------------------------------------------------------- the cases

def theta(value, **more): return {"rope_parameters": {"rope_type": "default", "rope_theta": value} | more}


long = theta(300.0, rope_type="longrope", short_factor=[1.0, 1.1, 1.2, 1.5, 2.0, 2.5], long_factor=[1.0, 2.0, 3.0, 5.0, 8.0, 12.0])


def cases():
    out = []
    def case(name, family, inputs=None, **more): out.append({"name": name, "family": family, "inputs": inputs, **more})
    def both(family, config_a=None, config_b=None, config_c=None, **more):
        """Two sizes; the head is tied in one of them and not in the other."""
        case(f"{family}-a", family, config=(config_a or {}) | {"tie_word_embeddings": False}, **more)
        case(f"{family}-b", family, size="b", config=(config_b or config_a or {}) | {"tie_word_embeddings": True}, **more)
        case(f"{family}-c", family, brief, size="c", config=config_a or {} if config_c is None else config_c, dtype=torch.bfloat16, **more)

    for family in ("llama", "mistral", "gemma", "qwen2", "qwen3", "gpt2", "gpt_neox"): both(family)
    both("gemma2", config_c={"final_logit_softcapping": 30.0})
    case("llama-biases", "llama", brief, config={"attention_bias": True, "mlp_bias": True, "hidden_act": "gelu", "rms_norm_eps": 1e-2} | theta(500.0))
    case("llama-linear", "llama", brief, config=theta(300.0, rope_type="linear", factor=3.0))
    case("llama-llama3", "llama", brief, config=theta(300.0, rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32))
    case("llama-yarn", "llama", brief, config=theta(300.0, rope_type="yarn", factor=4.0, original_max_position_embeddings=24))
    case("llama-yarn-mscale", "llama", brief, config=theta(300.0, rope_type="yarn", factor=4.0, original_max_position_embeddings=24, beta_fast=8.0, beta_slow=2.0, mscale=1.2, mscale_all_dim=0.7))
    case("llama-dynamic", "llama", lambda: [plain(9, 24), plain(20), plain(30, 10)], max_position=24, config=theta(300.0, rope_type="dynamic", factor=4.0))
    case("phi3-longrope", "phi3", lambda: [plain(9, 24), plain(20), plain(33, 12), masked(12, [-4, None, -1], 10)], size="c", config=long | {"original_max_position_embeddings": 24})
    for family in ("llama", "qwen3", "gpt_neox", "opt"): case(f"{family}-classify", family, lambda: [plain(9), masked(12, [5, None, 1]), masked(13, [-4, None, -1])], config={"num_labels": 3})
    case("mistral-full", "mistral", brief, config={"sliding_window": None})
    case("gpt2-inner", "gpt2", brief, config={"n_inner": None, "activation_function": "relu"})
    case("gpt_neox-serial", "gpt_neox", brief, config={"use_parallel_residual": False, "attention_bias": False, "hidden_act": "relu"} | theta(100.0, partial_rotary_factor=0.8))
    for family in ("gpt_neo", "gptj", "bloom"): both(family)
    both("opt", {"word_embed_proj_dim": 24}, {"do_layer_norm_before": False, "word_embed_proj_dim": 20}, {})
    case("opt-bare", "opt", brief, size="b", config={"enable_bias": False, "activation_function": "gelu"})
    case("bloom-heads", "bloom", brief, size=(36, 6, 1, 6, 0, 2, 97))
    case("gpt_neo-pattern", "gpt_neo", brief, size="c", config={"attention_types": [[["local"], 1], [["global", "local", "local"], 1]], "window_size": 4})
    both("falcon", {}, {"new_decoder_architecture": True, "num_kv_heads": 1, "bias": True}, {"new_decoder_architecture": True, "num_kv_heads": 2})
    case("falcon-old", "falcon", size="b", config={"multi_query": False, "parallel_attn": False, "bias": True, "activation": "relu"} | theta(300.0))
    case("falcon-alibi", "falcon", size=(36, 6, 1, 6, 50, 2, 97), config={"alibi": True, "multi_query": False, "parallel_attn": False, "bias": True})
    case("falcon-one-norm", "falcon", brief, size="c", config={"new_decoder_architecture": True, "num_kv_heads": 4, "num_ln_in_parallel_attn": 1})
    both("mixtral", {"sliding_window": 9}, {"num_experts_per_tok": 3})
    both("qwen2_moe", {}, {"norm_topk_prob": True, "mlp_only_layers": [1]}, {"decoder_sparse_step": 2, "use_sliding_window": True, "sliding_window": 6, "max_window_layers": 3})
    both("qwen3_moe", {"norm_topk_prob": True}, {"mlp_only_layers": [0]}, {"num_experts_per_tok": 5, "attention_bias": True})
    case("qwen3_moe-many", "qwen3_moe", brief, config={"num_experts": 40, "num_experts_per_tok": 6, "norm_topk_prob": True})
    yarn = theta(300.0, rope_type="yarn", factor=3.0, beta_fast=8.0, beta_slow=1.0, truncate=False, original_max_position_embeddings=32)
    both("gpt_oss", yarn, {"swiglu_limit": 1.5} | yarn, {"layer_types": ["full_attention", "full_attention", "sliding_attention", "full_attention"]} | theta(300.0))
    case("llama-head-dim", "llama", brief, size=(36, 3, 1, 14, 50, 2, 97))
    wide = {"size": (48, 4, 2, 12, 52, 2, 131)}
    both("olmo2")
    both("smollm3", {"no_rope_layers": [1, 0]}, {"no_rope_layer_interval": 2}, {})
    case("smollm3-window", "smollm3", size="c", config={"use_sliding_window": True, "sliding_window": 6, "no_rope_layers": [0, 1, 0, 1]})
    factors = {"embedding_multiplier": 3.0, "residual_multiplier": 0.6, "attention_multiplier": 0.3, "logits_scaling": 2.5}
    both("granite", factors, factors | {"attention_bias": True, "mlp_bias": True})
    both("gemma3_text", {"layer_types": ["full_attention", "sliding_attention"]}, {"sliding_window_pattern": 2}, {"sliding_window_pattern": 3})
    case("gemma3_text-rope", "gemma3_text", brief, size="c", config={"sliding_window_pattern": 3, "rope_parameters": {
        "full_attention": {"rope_type": "linear", "rope_theta": 900.0, "factor": 4.0}, "sliding_attention": {"rope_type": "default", "rope_theta": 50.0}}})
    case("gemma3-a", "gemma3", config={"layer_types": ["full_attention", "sliding_attention"]})
    case("phi-a", "phi", **wide)
    case("phi-b", "phi", size="b", config={"qk_layernorm": True})
    case("phi-c", "phi", brief, size="c", dtype=torch.bfloat16, config={"num_key_value_heads": 2, "hidden_act": "relu", "layer_norm_eps": 1e-2} | theta(200.0, partial_rotary_factor=0.34))
    both("phi3", {"sliding_window": 7})
    case("phi3-partial", "phi3", brief, size="c", config=theta(200.0, partial_rotary_factor=0.75))
    case("stablelm-a", "stablelm", size=(64, 4, 2, 16, 52, 2, 131), config={"use_qkv_bias": True})
    case("stablelm-b", "stablelm", size="b", config={"qk_layernorm": True, "use_parallel_residual": True, "tie_word_embeddings": True} | theta(10000.0, partial_rotary_factor=0.5))
    case("stablelm-c", "stablelm", brief, size="c", dtype=torch.bfloat16, config={"num_key_value_heads": 2, "qk_layernorm": True} | theta(200.0, partial_rotary_factor=1.0))
    both("starcoder2", {"sliding_window": 9}, {"use_bias": False})
    window = {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 1}
    for family in ("qwen2", "qwen3"): case(f"{family}-window", family, size="c", config=window)
    case("gemma2-window", "gemma2", size="c", config={"sliding_window": 5, "query_pre_attn_scalar": 20})
    return out


def fixtures():
    """The committed few: F16, narrow."""
    size = (20, 2, 1, 10, 26, 2, 41)
    def few(): return [plain(9, 12), masked(7, [4, None]), masked(8, [-5, None], 6)]
    def case(name, family=None, **more): return {"name": name.replace("_", "-"), "family": family or name, "size": size, "max_position": 32, "dtype": torch.float16, "inputs": few} | more
    small, even = {"sliding_window": 4}, (24, 2, 1, 12, 26, 2, 41)
    return [case("llama", config={"tie_word_embeddings": False}), case("mistral", config=small), case("gemma"), case("gemma2", config=small),
            case("qwen2"), case("qwen3", config={"use_sliding_window": True, "max_window_layers": 1} | small), case("gpt2"), case("gpt_neox"),
            case("gpt_neo", config={"window_size": 4}), case("gptj"), case("opt", config={"word_embed_proj_dim": 12}), case("bloom"),
            case("falcon", config={"new_decoder_architecture": True, "num_kv_heads": 1}), case("falcon-alibi", "falcon", config={"alibi": True, "multi_query": False, "parallel_attn": False}),
            case("mixtral", config=small), case("qwen2_moe"), case("qwen3_moe", config={"norm_topk_prob": True}),
            case("gpt_oss", config=small | theta(300.0, rope_type="yarn", factor=3.0, truncate=False, original_max_position_embeddings=16)),
            case("llama-dynamic", "llama", max_position=12, inputs=lambda: [plain(9, 12), plain(15, 8)], config=theta(300.0, rope_type="dynamic", factor=4.0)),
            case("phi3-longrope", "phi3", size=even, inputs=lambda: [plain(9, 12), plain(15, 8)], config=long | {"original_max_position_embeddings": 12}),
            case("llama-classify", "llama", inputs=lambda: [plain(9), masked(7, [4, None]), masked(8, [-5, None])], config={"num_labels": 3}),
            case("olmo2"), case("smollm3", config={"no_rope_layers": [1, 0]}),
            case("granite", config={"embedding_multiplier": 3.0, "residual_multiplier": 0.6, "attention_multiplier": 0.3, "logits_scaling": 2.5}),
            case("gemma3-text", "gemma3_text", config={"layer_types": ["full_attention", "sliding_attention"]} | small), 
            case("gemma3", config={"layer_types": ["full_attention", "sliding_attention"]} | small), case("phi", size=even), case("phi3", config=small),
            case("stablelm", size=even, config=theta(10000.0, partial_rotary_factor=0.5)), case("starcoder2", config=small)]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", nargs="?", default="/tmp/decoders")
    p.add_argument("--fixtures", action="store_true")
    p.add_argument("--verify", action="store_true")
    p.add_argument("--only", default="")
    a = p.parse_args()
    os.makedirs(a.folder, exist_ok=True)
    if a.verify: todo = [(n, lambda n=n: verify(os.path.join(a.folder, n))) for n in sorted(os.listdir(a.folder)) if os.path.exists(os.path.join(a.folder, n, "case.json"))]
    else: todo = [(c["name"], lambda c=c: write(a.folder, c)) for c in (fixtures() if a.fixtures else cases())]
    assert len({n for n, _ in todo}) == len(todo), "two cases of one name"
    failed = 0
    for name, job in todo:
        if not any(x in name for x in a.only.split(",")): continue
        try: print(f"ok   {name:28} reloaded within {job():.0e}", flush=True)
        except Exception as e:
            if os.environ.get("RAISE"): raise
            failed += 1
            print(f"FAIL {name:28} {type(e).__name__}: {str(e)[:300]}", flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__": main()
