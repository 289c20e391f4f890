"""Small tokenizers and models for the task and embedder cases, the same on every run.

The WordPiece vocabulary is BERT's, pruned; the byte-level BPE and the Unigram pieces are learned from the texts below.
"""
import json, os
import torch, transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from families import configure, model_class, randomise, store

HERE = os.path.dirname(os.path.abspath(__file__))
BERT = os.environ.get("BERT_TOKENIZER") or os.path.join(HERE, "../../../shared/models/default-embedder/tokenizer.json")

TEXTS = [
    "The lighthouse keeper counts the ships that pass before midnight.",
    "Who wrote the letter that Anna Keller carried from Zürich to Lisbon?",
    "Bread rises because yeast turns sugar into gas.",
    "A small model answers on the device; nothing leaves it.",
    "Rain again - the third day of it, and the river is over the lower field.",
    "She played the cello in Dr. O'Brien's kitchen, badly but with joy.",
    "In 1931 the harbour froze for eleven days.",
    "café, naïve, Ångström, œuvre, straße",
    "東京は日本の首都です。",
    "He said: \"don't wait!\" (twice)...",
    "Prices fell 3.5% to €12.40, the lowest since 2019.",
    "the the the the the",
    "",
    "Supercalifragilistic words are cut into pieces, unbelievably small pieces.",
    "😀 smiles and 👩‍👩‍👧 families are not in the vocabulary",
    "tabs\tand\nnew lines\u0000 and control\u0007 characters\u00a0are cleaned",
    "Mr. Paulo Mendes of Atlantic Freight visited the Geneva office on Monday.",
    "To bake a loaf you need flour, water, salt, time and a hot oven; most people lack only the time, and those who do not lack it lack the oven, "
    "which is why the baker of a village was for centuries as well known as its priest and rather more often thanked.",
    "x",
    "State-of-the-art e-mail re-use: user_name@example.com or https://example.com/a?b=c",
]
STORY = (
    "The harbour of Vilamar lies between two hills. On the northern hill stands the lighthouse, built in 1887 by the engineer Clara Montfort, who had studied in Geneva. "
    "The light was first lit by oil, later by gas, and since 1926 by electricity. Its keeper, Tomás Reis, wrote down the name of every ship that passed. "
    "His books fill a shelf in the town library; the oldest of them was lost in the flood of 1931, when the river rose four metres in a single night. "
    "On the southern hill is the old fish market. Each morning the boats come in with sardines, and the buyers from Lisbon wait with their trucks. "
    "Dr. Anna Keller, a biologist from Zürich, came to Vilamar in 1974 to count the birds. She stayed for thirty years. "
    "Her study, printed by Atlantic Press, showed that the terns nest only on the small island called Pedra Branca, because cats cannot swim there. "
    "The town council bought the island in 1982 for 40,000 escudos and closed it to visitors from April to July. "
    "Today the lighthouse is empty and works by itself. The grandson of Tomás Reis, Paulo Mendes, keeps a café beneath it and sells honey, bread and postcards. "
    "When a storm comes from the west, the old people of Vilamar still look up to see whether the light is on."
)


def wordpiece(texts=(), fill=300):
    """BERT's uncased tokenizer with about 600 of its tokens: what the texts use, every ASCII character, the first words of the vocabulary."""
    with open(BERT, encoding="utf-8") as f: spec = json.load(f)
    spec["truncation"] = spec["padding"] = None
    full, whole = spec["model"]["vocab"], Tokenizer.from_str(json.dumps(spec))
    rare = {"supercalifragilistic", "unbelievably", "montfort", "vilamar", "keller", "mendes"}     # cut further than BERT cuts them
    used = {t for text in [*TEXTS, STORY, *texts] for t in whole.encode(text, add_special_tokens=False).tokens if t not in rare}
    characters = {p + c for c in "abcdefghijklmnopqrstuvwxyz0123456789" for p in ("", "##")} | {c for c in full if len(c) == 1 and c.isascii()}
    first = [t for t in full if t.isalpha() and t.isascii() and len(t) > 1][:fill]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    keep = (used | characters | set(first)) - set(special)
    spec["model"]["vocab"] = {t: i for i, t in enumerate(special + [t for t in full if t in keep])}
    for t in spec["added_tokens"]: t["id"] = spec["model"]["vocab"][t["content"]]
    spec["added_tokens"].sort(key=lambda t: t["id"])
    for name, t in spec["post_processor"]["special_tokens"].items(): t["ids"] = [spec["model"]["vocab"][name]]
    return Tokenizer.from_str(json.dumps(spec))


