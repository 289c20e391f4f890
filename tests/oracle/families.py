"""Reference cases for the encoder families: tiny random models, what transformers computes with them.

    python tests/oracle/families.py [FOLDER]            writes every case (default /tmp/families), checks each by reloading it
    python tests/oracle/families.py --fixtures FOLDER   writes the small selection that is committed under tests/fixtures/models
    python tests/oracle/families.py --verify FOLDER     reloads cases only (also under transformers 4: the old spellings must agree)
    --only TEXT                                         limits to names that contain TEXT

A case is a folder as `shared/conformance/models` has them: config.json, model.safetensors (or shards), case.json and
expected.safetensors with in.I.NAME (I32) and out.I.NAME[.LAYER] (F32). Weights are random but far from symmetric (biases,
norm weights, sharp attention), so that a wrong bias, activation, bucket or mask shows. Each output is also computed in f64:
a case whose f32 error exceeds 2e-5 of its largest value would test conditioning, not the program, and fails here.
"""
import argparse, copy, json, math, os, shutil, sys, zlib
import numpy as np, torch, transformers
from safetensors.torch import load_file, save_file
from transformers.models.distilbert.modeling_distilbert import create_sinusoidal_embeddings

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
torch.set_num_threads(2)
torch.manual_seed(0)

PREFIX = {"bert": "Bert", "distilbert": "DistilBert", "roberta": "Roberta", "xlm-roberta": "XLMRoberta", "camembert": "Camembert",
          "electra": "Electra", "albert": "Albert", "mpnet": "MPNet", "modernbert": "ModernBert", "nomic-bert": "NomicBert", "deberta-v2": "DebertaV2"}
HEADS = {"mlm": "ForMaskedLM", "classify": "ForSequenceClassification", "ner": "ForTokenClassification", "qa": "ForQuestionAnswering"}
LABELS = {"classify": 3, "ner": 5}
FROM_IDS = {"roberta", "xlm-roberta", "camembert", "mpnet"}          # positions counted from the ids that are not padding
NO_TYPES = {"distilbert", "mpnet", "modernbert"}
SIZES = {"a": (40, 5, 52, 2, 131), "b": (36, 3, 50, 3, 97), "c": (60, 4, 70, 1, 119), "d": (48, 4, 93, 2, 101)}   # hidden, heads, intermediate, layers, vocabulary
ROPE = {"c": (60, 5, 70, 1, 119)}                                    # a rotary head needs an even size


# ---------------------------------------------------------------- models

def configure(family, size="a", max_position=64, head=None, **more):
    """A config of the family: `size` names a row of SIZES or is one."""
    row = SIZES[size] if isinstance(size, str) else size
    if family in ("modernbert", "nomic-bert") and isinstance(size, str): row = ROPE.get(size, row)
    hidden, heads, inner, layers, vocab = row
    c = {"vocab_size": vocab, "max_position_embeddings": max_position}
    if family == "distilbert": c |= {"dim": hidden, "n_heads": heads, "hidden_dim": inner, "n_layers": layers}
    else: c |= {"hidden_size": hidden, "num_attention_heads": heads, "intermediate_size": inner, "num_hidden_layers": layers}
    if family in FROM_IDS: c |= {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    else: c |= {"pad_token_id": 0}
    if family in ("roberta", "xlm-roberta", "camembert"): c |= {"type_vocab_size": 1}
    if family == "modernbert": c |= {"bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2, "local_attention": 8}
    if family in ("electra", "albert"): c |= {"embedding_size": hidden}
    if family == "deberta-v2": c |= {"relative_attention": True, "position_buckets": 16, "norm_rel_ebd": "layer_norm", "share_att_key": True,
                                     "pos_att_type": ["p2c", "c2p"], "position_biased_input": False, "type_vocab_size": 0, "max_relative_positions": -1}
    if head in LABELS: c |= {"num_labels": LABELS[head]}
    return getattr(transformers, PREFIX[family] + "Config")(**(c | more))


def model_class(family, head): return getattr(transformers, PREFIX[family] + (HEADS[head] if head else "Model"))


@torch.no_grad()
def randomise(model, g):
    """Weights of activations near one and attention that is sharp; every bias and norm differs from its default."""
    tables = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Embedding)}
    for name, p in model.named_parameters():
        n = torch.randn(p.shape, generator=g)
        if "relative_attention_bias" in name: p.copy_(n)
        elif id(p) in tables: p.copy_(0.7 * n)
        elif p.dim() > 1: p.copy_(n * 1.6 / math.sqrt(p[0].numel()))
        elif name.endswith("bias"): p.copy_(0.15 * n)
        else: p.copy_(1 + 0.15 * n)


