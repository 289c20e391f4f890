"""Tiny models with tokenizers, and what transformers' pipelines and sentence-transformers' CrossEncoder answer with them.

    python tests/oracle/tasks.py [FOLDER]      default tests/fixtures/tasks

Run it twice: under transformers 5 it writes the models and every expected.json, all but question-answering, which transformers 5
no longer has; under transformers 4 it then adds those calls and checks that it answers the others alike.
expected.json: { calls: [{ task, inputs, options, output, by }] }; `task` is a pipeline's name, or cross-encoder.predict / .rank.
Every call is repeated with weights moved by 1e-5: were a label, a span or an order to change, the case would test rounding, and fails here.
"""
import json, os, shutil, sys, zlib
import numpy as np, torch, transformers
from tiny import STORY, TEXTS, write_model, write_tokenizer

transformers.logging.set_verbosity_error()
torch.set_num_threads(2)
HERE = os.path.dirname(os.path.abspath(__file__))
FIVE = int(transformers.__version__.split(".")[0]) >= 5
SENTENCES = [TEXTS[0], TEXTS[1], TEXTS[5], TEXTS[10], TEXTS[16], "A"]
PAIRS = [[TEXTS[1], TEXTS[6]], [TEXTS[2], TEXTS[17]], ["honey", STORY], [TEXTS[9], "?"]]
QUESTIONS = ["Who built the lighthouse?", "When was the island bought, and for how much?", "What does Paulo Mendes sell?"]
PEOPLE = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG"]
NER = [TEXTS[1], TEXTS[16], TEXTS[5], TEXTS[7], TEXTS[14], "A", ""]


def labels(*names): return {"id2label": dict(enumerate(names)), "label2id": {n: i for i, n in enumerate(names)}, "num_labels": len(names)}


def call(task, inputs, **options): return {"task": task, "inputs": inputs, "options": options}


def classification(*more):
    t = "text-classification"
    return [call(t, SENTENCES[0]), call(t, SENTENCES), call(t, SENTENCES[1], top_k=None), call(t, SENTENCES[2:4], top_k=2), call(t, SENTENCES[0], top_k=1), call(t, SENTENCES[:2], function_to_apply="sigmoid"),
            call(t, SENTENCES[0], function_to_apply="none", top_k=None), call(t, {"text": PAIRS[0][0], "text_pair": PAIRS[0][1]}), call(t, [{"text": a, "text_pair": b} for a, b in (PAIRS[0], PAIRS[3])], top_k=None),
            call(t, STORY, truncation=True, top_k=None), *more]


def entities(*more):
    t = "token-classification"
    return [call(t, NER[0]), *(call(t, NER, aggregation_strategy=s) for s in ("none", "simple", "first", "average", "max")), call(t, TEXTS[8], aggregation_strategy="average"),
            call(t, NER[1], aggregation_strategy="first", ignore_labels=[]), call(t, NER[1], ignore_labels=["B-PER", "O"]), *(call(t, STORY[:900], aggregation_strategy=s, stride=20) for s in ("simple", "max")), *more]


def masks(m):
    t = "fill-mask"
    return [call(t, f"The light was first {m} by oil."), call(t, [f"Bread {m} because yeast turns sugar into gas.", f"{m} is the capital of Japan"], top_k=3),
            call(t, f"The {m} keeper counts the {m} that pass before {m}.", top_k=2), call(t, f"A {m} from Lisbon.", targets=["boat", "ship", "letter"]), call(t, f"{m}", top_k=1)]


def questions():
    t = "question-answering"
    ask = [{"question": q, "context": STORY} for q in QUESTIONS]
    return [call(t, ask[0]), call(t, ask), call(t, {"question": "Who wrote?", "context": TEXTS[1]}), call(t, ask[0], top_k=5), call(t, ask[1], max_seq_len=60, doc_stride=20), call(t, ask[1], max_seq_len=60, doc_stride=20, top_k=4),
            call(t, ask[2], handle_impossible_answer=True, top_k=3), call(t, ask[0], handle_impossible_answer=True, max_seq_len=50, doc_stride=10), call(t, ask[2], max_answer_len=3, top_k=3),
            call(t, ask[0], align_to_words=False, top_k=3), call(t, ask[2], max_question_len=4), call(t, {"question": "What?", "context": "x y"}, handle_impossible_answer=True, top_k=3), call(t, {"question": "Which words?", "context": TEXTS[7] + " " + TEXTS[14] + " " + TEXTS[8]}, top_k=4)]


