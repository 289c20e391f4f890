"""Reference cases for encoder-decoders: tiny random models, what transformers computes and what it writes.

    python tests/oracle/seq2seq.py [FOLDER]            writes every case (default /tmp/seq2seq), checks each by reloading it
    python tests/oracle/seq2seq.py --fixtures FOLDER   writes the small selection that is committed under tests/fixtures/models
    python tests/oracle/seq2seq.py --verify FOLDER     reloads cases only
    --only TEXT                                        limits to names that contain TEXT

Under transformers 4 it writes the same cases in that version's spelling of config.json. Folders are as families.py writes them, with
out.I.greedy: the token that the decoder starts with and what greedy search adds. As in decoders.py everything is computed in f64 too,
and ids are drawn again until no rounding could turn a choice. Rows of masked decoder tokens, which nobody defines, are zeros.
"""
import argparse, json, math, os, shutil, sys, zlib
import torch, transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig
from families import distance, kept, rename, respell, store

torch.set_num_threads(1)
FOUR = transformers.__version__.startswith("4.")
ATTENTIONS, STATES = 34, 16                                          # write attentions and hidden_states up to these lengths
SIZES = {"a": (40, 5, 52, 2, 4, 58, 3, 131), "b": (36, 3, 50, 3, 2, 56, 1, 97), "c": (48, 4, 93, 1, 4, 61, 2, 101)}   # width, then encoder heads, inner, layers, the decoder's, vocabulary
CLASSES = {"bart": "BartForConditionalGeneration", "mbart": "MBartForConditionalGeneration", "marian": "MarianMTModel", "pegasus": "PegasusForConditionalGeneration",
           "m2m_100": "M2M100ForConditionalGeneration", "t5": "T5ForConditionalGeneration", "mt5": "MT5ForConditionalGeneration", "whisper": "WhisperForConditionalGeneration", "vision-encoder-decoder": "VisionEncoderDecoderModel"}
T5 = ("t5", "mt5")
SEEN = ("whisper", "vision-encoder-decoder")                         # no text goes in


# ---------------------------------------------------------------- models

def captioner(size, max_position, encoder="vit", decoder="gpt2", **more):
    """An encoder of pictures and a decoder, each with a config of its own; where their widths differ, a projection lies between."""
    width, *sides, vocab = SIZES[size] if isinstance(size, str) else size
    tokens = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    source = AutoConfig.for_model(encoder, **({"hidden_size": width, "num_attention_heads": sides[0], "num_hidden_layers": sides[2], "image_size": 18, "patch_size": 6}
                                              | ({"mlp_ratio": 2} if encoder == "dinov2" else {"intermediate_size": sides[1]}) | more.get("source", {})))
    own = more.get("width", width)
    names = {"n_embd": own, "n_head": sides[3], "n_inner": sides[4], "n_layer": sides[5], "n_positions": max_position} if decoder == "gpt2" else \
            {"d_model": own, "decoder_attention_heads": sides[3], "decoder_ffn_dim": sides[4], "decoder_layers": sides[5], "max_position_embeddings": max_position}
    target = AutoConfig.for_model(decoder, **(names | {"vocab_size": vocab, "is_decoder": True, "add_cross_attention": True} | tokens | more.get("target", {})))
    config = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(source, target)
    for k, v in (tokens | {"decoder_start_token_id": 1}).items(): setattr(config, k, v)
    return config