# ---------------------------------------------------------------- inputs

class Inputs:
    """Batches of ids with pads on either side and holes; `pad` never occurs among the ids that are kept."""
    def __init__(self, family, config, g):
        self.family, self.g, self.vocab = family, g, config.vocab_size
        self.pad = 1 if family == "mpnet" else config.pad_token_id
        self.types = 0 if family in NO_TYPES else getattr(config, "type_vocab_size", 0)

    def ints(self, high, *shape): return torch.randint(0, high, shape, generator=self.g)

    def ids(self, *shape):
        ids = self.ints(self.vocab - 1, *shape)
        return torch.where(ids >= self.pad, ids + 1, ids)

    def plain(self, length, batch=1, types=False, positions=None):
        x = {"input_ids": self.ids(batch, length)}
        if types and self.types > 1: x["token_type_ids"] = self.ints(self.types, batch, length)
        if positions is not None: x["position_ids"] = positions
        return x

    def masked(self, length, rows, types=False):
        """rows: a number keeps that many at the left, minus a number that many at the right, a list drops those places, None keeps all."""
        x = self.plain(length, len(rows), types)
        mask = torch.ones(len(rows), length, dtype=torch.long)
        for b, r in enumerate(rows):
            if isinstance(r, list): mask[b, r] = 0
            elif r is not None and r >= 0: mask[b, r:] = 0
            elif r is not None: mask[b, :length + r] = 0
            hidden = (mask[b] == 0).nonzero().flatten()
            # holes hold a pad or, every other one, an ordinary token: positions counted from ids must tell them apart
            for i, t in enumerate(hidden.tolist()):
                if not isinstance(r, list) or i % 2 == 0: x["input_ids"][b, t] = self.pad
        x["attention_mask"] = mask
        return x


def standard(i, longest, left=True):
    """Lengths 1, 2, 7, 33, 63 and the longest; pads right, left, in holes; types; positions given."""
    lengths = sorted({n for n in (1, 2, 33, 63) if n <= longest} | {longest})
    out = [i.plain(n) for n in lengths] + [i.plain(7, types=True), i.plain(33, 2, types=True)]
    out.append(i.masked(12, [5, None, 1]))
    if left: out += [i.masked(13, [-4, None, -1]), i.masked(15, [[3, 4, 9], [0, 1, 6, 7, 8, 14], -9, 11], types=True)]
    else: out.append(i.masked(15, [[3, 4, 9], [1, 6, 7, 8, 14], None, 11], types=True))
    return out


def brief(i, left=True):
    return [i.plain(7, types=True), i.plain(21), i.masked(11, [5, -6 if left else None, [2, 3, 7]], types=True)]


def right(i): return brief(i, False)


def given_positions(i, low=0):
    n = torch.arange(9)
    return [i.plain(9, 2, positions=torch.stack([n.flip(0) + low, n * 3 + low])), i.plain(9, 1, positions=(n + 20)[None]), i.plain(7)]


# ---------------------------------------------------------------- expected

ATTENTIONS, STATES = 34, 16      # write attentions and hidden_states up to these lengths


@torch.no_grad()
def outputs(model, inputs, dtype=torch.float32):
    length, base = inputs["input_ids"].shape[1], not type(model).__name__.endswith(tuple(HEADS.values()))
    softmax = torch.nn.functional.softmax
    # modernbert asks for its softmax in f32, where the f64 mask value is -inf and a row that sees no key NaN
    if dtype is torch.float64: torch.nn.functional.softmax = lambda t, dim, dtype=None: softmax(t, dim)
    try: r = model.to(dtype)(**inputs, output_attentions=True, output_hidden_states=True)
    finally: torch.nn.functional.softmax = softmax
    out = {n: r[n] for n in ("last_hidden_state", "pooler_output", "logits", "start_logits", "end_logits") if r.get(n) is not None}
    if length <= ATTENTIONS: out |= {f"attentions.{i}": t for i, t in enumerate(r.attentions)}
    if length <= STATES and base: out |= {f"hidden_states.{i}": t for i, t in enumerate(r.hidden_states)}
    model.to(torch.float32)
    return {k: v.clone(memory_format=torch.contiguous_format) for k, v in out.items()}


