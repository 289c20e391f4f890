"""The long check of the tokenizer: ids and offsets of the `tokenizers` crate for many texts and tokenizers of real size.

    /opt/oracle/bin/python tests/oracle/tokenizer_many.py DIR [N]                      # N texts, default 100000; DIR is not committed
    TOKENIZER_MANY=DIR npx vitest run tests/tokenizer/many.test.ts

Texts: sentences of ../shared/data cut at random places, and the random strings of tokenizer_corpus.py. Tokenizers: every kind of that
script, all tokenizer.json files at hand, and larger vocabularies trained here. Per tokenizer and text: the number of tokens, the ids,
and the offsets in code points, all u32, little-endian.
"""
import glob, json, os, random, sys
OUT = sys.argv[1]; COUNT = int(sys.argv[2]) if len(sys.argv) > 2 else 100000
sys.argv = sys.argv[:1]
import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders as D, models as M, normalizers as N, pre_tokenizers as P, trainers as T
import tokenizer_corpus as C

SHARED = f"{C.ROOT}/../shared"
STORIES = json.load(open(f"{SHARED}/data/tinystories-200.json"))
STORIES = [s if isinstance(s, str) else s["text"] for s in (STORIES if isinstance(STORIES, list) else next(v for v in STORIES.values() if isinstance(v, list)))]
PAIRS = [part for line in open(f"{SHARED}/data/sts-pairs.tsv", encoding="utf8") for part in line.rstrip("\n").split("\t") if len(part) > 8]
TEXT = STORIES + PAIRS + C.TRAIN * 20

def texts():
    rng = random.Random(11)
    out = [*C.CORPUS, *PAIRS, *STORIES]
    half = (COUNT - len(out)) // 2
    for _ in range(half):
        s = rng.choice(TEXT); at = rng.randrange(len(s)); s = s[at:at + rng.randint(1, 120)]
        if rng.random() < .3: s = s.upper() if rng.random() < .5 else s.title()
        if rng.random() < .3: at = rng.randrange(len(s) + 1); s = s[:at] + rng.choice(C.CORPUS)[:12] + s[at:]
        out.append(s)
    return out + C.fuzz(12, COUNT - len(out))

def tokenizers():
    for name, (t, _) in C.build().items(): yield name, t
    for path in sorted({*glob.glob(f"{C.ROOT}/tests/fixtures/**/tokenizer.json", recursive=True), *glob.glob(f"{SHARED}/models/*/tokenizer.json"), *glob.glob(f"{C.ROOT}/models/*/tokenizer.json")}):
        yield "file-" + os.path.relpath(os.path.dirname(path), C.ROOT).strip("./").replace("/", "-"), Tokenizer.from_file(path)
    def big(model, trainer, normalizer=None, pre=None):
        t = Tokenizer(model)
        if normalizer: t.normalizer = normalizer
        if pre: t.pre_tokenizer = pre
        t.train_from_iterator(TEXT, trainer)
        return t
    bytes_bpe = lambda: T.BpeTrainer(vocab_size=20000, special_tokens=["<s>", "</s>"], initial_alphabet=P.ByteLevel.alphabet(), show_progress=False)
    split = Regex(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    yield "big-wordpiece-uncased", big(M.WordPiece(unk_token="[UNK]"), T.WordPieceTrainer(vocab_size=12000, special_tokens=C.BERT_SPECIAL, show_progress=False), N.BertNormalizer(), P.BertPreTokenizer())
    yield "big-wordpiece-cased", big(M.WordPiece(unk_token="[UNK]"), T.WordPieceTrainer(vocab_size=12000, special_tokens=C.BERT_SPECIAL, show_progress=False), N.BertNormalizer(lowercase=False), P.BertPreTokenizer())
    yield "big-gpt2", big(M.BPE(), bytes_bpe(), None, P.ByteLevel(add_prefix_space=False))
    yield "big-llama3", big(M.BPE(ignore_merges=True), bytes_bpe(), None, P.Sequence([P.Split(split, "isolated"), P.ByteLevel(add_prefix_space=False, use_regex=False)]))
    yield "big-llama2", big(M.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True), T.BpeTrainer(vocab_size=8000, special_tokens=C.ROBERTA_SPECIAL + [f"<0x{b:02X}>" for b in range(256)], limit_alphabet=120, show_progress=False, max_token_length=16), N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")]), P.Metaspace(prepend_scheme="never"))
    # As Llama 2 has it: one word of the whole text.
    t = big(M.BPE(unk_token="<unk>", byte_fallback=True), T.BpeTrainer(vocab_size=4000, special_tokens=C.ROBERTA_SPECIAL + [f"<0x{b:02X}>" for b in range(256)], limit_alphabet=90, show_progress=False), N.Replace(" ", "▁"), P.Split("▁", "merged_with_next"))
    t.pre_tokenizer = None
    yield "big-llama2-whole", t
    # Without an unknown token and without some letters, which are left out: their neighbours meet.
    yield "big-bpe-gaps", big(M.BPE(), T.BpeTrainer(vocab_size=3000, limit_alphabet=30, show_progress=False), None, P.WhitespaceSplit())
    yield "big-unigram-xlmr", big(M.Unigram(), C.unigram(12000, C.ROBERTA_SPECIAL, "<unk>"), N.Precompiled(C.CHARSMAP), P.Sequence([P.WhitespaceSplit(), P.Metaspace()]))
    yield "big-unigram-t5", big(M.Unigram(), C.unigram(8000, ["<pad>", "</s>", "<unk>"], "<unk>"), N.Precompiled(C.CHARSMAP), P.Metaspace(prepend_scheme="first"))

def main():
    os.makedirs(OUT, exist_ok=True)
    all_texts = texts()
    json.dump(all_texts, open(f"{OUT}/texts.json", "w"))
    for name, t in tokenizers():
        t.no_truncation(); t.no_padding()
        t.save(f"{OUT}/{name}.json")
        numbers = []
        for at in range(0, len(all_texts), 5000):
            for e in t.encode_batch(all_texts[at:at + 5000]): numbers += [len(e.ids), *e.ids, *[x for o in e.offsets for x in o]]
        np.array(numbers, dtype="<u4").tofile(f"{OUT}/{name}.u32")
        print(name, t.get_vocab_size(), flush=True)

if __name__ == "__main__": main()
