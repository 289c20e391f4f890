"""A Llama's folder as a GGUF in Q8_0: python to_gguf.py FOLDER OUT.gguf (pip install gguf). Norms stay f32, as llama.cpp's own conversion leaves them."""
import json, struct, sys
import numpy as np
import gguf

folder, out = sys.argv[1:3]
config = json.load(open(f"{folder}/config.json"))
with open(f"{folder}/model.safetensors", "rb") as f:
    header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
    data = np.frombuffer(f.read(), np.uint8)
def tensor(name):
    t = header[name]; a, b = t["data_offsets"]
    return data[a:b].view(np.float32).reshape(t["shape"])

heads = config["num_attention_heads"]; kv = config["num_key_value_heads"]; size = config["head_dim"]
vocab = config["vocab_size"]
w = gguf.GGUFWriter(out, "llama")
w.add_context_length(2048); w.add_embedding_length(config["hidden_size"]); w.add_block_count(config["num_hidden_layers"])
w.add_feed_forward_length(config["intermediate_size"]); w.add_head_count(heads); w.add_head_count_kv(kv)
w.add_layer_norm_rms_eps(config["rms_norm_eps"]); w.add_rope_dimension_count(size); w.add_rope_freq_base(config.get("rope_theta", 10000.0))
w.add_vocab_size(vocab); w.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
# Words are their own names, so that a prompt of given ids can be written: <t5> is token 5.
kind = gguf.TokenType
tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)] + [f"<t{i}>" for i in range(259, vocab)]
types = [kind.UNKNOWN, kind.CONTROL, kind.CONTROL] + [kind.BYTE] * 256 + [kind.USER_DEFINED if i < 512 else kind.NORMAL for i in range(259, vocab)]
w.add_tokenizer_model("llama"); w.add_token_list(tokens[:vocab]); w.add_token_scores([0.0] * vocab); w.add_token_types(types[:vocab])
w.add_bos_token_id(1); w.add_eos_token_id(2); w.add_unk_token_id(0); w.add_add_bos_token(False); w.add_add_space_prefix(False)

def put(name, x):
    if x.ndim == 1 or x.shape[-1] % 32: w.add_tensor(name, np.ascontiguousarray(x))
    else:
        q = gguf.quants.quantize(np.ascontiguousarray(x), gguf.GGMLQuantizationType.Q8_0)
        w.add_tensor(name, q, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
def turned(x, n):
    # llama.cpp turns neighbours, transformers halves.
    return x.reshape(n, 2, size // 2, -1).swapaxes(1, 2).reshape(x.shape)

put("token_embd.weight", tensor("model.embed_tokens.weight")); put("output_norm.weight", tensor("model.norm.weight"))
names = {"self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
for i in range(config["num_hidden_layers"]):
    at = f"model.layers.{i}."
    put(f"blk.{i}.attn_q.weight", turned(tensor(f"{at}self_attn.q_proj.weight"), heads)); put(f"blk.{i}.attn_k.weight", turned(tensor(f"{at}self_attn.k_proj.weight"), kv))
    for name, to in names.items(): put(f"blk.{i}.{to}.weight", tensor(f"{at}{name}.weight"))
w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()