def kept(t, mask):
    """What run.mjs compares: rows that belong to tokens."""
    if mask is None: return t
    if t.dim() == 4 and t.shape[2] == mask.shape[1]: return t.transpose(1, 2)[mask.bool()]
    return t[mask.bool()] if t.shape[1] == mask.shape[1] else t


def distance(a, b): return float((a - b).abs().max() / max(1.0, float(b.abs().max())))


# ---------------------------------------------------------------- writing

@torch.no_grad()
def store(model, folder, dtype=torch.float32, **options):
    """save_pretrained in `dtype`; the model in hand goes on in f32 with the rounded weights, as it is for who loads the file."""
    for p in model.parameters(): p.copy_(p.to(dtype))     # buffers (rotary frequencies) are not in the file and stay f32
    copy.deepcopy(model).to(dtype).save_pretrained(folder, **options)


def rename(folder, change):
    """Rewrites the checkpoint through change(tensors) -> tensors: older conventions that from_pretrained still reads."""
    path = os.path.join(folder, "model.safetensors")
    tensors = change(load_file(path))
    save_file({k: v.contiguous() for k, v in tensors.items()}, path, metadata={"format": "pt"})


def respell(folder, change):
    path = os.path.join(folder, "config.json")
    with open(path) as f: config = json.load(f)
    with open(path, "w") as f: json.dump(change(config), f, indent=2, sort_keys=True)


def transformers_4(config):
    """config.json as transformers 4 wrote it."""
    config["torch_dtype"] = config.pop("dtype")
    config["transformers_version"] = "4.40.1"
    kind = config["model_type"]
    if kind == "modernbert":
        rope = config.pop("rope_parameters")
        config["global_rope_theta"], config["local_rope_theta"] = (rope[k]["rope_theta"] for k in ("full_attention", "sliding_attention"))
        config["position_embedding_type"] = "absolute"
        config.pop("layer_types")
    if kind == "bert": config |= {"position_embedding_type": "absolute", "gradient_checkpointing": False, "use_cache": True}
    config.pop("tie_word_embeddings", None)     # written only when it differs from the default
    return config


def write(root, case):
    name, family, head = case["name"], case["family"], case.get("head")
    g = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    config = configure(family, case.get("size", "a"), case.get("max_position", 64), head, **case.get("config", {}))
    config._attn_implementation = "eager"
    model = model_class(family, head)(config).eval()
    randomise(model, g)
    if case.get("sinusoid"): create_sinusoidal_embeddings(config.max_position_embeddings, config.dim, model.embeddings.position_embeddings.weight)
    dtype = case.get("dtype", torch.float32)
    folder = os.path.join(root, name)
    shutil.rmtree(folder, ignore_errors=True)
    store(model, folder, dtype, **({"max_shard_size": case["shard"]} if "shard" in case else {}))
    if "rename" in case: rename(folder, case["rename"])
    if "respell" in case: respell(folder, case["respell"])
    expected = {}
    for i, inputs in enumerate(case["inputs"](Inputs(family, config, g))):
        want, exact = outputs(model, inputs), outputs(model, inputs, torch.float64)
        mask = inputs.get("attention_mask")
        for k, t in want.items():
            d = distance(kept(t.double(), mask), kept(exact[k].double(), mask))
            assert d < 2e-5 and torch.isfinite(t).all(), f"{name} in.{i} {k}: f32 is {d:.1e} from f64"
        expected |= {f"in.{i}.{k}": v.to(torch.int32) for k, v in inputs.items()} | {f"out.{i}.{k}": v for k, v in want.items()}
    save_file(expected, os.path.join(folder, "expected.safetensors"))
    with open(os.path.join(folder, "case.json"), "w") as f:
        json.dump({"name": name, "kind": "encoder_head" if head else "encoder", "model_class": type(model).__name__,
                   "transformers": transformers.__version__, "torch": torch.__version__} | ({"unreadable": True} if case.get("unreadable") else {}), f)
    return verify(folder)


