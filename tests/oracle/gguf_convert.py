"""A Llama folder with a SentencePiece tokenizer (stories260K) as a GGUF file, as llama.cpp's converter writes it.

    python tests/oracle/gguf_convert.py ../shared/models/stories260K stories.gguf [F32 | F16 | BF16 | Q8_0 | Q4_0 | Q4_1 | Q5_0 | Q5_1]
"""
import json, sys
import numpy as np, gguf
from safetensors.numpy import load_file

source, out = sys.argv[1:3]
kind = gguf.GGMLQuantizationType[sys.argv[3] if len(sys.argv) > 3 else "F32"]
config, tokenizer = (json.load(open(f"{source}/{name}.json")) for name in ("config", "tokenizer"))
heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]

w = gguf.GGUFWriter(out, "llama")
w.add_context_length(config["max_position_embeddings"])
w.add_embedding_length(config["hidden_size"])
w.add_block_count(config["num_hidden_layers"])
w.add_feed_forward_length(config["intermediate_size"])
w.add_head_count(heads)
w.add_head_count_kv(kv_heads)
w.add_layer_norm_rms_eps(config["rms_norm_eps"])
w.add_rope_dimension_count(config["hidden_size"] // heads)
w.add_vocab_size(config["vocab_size"])

vocab = tokenizer["model"]["vocab"]
tokens = sorted(vocab, key=vocab.get)
special = {a["content"] for a in tokenizer["added_tokens"]}
rank = {}                                                             # SentencePiece's score is the place among merges
for i, m in enumerate(tokenizer["model"]["merges"]): rank.setdefault("".join(m), -float(i))
w.add_tokenizer_model("llama")
w.add_token_list(tokens)
w.add_token_scores([rank.get(t, -1e6) for t in tokens])
w.add_token_types([2 if t == "<unk>" else 3 if t in special else 6 if len(t) == 6 and t.startswith("<0x") else 1 for t in tokens])
w.add_bos_token_id(vocab["<s>"])
w.add_eos_token_id(vocab["</s>"])
w.add_unk_token_id(vocab["<unk>"])


def permute(x, n): return x.reshape(n, 2, x.shape[0] // n // 2, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
for key, x in load_file(f"{source}/model.safetensors").items():
    if key == "lm_head.weight" and config["tie_word_embeddings"]: continue
    x = x.astype(np.float32)
    base, suffix = key.rsplit(".", 1)
    if "q_proj" in key: x = permute(x, heads)
    if "k_proj" in key: x = permute(x, kv_heads)
    q = gguf.GGMLQuantizationType.F32 if x.ndim == 1 or x.shape[-1] % 32 and kind.name.startswith("Q") else kind
    raw = gguf.quants.quantize(np.ascontiguousarray(x), q)
    w.add_tensor(f"{names.get_name(base)}.{suffix}", raw, raw_dtype=None if q.name in ("F32", "F16") else q)
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()
