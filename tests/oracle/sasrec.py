"""Tiny random SASRec models for tests/fixtures/models, with what the original PyTorch code computes.

    python tests/oracle/sasrec.py [FOLDER]     default tests/fixtures/models

The class below is github.com/pmixer/SASRec.pytorch (Apache-2.0), model.py, without dropout and devices: the reference checkpoint
in ../shared/models/sasrec-ml1m comes from it. config.json is as that folder has it.
"""
import json, math, os, sys
import numpy as np, torch
from safetensors.torch import save_file

torch.manual_seed(0)


class PointWiseFeedForward(torch.nn.Module):
    def __init__(self, hidden_units):
        super().__init__()
        self.conv1 = torch.nn.Conv1d(hidden_units, hidden_units, kernel_size=1)
        self.relu = torch.nn.ReLU()
        self.conv2 = torch.nn.Conv1d(hidden_units, hidden_units, kernel_size=1)

    def forward(self, inputs):
        return self.conv2(self.relu(self.conv1(inputs.transpose(-1, -2)))).transpose(-1, -2)


class SASRec(torch.nn.Module):
    def __init__(self, item_num, hidden_units, num_blocks, num_heads, maxlen, norm_first):
        super().__init__()
        self.norm_first = norm_first
        self.item_emb = torch.nn.Embedding(item_num + 1, hidden_units, padding_idx=0)
        self.pos_emb = torch.nn.Embedding(maxlen + 1, hidden_units, padding_idx=0)
        norms = lambda: torch.nn.ModuleList(torch.nn.LayerNorm(hidden_units, eps=1e-8) for _ in range(num_blocks))
        self.attention_layernorms, self.forward_layernorms = norms(), norms()
        self.attention_layers = torch.nn.ModuleList(torch.nn.MultiheadAttention(hidden_units, num_heads) for _ in range(num_blocks))
        self.forward_layers = torch.nn.ModuleList(PointWiseFeedForward(hidden_units) for _ in range(num_blocks))
        self.last_layernorm = torch.nn.LayerNorm(hidden_units, eps=1e-8)

    def forward(self, log_seqs):
        seqs = self.item_emb(log_seqs) * self.item_emb.embedding_dim ** 0.5
        poss = torch.arange(1, log_seqs.shape[1] + 1)[None] * (log_seqs != 0)
        seqs = seqs + self.pos_emb(poss)
        tl = seqs.shape[1]
        attention_mask = ~torch.tril(torch.ones((tl, tl), dtype=torch.bool))
        hidden, attentions = [seqs], []
        for i in range(len(self.attention_layers)):
            seqs = torch.transpose(seqs, 0, 1)
            x = self.attention_layernorms[i](seqs) if self.norm_first else seqs
            mha, probs = self.attention_layers[i](x, x, x, attn_mask=attention_mask, average_attn_weights=False)
            attentions.append(probs)
            if self.norm_first:
                seqs = torch.transpose(seqs + mha, 0, 1)
                seqs = seqs + self.forward_layers[i](self.forward_layernorms[i](seqs))
            else:
                seqs = torch.transpose(self.attention_layernorms[i](seqs + mha), 0, 1)
                seqs = self.forward_layernorms[i](seqs + self.forward_layers[i](seqs))
            hidden.append(seqs)
        feats = self.last_layernorm(seqs)
        return {"last_hidden_state": feats, "logits": feats @ self.item_emb.weight.T, "hidden_states": hidden, "attentions": attentions}


@torch.no_grad()
def case(folder, name, items, hidden, layers, heads, maxlen, norm_first, inputs):
    model = SASRec(items, hidden, layers, heads, maxlen, norm_first).eval()
    for n, p in model.named_parameters():
        r = torch.randn(p.shape)
        if "emb" in n: p.copy_(0.4 * r); p[0] = 0
        elif p.dim() > 1: p.copy_(r * 1.6 / math.sqrt(p[0].numel()))
        elif n.endswith("bias"): p.copy_(0.15 * r)
        else: p.copy_(1 + 0.15 * r)
    model.half().float()
    tensors = {}
    for i, ids in enumerate(inputs):
        ids = torch.tensor(ids)
        out, exact = model(ids), model.double()(ids)
        model.float()
        tensors[f"in.{i}.input_ids"] = ids.int()
        for k, v in out.items():
            for j, t in enumerate(v) if isinstance(v, list) else [(None, v)]:
                e = exact[k] if j is None else exact[k][j]
                off = ((t.double() - e).abs().max() / e.abs().max().clamp(min=1)).item()
                assert off < 2e-5, (name, k, off)
                tensors[f"out.{i}.{k}" + ("" if j is None else f".{j}")] = t.contiguous()
    where = os.path.join(folder, name)
    os.makedirs(where, exist_ok=True)
    config = {"model_type": "sasrec", "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads, "max_position_embeddings": maxlen,
              "vocab_size": items + 1, "norm_first": norm_first, "layer_norm_eps": 1e-8, "hidden_act": "relu", "scale_embedding": True}
    json.dump(config, open(os.path.join(where, "config.json"), "w"), indent=1)
    json.dump({"kind": "sasrec"}, open(os.path.join(where, "case.json"), "w"))
    save_file({k: v.half().contiguous() for k, v in model.state_dict().items()}, os.path.join(where, "model.safetensors"), {"format": "pt"})
    save_file(tensors, os.path.join(where, "expected.safetensors"))


folder = sys.argv[1] if len(sys.argv) > 1 else "tests/fixtures/models"
rng = np.random.default_rng(0)
plain = lambda n, items: rng.integers(1, items + 1, (1, n)).tolist()
# Zeros before the items: the original pads so, and its zeros are seen, and count.
case(folder, "sasrec", 37, 20, 2, 1, 12, False, [plain(12, 37), plain(1, 37), [[0, 0, 0, 5, 9, 9, 30], [7, 0, 1, 2, 3, 4, 37]]])
case(folder, "sasrec-norm-first", 29, 18, 3, 3, 16, True, [plain(9, 29), [[0, 0, 11, 4], [1, 2, 3, 29]]])
