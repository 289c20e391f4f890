"""Tiny models that see and hear, with their processors, and what transformers answers with them: tests/fixtures/seeing.

    /opt/oracle4/bin/python tests/oracle/seeing.py      (Pillow's image processors: use_fast=False)

Images and sounds are made by formulas, which tests/tasks/seeing.test.ts has too. Every call is repeated with weights moved by 1e-5.
"""
import json, math, os, shutil, zlib
import numpy as np, torch, transformers
from PIL import Image
from transformers import (CLIPConfig, CLIPImageProcessor, CLIPModel, GPT2Config, PreTrainedTokenizerFast, SiglipConfig, SiglipImageProcessor, SiglipModel, ViTConfig, ViTForImageClassification, ViTImageProcessor,
                          VisionEncoderDecoderConfig, VisionEncoderDecoderModel, WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration)
from tiny import write_tokenizer

transformers.logging.set_verbosity_error()
torch.set_num_threads(1)
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../fixtures/seeing")


def image(n, width, height):
    """Channel c of pixel (x, y)."""
    y, x, c = np.mgrid[0:height, 0:width, 0:3]
    return Image.fromarray(((x * (3 + n) + y * (5 - n) + c * 40 + (x * y) // (7 + n)) % 256).astype(np.uint8))
IMAGES = [image(0, 40, 30), image(1, 24, 51), image(2, 64, 64)]
def sound(n, seconds): return np.array([((i * i * (n + 3)) % 211) / 211 - 0.5 + 0.4 * ((i * (7 + 4 * n)) % 160 < 80) for i in range(int(16000 * seconds))], dtype=np.float32)


def fill(model, name):
    g = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    with torch.no_grad():
        for key, p in model.named_parameters():
            if key.endswith("logit_scale"): p.fill_(2.0)
            elif key.endswith("logit_bias"): p.fill_(-1.0)
            elif p.dim() > 1: p.copy_(torch.randn(p.shape, generator=g) * (0.2 if "wte" in key else 0.8 if "emb" in key else 0.5 if name == "caption" else 0.3))
            else: p.copy_((0 if "bias" in key else 1) + 0.1 * torch.randn(p.shape, generator=g))
    return model.eval()


def moved(model):
    g, seen = torch.Generator().manual_seed(9), set()
    with torch.no_grad():
        for p in model.parameters():
            if p.data_ptr() not in seen: p.mul_(1 + 1e-5 * torch.randn(p.shape, generator=g))
            seen.add(p.data_ptr())
    return model


def near(a, b):
    if isinstance(a, float): return abs(a - b) < 2e-3
    if isinstance(a, dict): return a.keys() == b.keys() and all(near(a[k], b[k]) for k in a)
    if isinstance(a, list): return len(a) == len(b) and all(map(near, a, b))
    return a == b


def case(name, make):
    folder = f"{ROOT}/{name}"
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    model, answer, calls = make(folder)
    fill(model, name).half().save_pretrained(folder)
    for extra in ("special_tokens_map.json",):
        if os.path.exists(f"{folder}/{extra}"): os.remove(f"{folder}/{extra}")
    load = lambda: type(model).from_pretrained(folder, torch_dtype=torch.float32).eval()
    out = []
    with torch.no_grad():
        one, two = load(), moved(load())
        for c in calls:
            output = answer(one, c)
            assert near(output, answer(two, c)), f"{name} {c}: decided by rounding: {output} / {answer(two, c)}"
            out.append(c | {"output": output})
    with open(f"{folder}/expected.json", "w", encoding="utf-8") as f: f.write('{ "calls": [\n' + ",\n".join(json.dumps(c, ensure_ascii=False) for c in out) + "\n] }\n")
    print(name, len(out), sum(os.path.getsize(f"{folder}/{f}") for f in os.listdir(folder)) // 1024, "KB", [str(o["output"])[:160] for o in out[:2]], flush=True)


def vit(folder):
    processor = ViTImageProcessor(size={"height": 24, "width": 24})
    processor.save_pretrained(folder)
    labels = ["cat", "dog", "frog", "harbour", "loaf", "island", "tern"]
    model = ViTForImageClassification(ViTConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, image_size=24, patch_size=8, id2label=dict(enumerate(labels)), label2id={l: i for i, l in enumerate(labels)}))
    def answer(m, c):
        p = transformers.pipeline("image-classification", model=m, image_processor=processor, device="cpu")
        return p([IMAGES[i] for i in c["images"]] if isinstance(c["images"], list) else IMAGES[c["images"]], **c["options"])
    t = "image-classification"
    return model, answer, [{"task": t, "images": 0, "options": {}}, {"task": t, "images": [0, 1, 2], "options": {"top_k": 2}}, {"task": t, "images": 1, "options": {"top_k": 7, "function_to_apply": "none"}}]


def towers(kind):
    def make(folder):
        t = write_tokenizer(folder, "bpe" if kind == "clip" else "unigram", 64, **({} if kind == "clip" else {"model_input_names": ["input_ids"]}))
        common = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4}
        text, vision = common | {"vocab_size": t.get_vocab_size(), "max_position_embeddings": 64, "eos_token_id": 2, "bos_token_id": 0, "pad_token_id": 1}, common | {"image_size": 24, "patch_size": 8}
        if kind == "clip":
            processor, model = CLIPImageProcessor(size={"shortest_edge": 24}, crop_size={"height": 24, "width": 24}), CLIPModel(CLIPConfig(text_config=text | {"projection_dim": 16}, vision_config=vision | {"projection_dim": 16}, projection_dim=16))
        else:
            processor, model = SiglipImageProcessor(size={"height": 24, "width": 24}), SiglipModel(SiglipConfig(text_config=text | {"projection_size": 32}, vision_config=vision))
        processor.save_pretrained(folder)
        def answer(m, c):
            tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
            p = transformers.pipeline("zero-shot-image-classification", model=m, tokenizer=tokenizer, image_processor=processor, device="cpu")
            return p([IMAGES[i] for i in c["images"]] if isinstance(c["images"], list) else IMAGES[c["images"]], candidate_labels=c["labels"], **c["options"])
        labels, task = ["the lighthouse", "bread", "a small island"], "zero-shot-image-classification"
        return model, answer, [{"task": task, "images": 0, "labels": labels, "options": {"hypothesis_template": "This is a photo of {}"}}, {"task": task, "images": [1, 2], "labels": labels[:2], "options": {"hypothesis_template": "{} in the rain"}}]
    return make


def caption(folder):
    t = write_tokenizer(folder, "bpe", 64)
    processor = ViTImageProcessor(size={"height": 24, "width": 24})
    processor.save_pretrained(folder)
    encoder = ViTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=48, image_size=24, patch_size=8)
    decoder = GPT2Config(vocab_size=t.get_vocab_size(), n_positions=64, n_embd=32, n_layer=1, n_head=4, bos_token_id=0, eos_token_id=2, add_cross_attention=True, is_decoder=True)
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder, decoder_start_token_id=0, pad_token_id=1, eos_token_id=2)
    model = VisionEncoderDecoderModel(config=config)
    def answer(m, c):
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        found = [[{"generated_text": s.strip()} for s in tokenizer.batch_decode(m.generate(**processor(IMAGES[i], return_tensors="pt"), **c["options"]), skip_special_tokens=True)] for i in ([c["images"]] if isinstance(c["images"], int) else c["images"])]
        return found[0] if isinstance(c["images"], int) else found
    t = "image-to-text"
    return model, answer, [{"task": t, "images": 0, "options": {"max_new_tokens": 8, "min_new_tokens": 7}}, {"task": t, "images": [1, 2], "options": {"max_new_tokens": 6, "min_new_tokens": 5, "num_beams": 2}}]