def ranking():
    documents = [*TEXTS[:8], STORY]
    return [call("cross-encoder.predict", PAIRS), call("cross-encoder.predict", PAIRS[0]), call("cross-encoder.rank", {"query": QUESTIONS[2], "documents": documents}), call("cross-encoder.rank", {"query": "bread", "documents": documents}, top_k=3, return_documents=True)]


IDENTITY = "torch.nn.modules.linear.Identity"
CASES = {
    "classify": {"family": "bert", "tokenizer": "wordpiece", "head": "classify", "config": labels("negative", "neutral", "positive"),
                 "calls": classification(call("cross-encoder.predict", PAIRS), call("cross-encoder.predict", PAIRS, apply_softmax=True))},
    "classify-multi": {"family": "roberta", "tokenizer": "bpe", "head": "classify", "config": labels("harbour", "kitchen", "weather", "money") | {"problem_type": "multi_label_classification"}, "calls": classification()},
    "rerank": {"family": "bert", "tokenizer": "wordpiece", "head": "classify", "config": labels("LABEL_0"), "calls": [*ranking(), *classification()[:3]]},
    "rerank-identity": {"family": "modernbert", "tokenizer": "bpe", "head": "classify", "config": labels("LABEL_0") | {"sentence_transformers": {"activation_fn": IDENTITY, "version": "4.0.1"}}, "calls": ranking()},
    "rerank-regression": {"family": "xlm-roberta", "tokenizer": "unigram", "head": "classify", "config": labels("LABEL_0") | {"problem_type": "regression", "sbert_ce_default_activation_function": IDENTITY},
                          "calls": [*ranking()[:3], *classification()[:3]]},
    "ner": {"family": "bert", "tokenizer": "wordpiece", "head": "ner", "config": labels(*PEOPLE), "calls": entities()},
    "ner-bpe": {"family": "roberta", "tokenizer": "bpe", "head": "ner", "config": labels(*PEOPLE), "calls": entities()},
    "ner-unigram": {"family": "camembert", "tokenizer": "unigram", "head": "ner", "config": labels("O", "PER", "LOC"), "calls": entities()},
    "mask": {"family": "bert", "tokenizer": "wordpiece", "head": "mlm", "config": {}, "calls": masks("[MASK]")},
    "mask-bpe": {"family": "roberta", "tokenizer": "bpe", "head": "mlm", "config": {}, "calls": masks("<mask>")[:3] + masks("<mask>")[4:]},
    "qa": {"family": "bert", "tokenizer": "wordpiece", "head": "qa", "config": {}, "calls": questions()},
    "qa-bpe": {"family": "roberta", "tokenizer": "bpe", "head": "qa", "config": {}, "calls": questions()},
    "qa-unigram": {"family": "xlm-roberta", "tokenizer": "unigram", "head": "qa", "config": {}, "calls": questions()},
}


def plain(v):
    """JSON's types, floats as f32 prints them."""
    if isinstance(v, dict): return {k: plain(x) for k, x in v.items()}
    if isinstance(v, (list, tuple)): return [plain(x) for x in v]
    if isinstance(v, np.ndarray): return plain(v.tolist())
    if isinstance(v, (float, np.floating)): return float(np.format_float_positional(np.float32(v), unique=True)) if np.isfinite(v) else v
    return int(v) if isinstance(v, np.integer) else v


def same(a, b, tolerance):
    """Equal but for floats, which may differ by `tolerance` of the larger of one and themselves."""
    if isinstance(a, float) and isinstance(b, (float, int)): return abs(a - b) <= tolerance * max(1, abs(b))
    if isinstance(a, dict): return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k], tolerance) for k in a)
    if isinstance(a, list): return isinstance(b, list) and len(a) == len(b) and all(map(lambda x, y: same(x, y, tolerance), a, b))
    return a == b