def byte_bpe(size=420):
    """roberta's kind: byte-level BPE, <s> </s> around, a mask that takes the space before it."""
    t = Tokenizer(models.BPE(fuse_unk=False, byte_fallback=False))
    t.pre_tokenizer, t.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    t.train_from_iterator([*TEXTS, STORY], trainers.BpeTrainer(vocab_size=size - 1, special_tokens=special, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False))
    mask = transformers.AddedToken("<mask>", lstrip=True, rstrip=False, normalized=False, special=True)
    t.add_special_tokens([mask])
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    return t


def unigram(size=460):
    """xlm-roberta's kind: Unigram over words marked with U+2581."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(" {2,}", " ")])
    metaspace = pre_tokenizers.Metaspace(prepend_scheme="always")
    # the Unigram trainer gives other scores on every run, so the pieces are those BPE finds, the earlier the likelier
    pieces = Tokenizer(models.BPE())
    pieces.normalizer, pieces.pre_tokenizer = normalizer, metaspace
    pieces.train_from_iterator([*TEXTS, STORY], trainers.BpeTrainer(vocab_size=size - 1 - len(special), show_progress=False))
    found = [p for p, _ in sorted(pieces.get_vocab().items(), key=lambda e: e[1])]
    t = Tokenizer(models.Unigram([(p, 0.0) for p in special] + [(p, -round(4 + 0.015 * i, 3)) for i, p in enumerate(found)], unk_id=3, byte_fallback=False))
    t.normalizer, t.pre_tokenizer, t.decoder = normalizer, metaspace, decoders.Metaspace(prepend_scheme="always")
    t.add_special_tokens(special)
    t.add_special_tokens([transformers.AddedToken("<mask>", lstrip=True, rstrip=False, normalized=False, special=True)])
    t.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return t


KINDS = {"wordpiece": wordpiece, "bpe": byte_bpe, "unigram": unigram}
BERT_SPECIAL = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]"}
ROBERTA_SPECIAL = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


def write_tokenizer(folder, kind, limit, **more):
    """tokenizer.json, tokenizer_config.json and special_tokens_map.json, as files on the hub have them; returns the tokenizer."""
    t = KINDS[kind]()
    os.makedirs(folder, exist_ok=True)
    t.save(os.path.join(folder, "tokenizer.json"), pretty=False)
    if kind == "wordpiece":
        special = BERT_SPECIAL
        config = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "tokenize_chinese_chars": True, "strip_accents": None}
    else:
        mask = {"__type": "AddedToken", "content": "<mask>", "lstrip": True, "normalized": False, "rstrip": False, "single_word": False, "special": True}
        special = ROBERTA_SPECIAL | {"mask_token": mask}
        config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": ["input_ids", "attention_mask"]}
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as f: json.dump(special | config | {"model_max_length": limit, "clean_up_tokenization_spaces": kind == "wordpiece"} | more, f, indent=1)
    with open(os.path.join(folder, "special_tokens_map.json"), "w") as f:
        json.dump(special | ({"mask_token": {k: v for k, v in special["mask_token"].items() if k not in ("__type", "special")}} if kind != "wordpiece" else {}), f, indent=1)
    return t


@torch.no_grad()
def spread(model, tokenizer, head):
    """A random head answers much the same to everything: centre its logits over the texts and sharpen them, so that every label and many spans win somewhere."""
    out = model.qa_outputs if hasattr(model, "qa_outputs") else getattr(model.classifier, "out_proj", model.classifier)
    out.weight.mul_(9 if head == "qa" else 3)
    if head == "qa": return
    rows = [model(torch.tensor([tokenizer.encode(t).ids[:100]])).logits[0] for t in TEXTS]
    mean = torch.stack(rows).mean(0) if head == "classify" else torch.cat(rows).mean(0)
    if out.out_features > 1: out.bias.sub_(mean)
    if head == "ner": out.bias[0] += 1     # more often outside than in an entity


def write_model(folder, family, tokenizer, seed, head=None, positions=128, dtype=torch.float16, **config):
    """A random model of the family that fits the tokenizer, weights in `dtype`."""
    g = torch.Generator().manual_seed(seed)
    config = configure(family, (32, 4, 64, 2, tokenizer.get_vocab_size()), positions, None, **config)
    model = model_class(family, head)(config).eval()
    randomise(model, g)
    if head in ("classify", "ner", "qa"): spread(model, tokenizer, head)
    store(model, folder, dtype)
    return model