def verify(folder):
    """Largest distance (nan: this transformers cannot read it) between the expected numbers and those of the folder loaded afresh."""
    with open(os.path.join(folder, "case.json")) as f: info = json.load(f)
    if info.get("unreadable") or not hasattr(transformers, info["model_class"]): return float("nan")
    model, loading = getattr(transformers, info["model_class"]).from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32, output_loading_info=True)
    assert not loading["missing_keys"] and not loading["mismatched_keys"], f"{folder}: {loading}"
    expected, worst = load_file(os.path.join(folder, "expected.safetensors")), 0.0
    count = 1 + max(int(k.split(".")[1]) for k in expected if k.startswith("in."))
    for i in range(count):
        inputs = {k.split(".")[2]: v.long() for k, v in expected.items() if k.startswith(f"in.{i}.")}
        got = outputs(model.eval(), inputs)
        want = {k.split(".", 2)[2]: v for k, v in expected.items() if k.startswith(f"out.{i}.")}
        assert got.keys() == want.keys(), f"{folder} in.{i}: {sorted(got)} for {sorted(want)}"
        for k, w in want.items(): worst = max(worst, distance(kept(got[k], inputs.get("attention_mask")), kept(w, inputs.get("attention_mask"))))
    assert worst < 1e-5, f"{folder}: reloaded numbers differ by {worst:.1e}"
    return worst


# ---------------------------------------------------------------- the cases