def runner(folder, shift=0.0):
    """A function that answers calls with the folder's model, its weights moved by `shift`."""
    made = {}
    @torch.no_grad()
    def moved(model):
        g = torch.Generator().manual_seed(9)
        for p in model.parameters(): p.mul_(1 + shift * torch.randn(p.shape, generator=g))
    def answer(c):
        name = c["task"].split(".")[0]
        if name not in made:
            if name == "cross-encoder":
                from sentence_transformers import CrossEncoder
                made[name] = CrossEncoder(folder, device="cpu", model_kwargs={"dtype": torch.float32})
            else: made[name] = transformers.pipeline(name, model=folder, device="cpu", dtype=torch.float32)
            moved(made[name].model if name != "cross-encoder" else made[name])
        options = dict(c["options"])
        if c["task"] == "cross-encoder.predict": return plain(made[name].predict(c["inputs"], **options))
        if c["task"] == "cross-encoder.rank": return plain(made[name].rank(**c["inputs"], **options))
        if name != "question-answering": return plain(made[name](c["inputs"], **options))
        one = isinstance(c["inputs"], dict)
        asked = c["inputs"] if one else {k: [x[k] for x in c["inputs"]] for k in ("question", "context")}
        return plain(made[name](**asked, **options))
    return answer


def available(c): return (c["task"] != "question-answering") if FIVE else not c["task"].startswith("cross-encoder")


def write(root, name, spec):
    folder, seed = os.path.join(root, name), zlib.crc32(name.encode()) + spec.get("seed", 0)
    path = os.path.join(folder, "expected.json")
    if FIVE:
        shutil.rmtree(folder, ignore_errors=True)
        t = write_tokenizer(folder, spec["tokenizer"], 128)
        write_model(folder, spec["family"], t, seed, spec["head"], positions=130 if spec["family"] in ("roberta", "xlm-roberta", "camembert") else 128, **spec["config"])
        loaded = transformers.AutoTokenizer.from_pretrained(folder)
        for a, b in PAIRS: assert loaded(a, b)["input_ids"] == t.encode(a, b).ids, f"{name}: transformers makes another tokenizer of the files"
    known = {json.dumps([c["task"], c["inputs"], c["options"]]): c for c in (json.load(open(path))["calls"] if os.path.exists(path) else [])}
    calls, run, moved = [], runner(folder), runner(folder, 1e-5)
    by = f"transformers {transformers.__version__}"
    for c in spec["calls"]:
        old = known.get(json.dumps([c["task"], c["inputs"], c["options"]]))
        if not available(c):
            if old: calls.append(old)
            continue
        output, shifted = run(c), moved(c)
        assert same(output, shifted, 2e-3), f"{name} {c['task']} {c['options']}: decided by rounding: {output} / {shifted}"
        if FIVE or c["task"] == "question-answering":
            writer = by
            if c["task"].startswith("cross"):
                import sentence_transformers
                writer = f"sentence-transformers {sentence_transformers.__version__}"
            calls.append(c | {"output": output, "by": writer})
        else:
            assert same(output, old["output"], 1e-5), f"{name} {c['task']} {c['options']}: transformers 4 answers {output}, 5 {old['output']}"
            calls.append(old)
    with open(path, "w", encoding="utf-8") as f:
        f.write('{ "calls": [\n' + ",\n".join(json.dumps(c, ensure_ascii=False) for c in calls) + "\n] }\n")
    size = sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder))
    print(f"ok   {name:20} {len(calls):2} calls {size / 1024:5.0f} KB", flush=True)
    return size


if __name__ == "__main__":
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "../fixtures/tasks")
    total, failed = 0, 0
    for name, spec in CASES.items():
        try: total += write(root, name, spec)
        except Exception as e:
            if os.environ.get("RAISE"): raise
            failed += 1; print(f"FAIL {name:20} {type(e).__name__}: {str(e)[:700]}", flush=True)
    print(f"{len(CASES)} cases, {failed} failed, {total / 1024:.0f} KB")
    sys.exit(failed > 0)
