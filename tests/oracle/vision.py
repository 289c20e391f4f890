"""Reference cases for models of images, spectrograms, and images beside texts: tiny random models, what transformers computes with them.

    python tests/oracle/vision.py [FOLDER]            writes every case (default /tmp/vision-cases), checks each by reloading it
    python tests/oracle/vision.py --fixtures FOLDER   writes the small selection that is committed under tests/fixtures/models
    python tests/oracle/vision.py --verify FOLDER     reloads cases only (also under transformers 4)
    --only TEXT                                       limits to names that contain TEXT

Folders and checks are those of families.py. An input of another size has in.I.interpolate_pos_encoding = [1], where the model asks for it.
"""
import argparse, json, os, shutil, sys, zlib
import torch, transformers as t
from safetensors.torch import load_file, save_file
from families import distance, randomise, rename, respell, store

NAMES = ("last_hidden_state", "pooler_output", "logits", "cls_logits", "distillation_logits", "image_embeds", "text_embeds", "logits_per_image", "logits_per_text")


def vision(size="a", **more):
    hidden, heads, inner, layers = {"a": (24, 2, 40, 2), "b": (36, 3, 50, 3), "c": (44, 4, 37, 1), "f": (16, 2, 20, 2)}[size]
    return {"hidden_size": hidden, "num_attention_heads": heads, "intermediate_size": inner, "num_hidden_layers": layers, "image_size": 24, "patch_size": 8} | more


@torch.no_grad()
def prepare(model, g):
    randomise(model, g)
    for name, p in model.named_parameters():
        if p.dim() > 1 and any(n in name for n in ("position_embedding", "cls_token", "distillation_token", "probe")): p.copy_(0.7 * torch.randn(p.shape, generator=g))
        if name == "logit_scale": p.fill_(2.3)


class Inputs:
    def __init__(self, config, g): self.config, self.g = config, g

    def image(self, height, width=None, batch=1, channels=3, **more):
        return {"pixel_values": torch.randn(batch, channels, height, width or height, generator=self.g)} | more

    def text(self, length, batch=1, eos=None, pads=(), pad=1, high=None):
        """Random ids, `eos` where each sequence ends; `pads`: how many places behind it hold a pad."""
        ids = torch.randint(3, high or 30, (batch, length), generator=self.g)
        mask = torch.ones_like(ids)
        for b in range(batch):
            n = pads[b] if b < len(pads) else 0
            if n: ids[b, length - n:], mask[b, length - n:] = pad, 0
            if eos is not None: ids[b, length - n - 1] = eos
        return {"input_ids": ids} | ({"attention_mask": mask} if any(pads) else {})


def flat(value, name):
    return {f"{name}.{i}": v for i, v in enumerate(value)} if isinstance(value, (tuple, list)) else {name: value}


@torch.no_grad()
def outputs(model, inputs, dtype=torch.float32):
    model = model.to(dtype)
    x = {k: v.to(dtype) if v.is_floating_point() else v for k, v in inputs.items()}
    if "interpolate_pos_encoding" in x: x["interpolate_pos_encoding"] = True
    # CLIP's two towers give their own states under names that we do not have.
    two = "pixel_values" in x and "input_ids" in x
    # softmax is asked for in f32, where the f64 mask value is -inf and a row that sees no key NaN
    softmax = torch.nn.functional.softmax
    if dtype is torch.float64: torch.nn.functional.softmax = lambda t, dim, dtype=None: softmax(t, dim)
    try: r = model(**x, **({} if two else {"output_attentions": True, "output_hidden_states": True}))
    finally: torch.nn.functional.softmax = softmax
    out = {n: r[n] for n in NAMES if r.get(n) is not None}
    if not two:
        if r.attentions[0].shape[-1] <= 34: out |= flat(r.attentions, "attentions")
        if not type(model).__name__.count("For"): out |= flat(r.hidden_states, "hidden_states")
    model.to(torch.float32)
    return {k: v.clone(memory_format=torch.contiguous_format) for k, v in out.items()}