def whisper(folder):
    from tokenizers import Tokenizer
    t = write_tokenizer(folder, "bpe", 64)
    words = ["<|startoftranscript|>", "<|en|>", "<|de|>", "<|translate|>", "<|transcribe|>", "<|notimestamps|>"]
    t.add_special_tokens(words)
    t.save(f"{folder}/tokenizer.json", pretty=False)
    ids = {w: t.token_to_id(w) for w in words}
    processor = WhisperFeatureExtractor(feature_size=16, chunk_length=2, n_fft=400, hop_length=160)
    processor.save_pretrained(folder)
    model = WhisperForConditionalGeneration(WhisperConfig(vocab_size=t.get_vocab_size(), num_mel_bins=16, d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48,
        max_source_positions=100, max_target_positions=48, pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=ids[words[0]], suppress_tokens=[], begin_suppress_tokens=[5, 2]))
    g = model.generation_config
    g.is_multilingual, g.lang_to_id, g.task_to_id, g.no_timestamps_token_id = True, {w: ids[w] for w in words[1:3]}, {"translate": ids[words[3]], "transcribe": ids[words[4]]}, ids[words[5]]
    g.begin_suppress_tokens, g.max_length, g.decoder_start_token_id = [5, 2], 20, ids[words[0]]
    def answer(m, c):
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        o = dict(c["options"])
        start = [ids[words[0]], *([ids[f"<|{o.pop('language')}|>"]] if "language" in o else []), ids[f"<|{o.pop('task', 'transcribe')}|>"], ids[words[5]]]
        found = []
        for n, seconds in [c["sounds"]] if isinstance(c["sounds"][0], int) else c["sounds"]:
            features = processor(sound(n, seconds), sampling_rate=16000, return_tensors="pt").input_features
            if len(start) == 3: # what transformers' detect_language does: the likeliest language behind the start
                heard = m.detect_language(input_features=features, generation_config=g)
                first = [start[0], int(heard[0]), *start[1:]]
            else: first = start
            out = transformers.generation.utils.GenerationMixin.generate(m, input_features=features, decoder_input_ids=torch.tensor([first]), **o)
            found.append({"text": tokenizer.decode(out[0], skip_special_tokens=True)})
        return found[0] if isinstance(c["sounds"][0], int) else found
    t = "automatic-speech-recognition"
    return model, answer, [{"task": t, "sounds": [0, 1.5], "options": {"language": "en"}}, {"task": t, "sounds": [[1, 2], [2, 0.7]], "options": {"language": "de", "task": "translate", "max_new_tokens": 9}}, {"task": t, "sounds": [1, 1], "options": {"max_new_tokens": 9}}]


if __name__ == "__main__":
    for name, make in {"vit": vit, "clip": towers("clip"), "siglip": towers("siglip"), "caption": caption, "whisper": whisper}.items():
        if os.environ.get("ONLY", name) == name: case(name, make)
