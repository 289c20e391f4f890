"""What transformers' zero-shot-classification and sentence-transformers' cosines are for two models that are in the repository.

    python tests/oracle/zero_shot.py        writes tests/fixtures/zero-shot.json

`nli`: the model tests/fixtures/tasks/classify, its three labels renamed as each entry's `labels` says. `similarity` and `embedding`: models/default-embedder;
the latter is softmax(20 · cosine), or with multi_label max(0, cosine), of sentence-transformers' vectors, computed here.
"""
import json, os, shutil, tempfile
import numpy as np, torch, transformers
from sentence_transformers import SentenceTransformer
from tasks import plain
from tiny import TEXTS

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
NLI = [["contradiction", "neutral", "entailment"], ["ENTAILMENT", "neutral", "contradiction"], ["not_it", "entails", "other"]]
CALLS = [
    {"texts": TEXTS[1], "candidate_labels": ["travel", "cooking", "money"], "options": {}},
    {"texts": TEXTS[:3], "candidate_labels": "travel, cooking,letters", "options": {"hypothesis_template": "It is about {}."}},
    {"texts": [TEXTS[2]], "candidate_labels": ["travel", "cooking"], "options": {"multi_label": True}},
    {"texts": TEXTS[1], "candidate_labels": ["letters"], "options": {}},
]
SIMILAR = ["A cat sleeps on the sofa.", ["A kitten naps on the couch.", "Stock prices fell sharply.", "", "Die Katze schläft.", "A cat sleeps on the sofa."]]


def embedded(model, texts, candidate_labels, options):
    labels = [l.strip() for l in candidate_labels.split(",")] if isinstance(candidate_labels, str) else candidate_labels
    template, each = options.get("hypothesis_template", "This example is {}."), options.get("multi_label") or len(labels) == 1
    vectors = lambda x: model.encode(x, normalize_embeddings=True).astype(np.float64)
    out = []
    for text in [texts] if isinstance(texts, str) else texts:
        cosine = vectors([template.format(l) for l in labels]) @ vectors([text])[0]
        e = np.exp(20 * cosine)
        scores = np.maximum(cosine, 0) if each else e / e.sum()
        order = np.argsort(-scores)
        out.append({"sequence": text, "labels": [labels[i] for i in order], "scores": scores[order]})
    return out[0] if isinstance(texts, str) else out


if __name__ == "__main__":
    made = {"nli": [], "embedding": [], "similarity": {}}
    for labels in NLI:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(f"{ROOT}/fixtures/tasks/classify", folder, dirs_exist_ok=True)
            config = json.load(open(f"{folder}/config.json"))
            config |= {"id2label": dict(enumerate(labels)), "label2id": {l: i for i, l in enumerate(labels)}}
            json.dump(config, open(f"{folder}/config.json", "w"))
            run = transformers.pipeline("zero-shot-classification", model=folder, device="cpu", dtype=torch.float32)
            made["nli"] += [{"labels": labels} | c | {"output": plain(run(c["texts"], candidate_labels=c["candidate_labels"], **c["options"]))} for c in CALLS]
    model = SentenceTransformer(f"{ROOT}/../models/default-embedder", device="cpu", model_kwargs={"dtype": torch.float32})
    made["embedding"] = [c | {"output": plain(embedded(model, **c))} for c in CALLS]
    one, others = SIMILAR
    cosines = model.similarity(model.encode([one]), model.encode(others))[0].numpy()
    made["similarity"] = {"source_sentence": one, "sentences": others, "output": plain(cosines)}
    with open(f"{ROOT}/fixtures/zero-shot.json", "w", encoding="utf-8") as f:
        json.dump(made, f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")