def write(root, case):
    name = case["name"]
    g = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    cls = getattr(t, case["model"])
    config = cls.config_class(**case["config"])
    config._attn_implementation = "eager"
    model = cls(config).eval()
    prepare(model, g)
    folder = os.path.join(root, name)
    shutil.rmtree(folder, ignore_errors=True)
    store(model, folder, case.get("dtype", torch.float32))
    if "rename" in case: rename(folder, case["rename"])
    if "respell" in case: respell(folder, case["respell"])
    expected = {}
    for i, inputs in enumerate(case["inputs"](Inputs(config, g))):
        want, exact = outputs(model, inputs), outputs(model, inputs, torch.float64)
        for k, v in want.items():
            d = distance(rows(v, inputs).double(), rows(exact[k], inputs).double())
            assert d < 2e-5 and torch.isfinite(v).all(), f"{name} in.{i} {k}: f32 is {d:.1e} from f64"
        expected |= {f"in.{i}.{k}": v if v.is_floating_point() else v.to(torch.int32) for k, v in inputs.items()} | {f"out.{i}.{k}": v for k, v in want.items()}
    save_file(expected, os.path.join(folder, "expected.safetensors"))
    with open(os.path.join(folder, "case.json"), "w") as f:
        json.dump({"name": name, "kind": "vision", "model_class": cls.__name__, "transformers": t.__version__, "torch": torch.__version__}, f)
    return verify(folder)


def rows(v, inputs):
    """Rows that belong to tokens, where texts are padded."""
    mask = inputs.get("attention_mask")
    if mask is None or v.dim() < 3: return v
    if v.dim() == 4: return v.transpose(1, 2)[mask.bool()]
    return v[mask.bool()]


def verify(folder):
    with open(os.path.join(folder, "case.json")) as f: info = json.load(f)
    if not hasattr(t, info["model_class"]): return float("nan")
    model, loading = getattr(t, info["model_class"]).from_pretrained(folder, attn_implementation="eager", dtype=torch.float32, output_loading_info=True)
    # transformers 4 calls the parts of a tower that stands alone text_model.… and vision_model.…, which 5 reads too.
    if t.__version__ < "5" and any(k.startswith(("text_model.", "vision_model.")) for k in loading["missing_keys"]): return float("nan")
    assert not loading["missing_keys"] and not loading["mismatched_keys"], f"{folder}: {loading}"
    expected, worst = load_file(os.path.join(folder, "expected.safetensors")), 0.0
    for i in range(1 + max(int(k.split(".")[1]) for k in expected if k.startswith("in."))):
        inputs = {k.split(".")[2]: v if v.is_floating_point() else v.long() for k, v in expected.items() if k.startswith(f"in.{i}.")}
        got = outputs(model.eval(), inputs)
        for k, v in expected.items():
            # transformers 4 puts the final norm into some models' last hidden state; 5 is right.
            if t.__version__ < "5" and k.endswith(f"hidden_states.{getattr(model.config, 'num_hidden_layers', None)}"): continue
            if k.startswith(f"out.{i}."): worst = max(worst, distance(rows(got[k.split(".", 2)[2]], inputs), rows(v, inputs)))
    assert worst < 1e-5, f"{folder}: reloaded numbers differ by {worst:.1e}"
    return worst


ANY = {"interpolate_pos_encoding": torch.ones(1, dtype=torch.int64)}