def configure(family, size="a", max_position=96, **more):
    if family == "vision-encoder-decoder": return captioner(size, max_position, **more)
    width, *encoder, vocab = SIZES[size] if isinstance(size, str) else size
    c = {"vocab_size": vocab, "d_model": width}
    if family in T5:      # one head count and size for both sides; generate() of transformers 5 takes no more layers than the encoder has
        c |= {"num_heads": encoder[0], "d_kv": 2 * (width // encoder[0]) - 2, "d_ff": encoder[1], "num_layers": max(encoder[2], encoder[5]), "num_decoder_layers": min(encoder[2], encoder[5]),
              "relative_attention_num_buckets": 10, "relative_attention_max_distance": 24, "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
    else:
        names = ("attention_heads", "ffn_dim", "layers")
        c |= {f"encoder_{n}": v for n, v in zip(names, encoder)} | {f"decoder_{n}": v for n, v in zip(names, encoder[3:])} | {"max_position_embeddings": max_position}
        c |= {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2, "forced_eos_token_id": None, "forced_bos_token_id": None}
    if family == "whisper":
        c |= {"num_mel_bins": 10, "max_source_positions": 21, "max_target_positions": max_position, "decoder_start_token_id": 0, "suppress_tokens": None, "begin_suppress_tokens": None}
        del c["max_position_embeddings"]
    if family == "marian": c |= {"scale_embedding": True, "activation_function": "swish", "decoder_vocab_size": vocab, "share_encoder_decoder_embeddings": True}
    if family == "pegasus": c |= {"scale_embedding": True, "activation_function": "relu", "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
    if family in ("mbart", "m2m_100"): c |= {"scale_embedding": True}
    return AutoConfig.for_model(family, **(c | more))


def build(config):
    config._attn_implementation = "eager"
    return getattr(transformers, CLASSES[config.model_type])(config).eval()


@torch.no_grad()
def randomise(model, g):
    """Weights of activations near one and attention that is sharp; every bias and norm differs from its default."""
    tables = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Embedding)}
    width, t5 = getattr(model.config, "d_model", 1), model.config.model_type in T5
    scale = 1 / math.sqrt(width) if getattr(model.config, "scale_embedding", False) else 1
    for name, p in model.named_parameters():
        if not p.requires_grad: continue                             # static positions
        n = torch.randn(p.shape, generator=g)
        if "relative_attention_bias" in name: p.copy_(n)
        elif id(p) in tables: p.copy_((0.7 if "positions" in name else scale) * n)
        elif p.dim() > 1: p.copy_(n * 1.6 / math.sqrt(p.shape[-2] if name.endswith(("c_attn.weight", "q_attn.weight", "c_proj.weight", "c_fc.weight")) else max(p[0].numel(), 16)) * (width ** -0.25 if t5 and name.endswith(("q.weight", "k.weight")) else 1))
        elif name.endswith("bias"): p.copy_(0.15 * n)
        else: p.copy_(1 + 0.15 * n)
    if hasattr(model, "final_logits_bias"): model.final_logits_bias.copy_((0.5 * torch.randn(model.final_logits_bias.shape, generator=g)).bfloat16())


# ---------------------------------------------------------------- inputs: lengths of both sides, how many to write, which tokens are there

def plain(source, target, more=0, batch=1): return {"source": source, "target": target, "more": more, "rows": [None] * batch}
def masked(source, rows, target=5, more=0, decoder=None): return {"source": source, "target": target, "more": more, "rows": rows, "decoder": decoder}


def masks(rows, length):
    """Rows: a number keeps that many at the left, minus a number that many at the right, a list drops those places, None keeps all."""
    mask = torch.ones(len(rows), length, dtype=torch.long)
    for b, r in enumerate(rows):
        if isinstance(r, list): mask[b, r] = 0
        elif r is not None and r >= 0: mask[b, r:] = 0
        elif r is not None: mask[b, :r] = 0
    return mask


def draw(spec, g, config):
    rows = spec["rows"]
    if config.model_type == "whisper":
        x = {"input_features": torch.randn(len(rows), config.num_mel_bins, 2 * config.max_source_positions, generator=g)}
    elif config.model_type == "vision-encoder-decoder":
        x = {"pixel_values": torch.randn(len(rows), 3, config.encoder.image_size, config.encoder.image_size, generator=g)}
    else:
        x = {"input_ids": torch.randint(3, config.vocab_size, (len(rows), spec["source"]), generator=g)}
        if any(r is not None for r in rows):
            x["attention_mask"] = masks(rows, spec["source"])
            x["input_ids"] = torch.where(x["attention_mask"] > 0, x["input_ids"], config.pad_token_id)
    vocab = getattr(config, "decoder_vocab_size", None) or getattr(config, "vocab_size", None) or config.decoder.vocab_size
    if spec["target"]: x["decoder_input_ids"] = torch.randint(3, vocab, (len(rows), spec["target"]), generator=g)
    if spec.get("decoder"):
        x["decoder_attention_mask"] = masks(spec["decoder"], spec["target"])
        x["decoder_input_ids"] = torch.where(x["decoder_attention_mask"] > 0, x["decoder_input_ids"], config.pad_token_id)
    return x


def standard(): return [plain(1, 2, 24), plain(7, 1, 24), plain(33, 18, 24), plain(63, 70, 6), plain(5, 4, 12, 3), masked(12, [5, None, 1], 4, 16), masked(13, [-4, None, -1], 6, 12),
                        masked(11, [[2, 3, 7], -3, [0, 10]], 7, 12), masked(9, [4, None, -2], 8, 0, [5, -6, None])]
def brief(): return [plain(21, 9, 14), masked(11, [5, None, 2], 3, 10), masked(10, [-6, None, [4]], 6, 12)]
def spoken(): return [plain(0, 2, 24), plain(0, 9, 0, 3)]


# ---------------------------------------------------------------- expected

@torch.no_grad()
def run(model, inputs, dtype=torch.float32, **options):
    softmax = torch.nn.functional.softmax
    if dtype is torch.float64: torch.nn.functional.softmax = lambda t, dim=-1, dtype=None: softmax(t, dim)   # some ask for it in f32
    inputs = {k: v.to(dtype) if v.is_floating_point() else v for k, v in inputs.items()}
    try: return model.to(dtype)(**inputs, use_cache=False, **options)
    finally:
        torch.nn.functional.softmax = softmax
        model.to(torch.float32)


def outputs(model, inputs, dtype=torch.float32):
    source = inputs["input_ids"].shape[1] if "input_ids" in inputs else 0
    target = inputs["decoder_input_ids"].shape[1]
    r = run(model, inputs, dtype, output_attentions=True, output_hidden_states=True)
    out = {"logits": r.logits, "encoder_last_hidden_state": r.encoder_last_hidden_state}
    lists = {"encoder_attentions": source, "decoder_attentions": target, "cross_attentions": max(source, target)}
    lists = {k: n <= ATTENTIONS for k, n in lists.items()} | {"encoder_hidden_states": source <= STATES, "decoder_hidden_states": target <= STATES}
    for name, some in lists.items():
        if some and r.get(name) is not None: out |= {f"{name}.{i}": t for i, t in enumerate(r[name])}
    mask = inputs.get("decoder_attention_mask")
    for k in out:
        if mask is None or k.startswith("encoder"): continue
        own = mask[:, None, :, None] if "attentions" in k else mask[:, :, None]
        out[k] = torch.where(own > 0, out[k], torch.zeros((), dtype=out[k].dtype))
    return {k: v.clone(memory_format=torch.contiguous_format) for k, v in out.items()}


def given(inputs): return {k: v for k, v in inputs.items() if not k.startswith("decoder_")}


@torch.no_grad()
def greedy(model, inputs, more):
    # Whisper's own generate() cuts sound into pieces and strips what it began with.
    return transformers.GenerationMixin.generate(model, **given(inputs), max_new_tokens=more, min_new_tokens=more, do_sample=False, num_beams=1)


def clear(model, inputs, sequences, margin=2e-3):
    """Whether every choice is the largest in f64 by `margin` of the logits' size."""
    logits = run(model, given(inputs) | {"decoder_input_ids": sequences[:, :-1]}, torch.float64).logits
    scale = max(1.0, float(logits.abs().max()))
    eos = model.generation_config.eos_token_id
    for e in [eos] if isinstance(eos, int) else eos or []: logits[..., e] = -math.inf       # min_new_tokens forbids them
    for e in (model.generation_config.suppress_tokens or []): logits[..., e] = -math.inf
    for e in (model.generation_config.begin_suppress_tokens or []): logits[:, 0, e] = -math.inf
    for bad in (model.generation_config.bad_words_ids or []): logits[..., bad[0]] = -math.inf
    best = logits.topk(2)
    forced = [model.generation_config.forced_bos_token_id is not None, model.generation_config.forced_eos_token_id is not None]
    own = slice(int(forced[0]), sequences.shape[1] - 1 - int(forced[1]))
    same = best.indices[:, own, 0] == sequences[:, 1:][:, own]
    return bool(same.all() and (best.values[:, own, 0] - best.values[:, own, 1]).min() > margin * scale)


def good(model, inputs, more):
    """What is expected of these inputs, or why they test rounding."""
    want, exact = outputs(model, inputs), outputs(model, inputs, torch.float64)
    mask = inputs.get("attention_mask")
    for k, t in want.items():
        d = distance(kept(t.double(), mask), kept(exact[k].double(), mask))
        if not (d < 2e-5) or not torch.isfinite(kept(t, mask)).all(): return None, f"{k}: f32 is {d:.1e} from f64"
    if more:
        want["greedy"] = greedy(model, inputs, more)
        if not clear(model, inputs, want["greedy"]): return None, "greedy choices are close"
    return {k: torch.where(torch.isfinite(v), v, 0) if v.is_floating_point() else v for k, v in want.items()}, ""


# ---------------------------------------------------------------- writing

def write(root, case):
    name, family = case["name"], case["family"]
    g = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    config = case["build"]() if "build" in case else configure(family, case.get("size", "a"), case.get("max_position", 96), **case.get("config", {}))
    model = build(config)
    randomise(model, g)
    if "weights" in case:
        with torch.no_grad(): case["weights"](model, g)
    folder = os.path.join(root, name)
    shutil.rmtree(folder, ignore_errors=True)
    store(model, folder, case.get("dtype", torch.float32))
    held = load_file(os.path.join(folder, "model.safetensors"))
    for n, m in model.named_modules():                               # computed positions that are in no file are not rounded
        if hasattr(m, "create_weight") and f"{n}.weight" not in held: m.weight.data.copy_(m.create_weight())
    if "generation" in case:
        with open(os.path.join(folder, "generation_config.json"), "w") as f: json.dump(case["generation"], f)
        model.generation_config = transformers.GenerationConfig(**case["generation"])
    else:                                                            # as a folder without one: from the config
        if os.path.exists(os.path.join(folder, "generation_config.json")): os.remove(os.path.join(folder, "generation_config.json"))
        model.generation_config = transformers.GenerationConfig.from_model_config(config)
    if "rename" in case: rename(folder, case["rename"])
    if "respell" in case: respell(folder, case["respell"])
    expected = {}
    for i, spec in enumerate((case.get("inputs") or (spoken if family in SEEN else standard))()):
        for _ in range(60):
            inputs = draw(spec, g, config)
            want, why = good(model, inputs, spec["more"])
            if want: break
        assert want, f"{name} in.{i}: {why}"
        expected |= {f"in.{i}.{k}": v.to(torch.float32 if v.is_floating_point() else torch.int32) for k, v in inputs.items()}
        expected |= {f"out.{i}.{k}": v.to(torch.int32 if k == "greedy" else torch.float32) for k, v in want.items()}
    save_file(expected, os.path.join(folder, "expected.safetensors"))
    with open(os.path.join(folder, "case.json"), "w") as f:
        json.dump({"name": name, "kind": "seq2seq", "model_class": type(model).__name__, "transformers": transformers.__version__, "torch": torch.__version__}, f)
    return 0.0 if case.get("unreadable") else verify(folder)


def verify(folder):
    """Largest distance between the expected numbers and those of the folder loaded afresh."""
    with open(os.path.join(folder, "case.json")) as f: kind = getattr(transformers, json.load(f)["model_class"])
    model, loading = kind.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32, output_loading_info=True)
    assert not loading["missing_keys"] and not loading["mismatched_keys"], f"{folder}: {loading}"
    expected, worst = load_file(os.path.join(folder, "expected.safetensors")), 0.0
    for i in range(1 + max(int(k.split(".")[1]) for k in expected if k.startswith("in."))):
        inputs = {k.split(".")[2]: v if v.is_floating_point() else v.long() for k, v in expected.items() if k.startswith(f"in.{i}.")}
        want = {k.split(".", 2)[2]: v for k, v in expected.items() if k.startswith(f"out.{i}.")}
        sequences = want.pop("greedy", None)
        got, mask = outputs(model.eval(), inputs), inputs.get("attention_mask")
        assert got.keys() == want.keys(), f"{folder} in.{i}: {sorted(got)} for {sorted(want)}"
        for k, w in want.items(): worst = max(worst, distance(kept(got[k], mask), kept(w, mask)))
        if sequences is not None:
            made = greedy(model, inputs, sequences.shape[1] - 1)
            assert torch.equal(made, sequences.long()), f"{folder} in.{i}: another text"
    assert worst < 1e-5, f"{folder}: reloaded numbers differ by {worst:.1e}"
    return worst


