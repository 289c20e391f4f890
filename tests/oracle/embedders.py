"""Tiny sentence-transformers folders with tokenizers, and the embeddings the sentence-transformers package computes with them.

    python tests/oracle/embedders.py [FOLDER]      default /tmp/embedders

A folder holds modules.json and all it names, reference.json ({ texts, prompts, default_prompt_name }) and expected.safetensors:
    embeddings          encode(texts): with the default prompt, where the folder names one
    embeddings.plain    encode(texts, prompt="")
    embeddings.NAME     encode(texts, prompt_name=NAME), for each prompt of the folder
    tokens.I            encode(texts[I], prompt="", output_value="token_embeddings")   [tokens, hidden], for the first four texts
Both spellings of the Pooling config occur (booleans as of older files, pooling_mode of newer ones), and both of modules.json's types.
"""
import json, os, shutil, sys
import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from tiny import TEXTS, STORY, write_model, write_tokenizer

torch.set_num_threads(2)
OLD, NEW = "sentence_transformers.models.", {"Transformer": "sentence_transformers.base.modules.transformer.", "Pooling": "sentence_transformers.sentence_transformer.modules.pooling.",
                                             "Dense": "sentence_transformers.base.modules.dense.", "Normalize": "sentence_transformers.base.modules.normalize."}
BOOLEANS = {"cls": "cls_token", "max": "max_tokens", "mean": "mean_tokens", "mean_sqrt_len_tokens": "mean_sqrt_len_tokens", "weightedmean": "weightedmean_tokens", "lasttoken": "lasttoken"}

FOLDERS = {
    "bert-cls-dense": {"family": "bert", "tokenizer": "wordpiece", "pooling": ["cls"], "dense": [(32, 24, True, "Tanh")], "normalize": True, "max_seq_length": 24, "old": True},
    "distilbert-max-sqrt": {"family": "distilbert", "tokenizer": "wordpiece", "pooling": ["max", "mean_sqrt_len_tokens"], "max_seq_length": 64, "old": True, "typed": {"model_input_names": ["input_ids", "attention_mask"]}},
    "electra-weighted-last": {"family": "electra", "tokenizer": "wordpiece", "pooling": ["weightedmean", "lasttoken"], "dense": [(64, 16, False, "Identity")], "normalize": True, "max_seq_length": 40,
                              "prompts": {"query": "who or what: ", "document": "text: "}, "default": "document", "include_prompt": False, "config": {"embedding_size": 20}},
    "mpnet-all": {"family": "mpnet", "tokenizer": "bpe", "pooling": list(BOOLEANS), "max_seq_length": 100, "prompts": {"query": "query: ", "passage": "passage: "}},
    "modernbert-mean": {"family": "modernbert", "tokenizer": "bpe", "pooling": ["mean"], "dense": [(32, 48, True, "Tanh"), (48, 20, True, "Identity")], "normalize": True, "max_seq_length": None},
    "xlm-roberta-last": {"family": "xlm-roberta", "tokenizer": "unigram", "pooling": ["lasttoken"], "normalize": True, "max_seq_length": 30, "old": True},
}


def dump(folder, name, value):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "w", encoding="utf-8") as f: json.dump(value, f, indent=1, ensure_ascii=False)