def cases():
    out = []
    def case(name, model, config, inputs, **more): out.append({"name": name, "model": model, "config": config, "inputs": inputs, **more})
    def sizes(i): return [i.image(24), i.image(24, batch=2), i.image(40, **ANY), i.image(17, 33, 2, **ANY), i.image(24, **ANY)]
    def free(i): return [i.image(24), i.image(24, batch=2), i.image(40), i.image(17, 33, 2), i.image(9, 24)]

    case("vit", "ViTModel", vision(), sizes)
    case("vit-classify", "ViTForImageClassification", vision("b", qkv_bias=False, hidden_act="gelu_new", num_labels=5, num_channels=1), lambda i: [i.image(24, channels=1), i.image(24, channels=1, batch=3)])
    case("vit-oblong", "ViTModel", vision("c", image_size=[21, 40], patch_size=[7, 5], pooler_output_size=20, pooler_act="gelu"), lambda i: [i.image(21, 40), i.image(21, 40, 2)])
    case("vit-large", "ViTForImageClassification", vision("b", image_size=112), lambda i: [i.image(112), i.image(160, 96, **ANY)])
    case("vit-f16", "ViTModel", vision(), sizes, dtype=torch.float16)
    case("deit", "DeiTModel", vision(), sizes)
    case("deit-teacher", "DeiTForImageClassificationWithTeacher", vision("b", num_labels=5), sizes)
    case("deit-classify", "DeiTForImageClassification", vision("c", num_labels=3), sizes)
    for name, more in ("dinov2", {}), ("dinov2-swiglu", {"use_swiglu_ffn": True, "qkv_bias": False}):
        config = vision("b", layerscale_value=0.7, mlp_ratio=3, **more)
        config.pop("intermediate_size")
        case(name, "Dinov2Model", config, free)
        case(f"{name}-classify", "Dinov2ForImageClassification", config | {"num_labels": 4}, free)
    def sounds(i):
        c = i.config
        return [{"input_values": torch.randn(b, c.max_length, c.num_mel_bins, generator=i.g)} for b in (1, 2)]
    audio = {k: v for k, v in vision().items() if k != "image_size"}
    case("ast", "ASTModel", audio | {"max_length": 50, "num_mel_bins": 20, "frequency_stride": 6, "time_stride": 10}, sounds)
    case("ast-classify", "ASTForAudioClassification", audio | {"max_length": 41, "num_mel_bins": 25, "frequency_stride": 5, "time_stride": 4, "patch_size": 9, "num_labels": 6}, sounds)

    text = {k: v for k, v in vision().items() if k not in ("image_size", "patch_size")} | {"vocab_size": 61, "max_position_embeddings": 20, "pad_token_id": 1, "bos_token_id": 58, "eos_token_id": 60}
    old = text | {"eos_token_id": 2}
    wide = vision("b") | {"hidden_act": "quick_gelu"}
    def texts(eos, high=57, pad=1):
        # Where pads are ends too, one on the left would be pooled, though it sees nothing.
        return lambda i: [i.text(11, eos=eos, high=high), i.text(9, 3, eos, (0, 4, 2), pad, high), i.text(20, 2, eos, (13, 0), pad, high)] + ([] if pad == eos else [left(i.text(8, 2, eos, (3, 0), pad, high))])
    def left(x):
        """Pads on the left."""
        n = int((x["attention_mask"][0] == 0).sum())
        return {k: torch.cat([v[:1].roll(n, 1), v[1:]]) for k, v in x.items()}
    def both(eos):
        return lambda i: [i.image(24, batch=2) | i.text(9, 3, eos, high=57), i.image(24) | i.text(7, 1, eos, high=57), i.image(33, 17, 2, **ANY) | i.text(12, 4, eos, (0, 5, 2, 9), high=57)]
    case("clip", "CLIPModel", {"text_config": text, "vision_config": wide, "projection_dim": 20}, both(60))
    case("clip-old", "CLIPModel", {"text_config": old | {"num_hidden_layers": 3}, "vision_config": vision("c", patch_size=5, hidden_act="gelu"), "projection_dim": 12}, both(59))
    def dicts(c):
        """As openai/clip-vit-large-patch14 has it: what counts is in text_config_dict, and text_config says something else."""
        for part, wrong in ("text", {"num_attention_heads": 3, "eos_token_id": 2, "hidden_act": "relu"}), ("vision", {"num_attention_heads": 6, "layer_norm_eps": 0.1}):
            c[f"{part}_config_dict"] = dict(c[f"{part}_config"])
            c[f"{part}_config"] |= wrong
        return c
    case("clip-dicts", "CLIPModel", {"text_config": text, "vision_config": wide, "projection_dim": 20}, both(60), respell=dicts)
    case("clip-text", "CLIPTextModel", text, texts(60))
    case("clip-text-old", "CLIPTextModel", old, texts(59))
    case("clip-text-padded", "CLIPTextModelWithProjection", text | {"projection_dim": 10, "pad_token_id": 60}, texts(60, pad=60))
    case("clip-vision", "CLIPVisionModel", vision("b"), sizes)
    def named(prefix): return lambda tensors: {prefix + k: v for k, v in tensors.items()} | {f"{prefix}embeddings.position_ids": torch.arange(20)[None]}
    case("clip-text-names", "CLIPTextModel", text, texts(60), rename=named("text_model."))
    case("clip-vision-names", "CLIPVisionModel", vision("b"), sizes, rename=named("vision_model."))
    case("siglip-text-names", "SiglipTextModel", text | {"projection_size": 17}, texts(None), rename=named("text_model."))
    case("siglip-vision-names", "SiglipVisionModel", vision("b"), sizes, rename=named("vision_model."))
    case("clip-vision-projection", "CLIPVisionModelWithProjection", vision("b", projection_dim=10), sizes)
    case("clip-classify", "CLIPForImageClassification", {"text_config": text, "vision_config": wide, "num_labels": 4}, lambda i: [i.image(24), i.image(24, batch=2)])
    case("siglip", "SiglipModel", {"text_config": text | {"projection_size": 36}, "vision_config": vision("b")}, both(None))
    case("siglip-text", "SiglipTextModel", text | {"projection_size": 17}, texts(None))
    case("siglip-vision", "SiglipVisionModel", vision("b"), sizes)
    case("siglip-plain", "SiglipVisionModel", vision("c", vision_use_head=False), sizes)
    case("siglip-classify", "SiglipForImageClassification", {"text_config": text, "vision_config": vision(), "num_labels": 4}, sizes)
    return out