# ---------------------------------------------------------------- the cases

def cases():
    out = []
    def case(name, family, inputs=None, **more): out.append({"name": name, "family": family, "inputs": inputs, **more})
    for family in CLASSES:
        case(f"{family}-a", family)
        case(f"{family}-b", family, size="b")
        case(f"{family}-c", family, None if family in SEEN else brief, size="c", dtype=torch.bfloat16)
    if not FOUR: case("marian-unshared", "marian", brief, config={"share_encoder_decoder_embeddings": False, "decoder_vocab_size": 77})
    if FOUR:      # transformers 5 ties the words in any case
        for family in T5: case(f"{family}-untied", family, brief, config={"tie_word_embeddings": False, "feed_forward_proj": "gated-gelu"})
    # what older files hold besides
    case("m2m_100-extras", "m2m_100", brief, rename=lambda t: t | {"lm_head.weight": t["model.shared.weight"].clone(), "model.encoder.embed_tokens.weight": t["model.shared.weight"].clone(),
                                                                   "model.decoder.embed_positions.weights": torch.ones(98, 40)})
    case("whisper-extras", "whisper", rename=lambda t: t | {"proj_out.weight": t["model.decoder.embed_tokens.weight"].clone()})
    case("t5-extras", "t5", brief, rename=lambda t: t | {"lm_head.weight": t["shared.weight"].clone(), "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight": torch.ones(10, 5)})
    case("bart-relu-scaled", "bart", brief, config={"activation_function": "relu", "scale_embedding": True})
    case("captioner-trocr", "vision-encoder-decoder", config={"encoder": "deit", "decoder": "trocr", "width": 24})
    # transformers 5.23 writes this one and cannot load it
    case("captioner-trocr-computed", "vision-encoder-decoder", size="c", unreadable=True, config={"decoder": "trocr", "target": {"use_learned_position_embeddings": False, "layernorm_embedding": False, "scale_embedding": True, "activation_function": "relu"}})
    case("captioner-dinov2", "vision-encoder-decoder", size="b", config={"encoder": "dinov2"})
    case("bart-forced", "bart", brief, config={"forced_bos_token_id": 7, "forced_eos_token_id": 2})
    return out


def fixtures():
    """The committed few: F16, narrow."""
    size = (20, 2, 26, 1, 4, 22, 2, 41)
    def seen(): return [plain(0, 4, 12), plain(0, 3, 0, 2)]
    def few(): return [plain(6, 4, 12), masked(5, [3, -3, [2]], 3, 5)]
    def case(name, family=None, **more): return {"name": name.replace("_", "-"), "family": family or name, "size": size, "max_position": 32, "dtype": torch.float16, "inputs": seen if (family or name) in SEEN else few, **more}
    return [case(family) for family in CLASSES] + [case("trocr", "vision-encoder-decoder", config={"encoder": "deit", "decoder": "trocr", "width": 12})]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", nargs="?", default="/tmp/seq2seq")
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
        if a.only not in name: continue
        try: print(f"ok   {name:28} reloaded within {job():.0e}", flush=True)
        except Exception as e:
            failed += 1
            print(f"FAIL {name:28} {type(e).__name__}: {e}", flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__": main()