def write(root, name, spec):
    folder, old = os.path.join(root, name), spec.get("old", False)
    shutil.rmtree(folder, ignore_errors=True)
    tokenizer = write_tokenizer(folder, spec["tokenizer"], 128, **spec.get("typed", {}))
    seed = list(FOLDERS).index(name)
    model = write_model(folder, spec["family"], tokenizer, seed, positions=130 if spec["tokenizer"] != "wordpiece" else 128, **spec.get("config", {}))
    width, g = len(spec["pooling"]) * 32, torch.Generator().manual_seed(100 + seed)
    modules = [("Transformer", ""), ("Pooling", "1_Pooling")]
    dump(folder, "sentence_bert_config.json", {"max_seq_length": spec["max_seq_length"], "do_lower_case": False})
    pooling = {BOOLEANS[m]: m in spec["pooling"] for m in BOOLEANS}
    dump(f"{folder}/1_Pooling", "config.json", {"word_embedding_dimension": 32} | {f"pooling_mode_{k}": v for k, v in pooling.items()} if old else
         {"embedding_dimension": 32, "pooling_mode": spec["pooling"] if len(spec["pooling"]) > 1 else spec["pooling"][0], "include_prompt": spec.get("include_prompt", True)})
    for i, (rows, out, bias, act) in enumerate(spec.get("dense", []), 2):
        assert rows == width
        kind = "torch.nn.modules.linear.Identity" if act == "Identity" else f"torch.nn.modules.activation.{act}"
        dump(f"{folder}/{i}_Dense", "config.json", {"in_features": rows, "out_features": out, "bias": bias, "activation_function": kind})
        weights = {"linear.weight": torch.randn(out, rows, generator=g) / rows ** 0.5} | ({"linear.bias": torch.randn(out, generator=g) * 0.2} if bias else {})
        save_file(weights, f"{folder}/{i}_Dense/model.safetensors")
        modules.append(("Dense", f"{i}_Dense"))
        width = out
    if spec.get("normalize"): modules.append(("Normalize", f"{len(modules)}_Normalize"))
    dump(folder, "modules.json", [{"idx": i, "name": str(i), "path": path, "type": (OLD if old else NEW[kind]) + kind} for i, (kind, path) in enumerate(modules)])
    prompts, default = spec.get("prompts", {}), spec.get("default")
    if prompts or not old: dump(folder, "config_sentence_transformers.json", {"prompts": prompts, "default_prompt_name": default, "similarity_fn_name": "cosine"})

    st = SentenceTransformer(folder, device="cpu", model_kwargs={"dtype": torch.float32, "attn_implementation": "eager"})
    assert type(st[0].auto_model) is type(model) and len(st) == len(modules), "the folder loads as something else"
    for text in TEXTS:    # the package may rebuild its tokenizer from the config: its ids must be those of tokenizer.json
        limit = spec["max_seq_length"] or 128
        want = tokenizer.encode(text).ids
        got = st.tokenizer(text, truncation=True, max_length=limit)["input_ids"]
        assert got == (want if len(want) <= limit else want[:limit - 1] + want[-1:]), f"{name}: other ids for {text!r}"
    texts = [*TEXTS, STORY[:700]]
    encode = lambda **more: torch.from_numpy(st.encode(texts, batch_size=1, **more)).contiguous()
    expected = {"embeddings": encode(), "embeddings.plain": encode(prompt="")} | {f"embeddings.{p}": encode(prompt_name=p) for p in prompts}
    expected |= {f"tokens.{i}": st.encode(texts[i], prompt="", output_value="token_embeddings").clone() for i in range(4)}
    batched = torch.from_numpy(st.encode(texts, prompt="", batch_size=8))
    assert (batched - expected["embeddings.plain"]).abs().max() < 2e-5 * max(1, float(batched.abs().max())), "a batch changes the embeddings"
    assert all(t.isfinite().all() for t in expected.values()) and expected["embeddings"].shape == (len(texts), width)
    save_file(expected, f"{folder}/expected.safetensors")
    dump(folder, "reference.json", {"texts": texts, "prompts": prompts, "default_prompt_name": default})
    size = sum(os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(folder) for f in files)
    print(f"ok   {name:24} {size / 1024:5.0f} KB  {' '.join(f'{k}{list(v.shape)}' for k, v in expected.items() if k[0] == 'e')}")


if __name__ == "__main__":
    root = sys.argv[1] if len(sys.argv) > 1 else "/tmp/embedders"
    for name, spec in FOLDERS.items(): write(root, name, spec)