def cases():
    out = []
    def case(name, family, inputs=None, **more):
        longest = more.get("max_position", 64) - (2 if family in FROM_IDS else 0)
        left = more.pop("left", True)
        out.append({"name": name, "family": family, "inputs": inputs or (lambda i: standard(i, longest, left)), **more})

    # every family: base model in two sizes, a long input, given positions, and its heads
    for family in PREFIX:
        plain = family not in ("electra", "albert", "deberta-v2", "modernbert")
        if plain:
            case(f"{family}-a", family)
            case(f"{family}-b", family, size="b", max_position=70)
            case(f"{family}-c", family, brief, size="c")
        case(f"{family}-long", family, lambda i: [i.plain(300), i.masked(257, [200, -190, None])], size="b", max_position=512,
             config={"embedding_size": 20} if family in ("electra", "albert") else {"position_buckets": 64} if family == "deberta-v2" else {"local_attention": 64} if family == "modernbert" else {})
        if family != "deberta-v2":     # without absolute positions deberta does not read position_ids; its biased form has a case below
            case(f"{family}-positions", family, lambda i, f=family: given_positions(i, 2 if f in FROM_IDS else 0), size="d")
        for head in HEADS:
            if family == "nomic-bert" and head == "qa": continue     # transformers has no such class
            # index 0 of a left-padded row is read by these heads; modernbert's and deberta's have cases of their own
            case(f"{family}-{head}", family, size="abcd"[list(HEADS).index(head)] if head != "ner" else "b", head=head,
                 left=not (head == "classify" and family in ("modernbert", "deberta-v2")), config={"embedding_size": 28} if family in ("electra", "albert") else {})

    # bert: activations, eps, padding id, spellings, formats, older conventions
    for act in ("gelu_new", "relu", "silu", "gelu_pytorch_tanh"): case(f"bert-{act.replace('_', '-')}", "bert", brief, size="d", config={"hidden_act": act, "layer_norm_eps": 1e-2})
    case("bert-mlm-relu", "bert", brief, size="b", head="mlm", config={"hidden_act": "relu", "layer_norm_eps": 1e-2})
    case("bert-mlm-untied", "bert", brief, size="b", head="mlm", config={"tie_word_embeddings": False})
    case("bert-pad", "bert", brief, config={"pad_token_id": 5, "type_vocab_size": 3})
    case("bert-regression", "bert", brief, head="classify", config={"num_labels": 1, "problem_type": "regression"})
    case("bert-transformers4", "bert", brief, head="ner", respell=transformers_4)
    case("bert-f16", "bert", dtype=torch.float16)
    case("bert-bf16", "bert", brief, dtype=torch.bfloat16)
    case("bert-sharded", "bert", brief, size="b", head="mlm", shard="40KB")
    positions = lambda prefix: {f"{prefix}embeddings.position_ids": torch.arange(64)[None]}
    case("bert-old-base", "bert", brief, rename=lambda t: {f"bert.{k}": v for k, v in t.items()} | positions("bert.") | {
        "cls.predictions.bias": torch.zeros(131), "cls.seq_relationship.weight": torch.zeros(2, 40), "cls.seq_relationship.bias": torch.zeros(2)})
    case("bert-old-ids", "bert", brief, rename=lambda t: t | positions(""))
    case("bert-old-classify", "bert", brief, head="classify", rename=lambda t: {k.removeprefix("bert."): v for k, v in t.items()} | positions(""))
    case("bert-old-mlm", "bert", brief, head="mlm", rename=lambda t: t | positions("bert.") | {
        "cls.predictions.decoder.weight": t["bert.embeddings.word_embeddings.weight"].clone(), "cls.predictions.decoder.bias": t["cls.predictions.bias"].clone(),
        "bert.pooler.dense.weight": torch.ones(40, 40), "bert.pooler.dense.bias": torch.ones(40), "cls.seq_relationship.weight": torch.ones(2, 40), "cls.seq_relationship.bias": torch.ones(2)})

    case("distilbert-relu", "distilbert", brief, size="d", config={"activation": "relu"})
    case("distilbert-mlm-relu", "distilbert", brief, size="b", head="mlm", config={"activation": "relu"})
    case("distilbert-sinusoidal", "distilbert", brief, config={"sinusoidal_pos_embds": True}, sinusoid=True)
    case("distilbert-old-mlm", "distilbert", brief, head="mlm", rename=lambda t: t | {"vocab_projector.weight": t["distilbert.embeddings.word_embeddings.weight"].clone()})

    # roberta: pads within a row and no mask, other padding ids, types
    def pads_inside(i):
        x = i.plain(17, 2)
        x["input_ids"][0, [3, 4, 10]] = i.pad
        x["input_ids"][1, [0, 16]] = i.pad
        return [x, i.plain(7)]
    for family in FROM_IDS: case(f"{family}-pads-inside", family, pads_inside, size="d")
    case("roberta-pad", "roberta", lambda i: brief(i) + pads_inside(i), config={"pad_token_id": 4})
    case("mpnet-pad", "mpnet", lambda i: brief(i) + pads_inside(i), config={"pad_token_id": 4, "layer_norm_eps": 1e-2})     # mpnet counts from id 1 whatever the config says
    case("roberta-types", "roberta", brief, config={"type_vocab_size": 2, "layer_norm_eps": 1e-2})
    case("roberta-mlm-relu", "roberta", brief, size="b", head="mlm", config={"hidden_act": "relu"})   # the head keeps gelu
    case("roberta-mlm-untied", "roberta", brief, size="b", head="mlm", config={"tie_word_embeddings": False})
    case("roberta-old-mlm", "roberta", brief, head="mlm", rename=lambda t: t | positions("roberta.") | {
        "lm_head.decoder.weight": t["roberta.embeddings.word_embeddings.weight"].clone(), "lm_head.decoder.bias": t["lm_head.bias"].clone()})
    case("xlm-roberta-sharded", "xlm-roberta", brief, size="b", head="classify", shard="30KB", dtype=torch.float16)
    case("xlm-roberta-bf16", "xlm-roberta", brief, config={"layer_norm_eps": 1e-2}, dtype=torch.bfloat16)
    case("camembert-old-base", "camembert", brief, config={"layer_norm_eps": 1e-2}, rename=lambda t: {f"roberta.{k}": v for k, v in t.items()} | positions("roberta."))

    # electra and albert: a factorised embedding and none
    for family in ("electra", "albert"):
        case(f"{family}-a", family)
        case(f"{family}-b", family, size="b", max_position=70, config={"embedding_size": 20})
        case(f"{family}-wide", family, brief, size="d", config={"embedding_size": 52, "layer_norm_eps": 1e-2})
    case("electra-mlm-same", "electra", brief, head="mlm")
    case("electra-relu", "electra", brief, head="mlm", config={"hidden_act": "relu", "embedding_size": 16, "layer_norm_eps": 1e-2})
    case("albert-groups", "albert", size=(36, 3, 50, 5, 97), config={"embedding_size": 20, "num_hidden_groups": 2})
    case("albert-inner", "albert", brief, size=(40, 5, 52, 3, 131), config={"embedding_size": 28, "num_hidden_groups": 3, "inner_group_num": 2})
    case("albert-inner-mlm", "albert", brief, size=(36, 3, 50, 3, 97), head="mlm", config={"embedding_size": 20, "num_hidden_groups": 2, "inner_group_num": 2, "hidden_act": "gelu"})
    case("albert-old-mlm", "albert", brief, head="mlm", config={"embedding_size": 28}, rename=lambda t: t | positions("albert.") | {
        "predictions.decoder.weight": t["albert.embeddings.word_embeddings.weight"].clone(), "predictions.decoder.bias": t["predictions.bias"].clone()})
    case("mpnet-old-base", "mpnet", brief, rename=lambda t: t | positions(""))

    # modernbert: layer kinds, windows, biases, pooling, spellings
    case("modernbert-a", "modernbert", size=(40, 5, 52, 4, 131), config={"global_attn_every_n_layers": 3})
    case("modernbert-b", "modernbert", size=(36, 3, 50, 3, 97), max_position=70, config={"global_attn_every_n_layers": 2, "local_attention": 7})
    case("modernbert-c", "modernbert", brief, size=(60, 5, 70, 1, 119))
    case("modernbert-biases", "modernbert", brief, size=(48, 4, 93, 3, 101), config={"attention_bias": True, "mlp_bias": True, "norm_bias": True, "norm_eps": 1e-2, "local_attention": 6})
    case("modernbert-window", "modernbert", lambda i: [i.plain(150), i.masked(120, [100, [60, 61, 62, 63, 64, 65, 66, 67, 68], -90])],
         size=(36, 3, 50, 7, 97), max_position=160, config={"local_attention": 16})
    case("modernbert-layer-types", "modernbert", brief, size=(40, 5, 52, 3, 131), config={"layer_types": ["sliding_attention", "sliding_attention", "full_attention"]})
    case("modernbert-theta", "modernbert", brief, size=(40, 5, 52, 3, 131), config={"rope_parameters": {
        "full_attention": {"rope_type": "default", "rope_theta": 500.0}, "sliding_attention": {"rope_type": "default", "rope_theta": 70.0}}})
    case("modernbert-silu", "modernbert", brief, head="mlm", config={"hidden_activation": "silu", "classifier_activation": "relu", "classifier_bias": True, "decoder_bias": False})
    case("modernbert-mlm-untied", "modernbert", brief, size="b", head="mlm", config={"tie_word_embeddings": False})
    case("modernbert-classify-mean", "modernbert", size="b", head="classify", config={"classifier_pooling": "mean", "classifier_bias": True})
    case("modernbert-classify-left", "modernbert", lambda i: [i.masked(14, [-11, None, -13])], size=(36, 3, 50, 4, 97), head="classify")
    case("modernbert-transformers4", "modernbert", brief, size=(40, 5, 52, 4, 131), head="mlm", respell=transformers_4,
         config={"global_attn_every_n_layers": 3, "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 900.0}, "sliding_attention": {"rope_type": "default", "rope_theta": 60.0}}})
    case("modernbert-bf16", "modernbert", brief, size=(40, 5, 52, 4, 131), dtype=torch.bfloat16)

    # nomic: the names of transformers' module tree instead of the hub's, a head size of its own, the hub's config
    def module_names(t):
        out = {}
        for k, v in t.items():
            k = k.replace("encoder.layers", "layers").replace("emb_ln", "embeddings.LayerNorm").replace("attn.out_proj", "self_attn.o_proj").replace("norm1", "post_attention_layernorm").replace("norm2", "post_mlp_layernorm")
            for old, new in (("fc11", "up_proj"), ("fc12", "gate_proj"), ("fc2", "down_proj")): k = k.replace(old, new)
            if "attn.Wqkv" in k: out |= {k.replace("attn.Wqkv", f"self_attn.{n}_proj"): c for n, c in zip("qkv", v.chunk(3))}
            else: out[k] = v
        return out
    case("nomic-bert-modules", "nomic-bert", brief, rename=module_names)
    case("nomic-bert-theta", "nomic-bert", brief, size="b", config={"rope_parameters": {"rope_type": "default", "rope_theta": 60.0}, "hidden_act": "gelu", "layer_norm_eps": 1e-2})
    case("nomic-bert-head-dim", "nomic-bert", brief, size="d", config={"head_dim": 10})
    def hub(config):   # nomic-ai/nomic-embed-text-v1.5's config.json, sizes aside; transformers 5 does not read these names, hence unreadable
        return {"model_type": "nomic_bert", "architectures": ["NomicBertModel"], "activation_function": "swiglu", "layer_norm_epsilon": config["layer_norm_eps"], "n_embd": config["hidden_size"],
                "n_head": config["num_attention_heads"], "n_inner": config["intermediate_size"], "n_layer": config["num_hidden_layers"], "n_positions": config["max_position_embeddings"],
                "rotary_emb_base": 1000, "rotary_emb_fraction": 1.0, "rotary_emb_interleaved": False, "rotary_emb_scale_base": None, "rotary_scaling_factor": None, "prenorm": False, "parallel_block": False,
                "qkv_proj_bias": False, "mlp_fc1_bias": False, "mlp_fc2_bias": False, "causal": False, "use_rms_norm": False, "scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False,
                "type_vocab_size": 2, "vocab_size": config["vocab_size"], "torch_dtype": "float32", "transformers_version": "4.37.2"}
    case("nomic-bert-hub", "nomic-bert", brief, respell=hub, unreadable=True)

    # deberta: v3 is the default of configure(); v2 has its own keys, a convolution and biased input
    v2 = {"share_att_key": False, "position_biased_input": True, "type_vocab_size": 2, "conv_kernel_size": 3, "conv_act": "gelu", "pos_att_type": ["p2c", "c2p"]}
    case("deberta-v2-a", "deberta-v2", size="d")
    case("deberta-v2-b", "deberta-v2", size="b", max_position=70, config={"position_buckets": 10, "pos_att_type": "p2c|c2p"})
    case("deberta-v2-c", "deberta-v2", brief, size="c")
    case("deberta-v2-conv", "deberta-v2", size="b", config=v2)
    case("deberta-v2-conv-one", "deberta-v2", brief, size=(40, 5, 52, 1, 131), config=v2 | {"conv_kernel_size": 5, "conv_groups": 4, "conv_act": "tanh"})
    case("deberta-v2-conv-long", "deberta-v2", lambda i: [i.plain(200)], size="b", max_position=256, config=v2 | {"position_buckets": 32})
    case("deberta-v2-c2p", "deberta-v2", brief, config={"pos_att_type": ["c2p"], "share_att_key": False})
    case("deberta-v2-p2c", "deberta-v2", brief, config={"pos_att_type": ["p2c"], "share_att_key": False, "norm_rel_ebd": "none"})
    case("deberta-v2-c2p-shared", "deberta-v2", brief, config={"pos_att_type": ["c2p"]})
    case("deberta-v2-none", "deberta-v2", brief, config={"pos_att_type": []})
    case("deberta-v2-clamped", "deberta-v2", size="b", config={"position_buckets": -1, "max_relative_positions": 12, "share_att_key": False})
    case("deberta-v2-unbucketed", "deberta-v2", brief, config={"position_buckets": -1, "max_position_embeddings": 33})
    case("deberta-v2-absolute", "deberta-v2", brief, config={"relative_attention": False, "position_biased_input": True, "type_vocab_size": 2, "position_buckets": -1})
    case("deberta-v2-positions", "deberta-v2", given_positions, size="d", config=v2)
    case("deberta-v2-embedding", "deberta-v2", brief, head="mlm", config=v2 | {"embedding_size": 24})
    case("deberta-v2-mlm-new", "deberta-v2", brief, head="mlm", config={"legacy": False})
    case("deberta-v2-relu", "deberta-v2", right, head="classify", config={"hidden_act": "relu", "pooler_hidden_act": "tanh", "layer_norm_eps": 1e-2})
    case("deberta-v2-classify-left", "deberta-v2", lambda i: [i.masked(14, [-9, None, -1, [0, 3]])], size="b", head="classify")
    case("deberta-v2-conv-left", "deberta-v2", lambda i: [i.masked(14, [-9, None, -1, [0, 3]])], size="b", head="classify", config=v2)
    case("deberta-v2-extras", "deberta-v2", right, size="d", head="classify", rename=lambda t: t | {   # what microsoft/deberta-v3-* files hold besides
        "deberta.embeddings.position_ids": torch.arange(64)[None], "deberta.embeddings.position_embeddings.weight": torch.ones(64, 48), "lm_predictions.lm_head.bias": torch.ones(101),
        "lm_predictions.lm_head.dense.weight": torch.ones(48, 48), "mask_predictions.dense.weight": torch.ones(48, 48), "mask_predictions.LayerNorm.bias": torch.ones(48)})
    case("deberta-v2-f16", "deberta-v2", brief, size="d", dtype=torch.float16)
    return out


def fixtures():
    """The committed few: F16, narrow, one body with holes and left pads per family, heads spread over the families."""
    out, size = [], (20, 2, 26, 2, 41)
    def both(i): return [i.plain(9, types=True), i.masked(11, [5, -6, [2, 3, 7]], types=True)]
    def right(i): return [i.plain(9, types=True), i.masked(11, [5, None, [2, 3, 7]], types=True)]
    v2 = {"share_att_key": False, "position_biased_input": True, "type_vocab_size": 2, "conv_kernel_size": 3, "conv_act": "gelu"}
    extra = {"electra": {"embedding_size": 12}, "albert": {"embedding_size": 12, "num_hidden_groups": 2, "inner_group_num": 2}, "modernbert": {"local_attention": 4}, "deberta-v2": {"position_buckets": 8}}
    for family in PREFIX:
        body = {"family": family, "size": (20, 2, 26, 3, 41) if family == "modernbert" else size, "max_position": 24, "dtype": torch.float16, "config": extra.get(family, {})}
        out.append(body | {"name": family, "inputs": both})
        for head in {"bert": ["mlm"], "distilbert": ["classify"], "roberta": ["ner"], "xlm-roberta": ["classify"], "camembert": ["mlm"], "electra": ["mlm", "classify"], "albert": ["mlm", "qa"],
                     "mpnet": ["qa"], "modernbert": ["mlm", "classify", "qa"], "nomic-bert": ["classify"], "deberta-v2": ["mlm", "classify", "qa"]}[family]:
            out.append(body | {"name": f"{family}-{head}", "head": head, "inputs": right if head == "classify" and family in ("modernbert", "deberta-v2") else both})
    out.append({"name": "deberta-v2-conv", "family": "deberta-v2", "size": size, "max_position": 24, "dtype": torch.float16, "config": extra["deberta-v2"] | v2, "inputs": both})
    out.append({"name": "deberta-v2-classify-left", "family": "deberta-v2", "head": "classify", "size": size, "max_position": 24, "dtype": torch.float16, "config": extra["deberta-v2"], "inputs": both})
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", nargs="?", default="/tmp/families")
    p.add_argument("--fixtures", action="store_true")
    p.add_argument("--verify", action="store_true")
    p.add_argument("--only", default="")
    a = p.parse_args()
    os.makedirs(a.folder, exist_ok=True)
    if a.verify: todo = [(n, lambda n=n: verify(os.path.join(a.folder, n))) for n in sorted(os.listdir(a.folder)) if os.path.exists(os.path.join(a.folder, n, "case.json"))]
    else: todo = [(c["name"], lambda c=c: write(a.folder, c)) for c in (fixtures() if a.fixtures else cases())]
    assert len({n for n, _ in todo}) == len(todo), "two cases of one name"
    failed = 0
    for name, run in todo:
        if a.only not in name: continue
        try: worst = run()
        except Exception as e:
            if os.environ.get("RAISE"): raise
            failed += 1; print(f"FAIL {name:28} {type(e).__name__}: {str(e)[:300]}", flush=True); continue
        size = sum(os.path.getsize(os.path.join(a.folder, name, f)) for f in os.listdir(os.path.join(a.folder, name)))
        print(f"ok   {name:28} {size / 1024:7.0f} KB  reloaded within {worst:.0e}", flush=True)
    print(f"{sum(a.only in n for n, _ in todo)} cases, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__": main()