def fixtures():
    """The committed few: F16 and narrow."""
    out = []
    def case(name, model, config, inputs): out.append({"name": name, "model": model, "config": vision("f") | config, "inputs": inputs, "dtype": torch.float16})
    def sizes(i): return [i.image(24, batch=2), i.image(17, 33, **ANY)]
    def free(i): return [i.image(24, batch=2), i.image(17, 33)]
    case("vit", "ViTModel", {}, sizes)
    case("vit-oblong", "ViTForImageClassification", {"image_size": [21, 40], "patch_size": [7, 5], "num_labels": 3, "qkv_bias": False, "num_channels": 1}, lambda i: [i.image(21, 40, 2, 1)])
    case("deit", "DeiTForImageClassificationWithTeacher", {"num_labels": 3}, sizes)
    case("dinov2", "Dinov2ForImageClassification", {"layerscale_value": 0.7, "mlp_ratio": 3, "num_labels": 3}, free)
    case("dinov2-swiglu", "Dinov2Model", {"mlp_ratio": 3, "use_swiglu_ffn": True}, free)
    case("ast", "ASTForAudioClassification", {"max_length": 41, "num_mel_bins": 25, "frequency_stride": 5, "time_stride": 6, "patch_size": 9, "num_labels": 3},
         lambda i: [{"input_values": torch.randn(2, 41, 25, generator=i.g)}])
    text = {"hidden_size": 20, "num_attention_heads": 2, "intermediate_size": 26, "num_hidden_layers": 2, "vocab_size": 31, "max_position_embeddings": 12, "pad_token_id": 1, "bos_token_id": 29, "eos_token_id": 30}
    def padded(i): return [i.text(7, 3, 30, (0, 3, 1), high=28)]
    def both(i): return [i.image(24, batch=2) | i.text(9, 3, 30, (0, 4, 1), high=28), i.image(17, 33, **ANY) | i.text(6, 2, 30, high=28)]
    def pair(name, model, config): out.append({"name": name, "model": model, "config": config, "inputs": both, "dtype": torch.float16})
    pair("clip", "CLIPModel", {"text_config": text, "vision_config": vision("f", patch_size=6), "projection_dim": 10})
    pair("siglip", "SiglipModel", {"text_config": text | {"projection_size": 16}, "vision_config": vision("f", patch_size=6)})
    out.append({"name": "clip-text", "model": "CLIPTextModelWithProjection", "config": text | {"projection_dim": 10}, "inputs": padded, "dtype": torch.float16})
    out.append({"name": "siglip-text", "model": "SiglipTextModel", "config": text | {"projection_size": 9}, "inputs": padded, "dtype": torch.float16})
    case("clip-vision", "CLIPVisionModelWithProjection", {"projection_dim": 10}, sizes)
    case("siglip-vision", "SiglipVisionModel", {}, sizes)
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--fixtures", action="store_true")
    parser.add_argument("--verify", action="store_true")
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    root = args.folder or "/tmp/vision-cases"
    os.makedirs(root, exist_ok=True)
    for case in fixtures() if args.fixtures else cases():
        if args.only not in case["name"]: continue
        folder = os.path.join(root, case["name"])
        if args.verify and not os.path.exists(folder): continue
        print(f"{case['name']:28} {verify(folder) if args.verify else write(root, case):.1e}", flush=True)


if __name__ == "__main__": main()
