"""Fixtures of tests/tokenizer: what transformers' fast tokenizers make of a mixed corpus, for one small tokenizer of each kind.

    /opt/oracle/bin/python tests/oracle/tokenizer_corpus.py            # writes tests/fixtures/tokenizers/
    /opt/oracle/bin/python tests/oracle/tokenizer_corpus.py DIR SEED N # N random strings instead of the corpus, into DIR (a fuzz run)

transformers 5.23, tokenizers 0.23.3, sentencepiece 0.2.3 (its nmt_nfkc character map). BERT's own vocabulary comes from
models/default-embedder. Offsets are code points here; the tests convert them.
"""
import base64, gzip, json, os, random, sys, tempfile
import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders as D, models as M, normalizers as N, pre_tokenizers as P, processors as R, trainers as T
from transformers import PreTrainedTokenizerFast

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
BERT = next(p for p in (f"{ROOT}/models/default-embedder/tokenizer.json", f"{ROOT}/../shared/models/default-embedder/tokenizer.json") if os.path.exists(p))
OUT = sys.argv[1] if len(sys.argv) > 1 else f"{ROOT}/tests/fixtures/tokenizers"

# ---------------------------------------------------------------------------------------------------------------- texts
TRAIN = """The lighthouse keeper counts the ships that pass before midnight, and writes their names into a book.
Bread rises because yeast turns sugar into gas; a small model answers on the device and nothing leaves it.
Who wrote the letter that Anna Keller carried from Zürich to Lisbon in 1931? It's hers, she'll say, and we've read it.
Prices fell 3.5% to €12.40, the lowest since 2019 - don't wait! Visit https://example.com/a?b=c or write user_name@example.org.
Le garçon a mangé une crêpe à la crème brûlée; où est la bibliothèque? L'été, œuvre, cœur, naïve, déjà vu.
Die Straße führt über die Brücke; Größe, Übung, Äpfel, weiß. El niño comió piñas mañana. Ação, coração, não.
Привет, мир! Это короткий текст на русском языке, и ещё одна строка про ёлку.
Η γρήγορη αλεπού πηδά πάνω από τον σκύλο. ΟΔΟΣ οδός Σίσυφος.
東京は日本の首都です。カタカナとひらがな。ガギグゲゴ。北京是中国的首都,我们学习机器学习。
안녕하세요 세계, 한국어 문장입니다. 서울은 대한민국의 수도입니다.
مرحبا بالعالم، هذه جملة قصيرة. السَّلَامُ عَلَيْكُمْ
नमस्ते दुनिया, यह एक छोटा वाक्य है। किताब
สวัสดีชาวโลก ภาษาไทยไม่มีช่องว่าง
שלום עולם, זה משפט קצר. שָׁלוֹם
Tiếng Việt có nhiều dấu: được, nghĩa, phở. İstanbul'da ılık çay içtim.
I am happy 😀 and 👍🏽 the family 👨‍👩‍👧‍👦 is here 🇫🇷 ❤️ 1️⃣.
""".split("\n")[:-1]

CORPUS = [
    "", " ", "  ", "\t", "\n", " \n\t ", "\u00a0", "\u3000", "\u200b", "\ufeff", "\u0000", "\u0007\u0008", "a", "A", "é", "e\u0301", "中", "😀", ".", "##", "▁", "Ġ", "\u00ad", "ß", "İ", "Σ",
    "Hello, world!", "hello world", " hello world", "hello world ", "  hello   world  ", "Hello\tworld\nagain\r\nand\x0bmore\x0chere", "the lighthouse keeper", "THE LIGHTHOUSE KEEPER",
    "It's hers, we've read it, they'll say I'm late; don't y'all?", "'s 't 're IT'S", "O’Brien’s “quoted” text – with dashes — and… ellipsis", "``quoted'' text", "a''b``c", "x''", "3.5% of €12.40 is $0.43 (approx.)",
    "1234567890", "12 34,567.89", "1st 2nd 3rd", "٣٤٥ ४५६ ５６７ ²³ ½ Ⅷ ①", "v1.2.3-beta+build.4", "https://example.com/a/b?c=d&e=f#g", "user_name@example.org", "C:\\Users\\x\\file.txt", "#hashtag @mention", "a_b__c",
    "(a)[b]{c}<d>", "!!!???...", "---___===", "a.b.c.d", "e.g., i.e., etc.", "a/b\\c|d", "^~`'\"", "$£¥₿", "+−×÷=≠≈", "«guillemets» „unten“",
    "café crème brûlée", "cafe\u0301 cre\u0300me bru\u0302le\u0301e", "naïve façade Ångström œuvre", "A\u030angstro\u0308m", "ḍ\u0307 and d\u0323\u0307 and d\u0307\u0323", "a\u0328\u0301\u0323b", "ậ a\u0302\u0323 a\u0323\u0302", "o\u0338\u0301 ǿ",
    "x\u0301\u0302\u0303\u0304y", "Z\u0351\u036b\u0343a\u0368\u0337l\u0321g\u034do", "\u0301leading mark", "trailing mark\u0301", " \u0301 mark on space", "\u0301", "q\u0307\u0323q\u0323\u0307", "ﬁnd the ﬂow: ﬀ ﬃ ﬄ ﬅ ﬆ", "ŉ ǰ ΐ ﬗ", "Ǆ ǅ ǆ Ĳ ĳ",
    "Straße STRASSE ẞ weiß", "ΟΔΟΣ ΣΑΣ Σ", "οδός ς σ", "İstanbul IĞDIR ılık i̇", "ǅ Ⅷ ⅷ ẞ", "K Å Ω", "ⓐ Ⓑ ㉈ ㋿", "Ｆｕｌｌ　ｗｉｄｔｈ １２３！", "ﾊﾝｶｸ ｶﾞ ﾊﾟ", "℃ ℡ № ™ ℠ ㎏ ㏒", "½ ¾ ⅓ ⅞", "x² y₃ mⁿ", "ªº ﷺ ﷲ", "㌀ ㍿ ㋀", "…‥․",
    "東京は日本の首都です。", "北京是中国的首都", "中文English混合123文本", "カタカナ ガギグゲゴ", "カ\u3099キ\u3099 か\u3099 は\u309a", "𠀀𠀁 𪚥 𫝀 and 𠮷野家", "丽 豈 更 切 (compat)", "㐀㐁 䶵 〇 々 〆", "漢字\u200d仮名", "日本語、テスト。「引用」",
    "안녕하세요 세계", "\u1112\u1161\u11ab\u1100\u1173\u11af", "한국어\u11a8", "각 \u1100\u1161\u11a8 가\u11a8", "ㄱㄴㄷ ㅏㅑ", "서울은 대한민국의 수도입니다.",
    "مرحبا بالعالم", "السَّلَامُ عَلَيْكُمْ", "ﻻ ﷲ ﺍﻟﻌﺮﺑﻴﺔ", "،؛؟ ٪", "שלום עולם", "שָׁלוֹם", "\u05e9\u05c1\u05b8 \ufb2a \ufb4f", "नमस्ते दुनिया", "क्षत्रिय ज़ \u0958 \u0915\u093c", "हिन्दी।", "বাংলা ভাষা", "தமிழ் மொழி கௌ", "తెలుగు", "ಕನ್ನಡ", "മലയാളം", "ગુજરાતી", "ਪੰਜਾਬੀ",
    "สวัสดีชาวโลก ำ", "ກຳ ລາວ", "မြန်မာ", "ខ្មែរ", "བོད་སྐད།", "ქართული ᲥᲐᲠᲗᲣᲚᲘ", "Հայերեն և", "አማርኛ", "Ꮳꮃꭹ ꮳꮃꭹ", "ᠮᠣᠩᠭᠣᠯ", "𐐀𐐨 Deseret", "𝐀𝐁 𝒞 𝔻 𝟘𝟙", "🄰 🅱 🈁",
    "Привет, мир!", "ПРИВЕТ Ёлка ёлка \u0435\u0308лка", "й и\u0306 Й", "Η γρήγορη αλεπού", "ᾳ ᾼ ᾷ Ὦ ὦ", "Tiếng Việt được", "ế e\u0302\u0301 ặ", "ĳ Ĳ ŀ", "Łódź Gdańsk źdźbło", "Reykjavík þórður Æ ð", "Český Žižkov", "ñ Ñ n\u0303",
    "😀", "😀😀", "I am happy 😀!", "👍🏽", "👍🏿x", "👨‍👩‍👧‍👦", "👩🏽‍🚀 astronaut", "🇫🇷🇩🇪", "🏴󠁧󠁢󠁥󠁮󠁧󠁿 flag", "❤️ ❤ \u2764\ufe0e", "1️⃣ #️⃣ *️⃣", "☺︎ ☺️", "🫠🥹 newer", "a😀b", "😀\u0301", "🤷‍♂️ shrug ¯\\_(ツ)_/¯", "\U0001f9d1\u200d\U0001f4bb code", "🀄🃏", "⌚️⏰",
    "a\u200bb", "a\u200cb\u200dc", "a\u2060b", "a\ufeffb", "\ufeffBOM first", "soft\u00adhyphen", "a\u00a0b\u2009c\u202fd\u3000e", "a\u2028b\u2029c", "a\u0085b", "a\u180eb", "\u202eright to left\u202c", "\u2066isolate\u2069", "a\u0000b", "a\u0001b\u001fc\u007fd", "\u0080\u009f c1", "\u0000start", "end\u0000", "a\ufffdb", "\ufffd", "\uffff \ufffe", "\U000e0001tag\U000e007f", "\ue000\uf8ff private", "\U0010ffff\U000f0000", "a\u034fb", "x\ufe0f\ufe00", "\u1680ogham\u2000\u200a",
    "[CLS] in text [SEP]", "[MASK]", "a [MASK] b", "a[MASK]b", "a  [MASK]  b", "[mask] [Mask]", "<mask>", "a <mask> b", "a<mask>b", "a   <mask>   b", "\t<mask>\n", "<mask><mask>", "<mask> <mask>", "<s>hello</s>", "<s> hello </s>", "</s>", "<unk> <pad>", "[UNK] [PAD]", "[CLS", "CLS]", "<mas k>", "<|endoftext|>", "a <|endoftext|> b", "[SEP][SEP]", "▁hello▁world", "hello ▁ world", "Ġhello", "##ing", "a ##b",
    "New York", "new york city", "NEW YORK", "I love New  York", "newyork", "Snowman ☃ and\u2603and", "xNew Yorkx", "token_x", "TOKEN_X token_xy", "tokén_x", "<extra_id_0> <extra_id_1>", "a<extra_id_0>b",
    "unbelievably supercalifragilisticexpialidocious", "a" * 30, "a" * 101, "ab" * 60, "é" * 120, "中" * 40, "😀" * 25, "x1y2z3", "aaaaaaaaaaaaaaaaaaaab", "internationalization antidisestablishmentarianism", "zzzz qqqq xxxx", "ñandú" * 8, "0" * 50, "." * 40, "-" * 25 + "a", "!?" * 15, " " * 20, " " * 20 + "a", "a" + " " * 20, "\n" * 10, "a\n\n\nb", "\t\ta\t\tb", " a  b   c    d",
    "snake_case camelCase PascalCase kebab-case SCREAMING_CASE", "if (x == 1) { return y[0]; } // comment", "def f(x):\n    return x + 1\n", "<html><body class=\"a\">text</body></html>", "{\"key\": [1, 2.5, null]}", "SELECT * FROM t WHERE a='b';", "\\frac{a}{b} $x^2$", "e^{i\\pi}+1=0", "192.168.0.1:8080", "2024-01-31T23:59:59Z", "+1 (555) 123-4567", "ISBN 978-3-16-148410-0", "50°C, 12′ 34″", "A+B/C&D", "R&D AT&T", "Dr. O'Brien's", "l'été qu'il d'œuvre", "rock'n'roll", "mother-in-law", "well—known", "10,000,000", "€1.5m", "no.1", "a.m. p.m.",
    "mixed 中文 and ไทย and हिन्दी and 한국어 and עברית", "αβγ абв abc", "Ａbc Ｄef", "cafécafé", "中a文b", "a中", "1中2", "中.文", "🇯🇵日本", "x😀中é", "é中😀x\u0301", "\u0915\u094d\u200d\u0937", "n\u0303\u0303", "A\u0300\u0301\u0302B", "\u1e9b\u0323", "\u017f\u017f", "\u0340\u0341\u0343\u0344", "\u2126\u212b\u212a", "\u0f73\u0f75", "\u1100\u1161\u0301", "\U0001d15e\U0001d157\u0301",
    *TRAIN,
    "The quick brown fox jumps over the lazy dog. " * 4,
    "To bake a loaf you need flour, water, salt, time and a hot oven; most people lack only the time, and those who do not lack it lack the oven. " * 2,
    "Der Zug fährt um 8:45 Uhr ab. 東京タワーは333メートル。 Цена — 5 000 ₽. السعر ٥٠. 😀👍🏽 cafe\u0301 <mask> [MASK] New York\n" * 3,
    "Numbers: 1, 22, 333, 4444; words: a bb ccc dddd; accents: é èé êëé; marks: e\u0301e\u0300e\u0301; spaces:  x   y    z",
]

# Question, context; also the pairs of the pair tests.
PAIRS = [
    ("Who wrote the letter?", "The letter that Anna Keller carried from Zürich to Lisbon was written in 1931 by the lighthouse keeper, who counts the ships that pass before midnight. Bread rises because yeast turns sugar into gas."),
    ("Où est la crème?", "Le garçon a mangé une crêpe à la cre\u0300me bru\u0302le\u0301e 😀; où est la bibliothèque? 東京は日本の首都です。 <mask> New York [MASK]  x  y   z " * 2),
    ("東京", "北京是中国的首都,我们学习机器学习。" * 5),
    ("a", "b"), ("", "b"), ("a", ""), ("", ""), ("  ", "\u0000"), ("hello hello hello hello hello hello hello hello hello", "world"), ("x y z", "x y z"),
    ("😀👍🏽", "👨‍👩‍👧‍👦 family  and\tflags 🇫🇷🇩🇪" * 3), ("What's 3.5%?", "Prices fell 3.5% to €12.40,\n\n  the lowest since 2019 - don't wait! " * 3),
]

def fuzz(seed, count):
    """Random strings out of everything that makes trouble."""
    rng = random.Random(seed)
    blocks = [(32, 126), (32, 126), (32, 126), (0, 160), (0xc0, 0x24f), (0x300, 0x36f), (0x370, 0x52f), (0x590, 0x6ff), (0x900, 0x97f), (0xe00, 0xe7f), (0x1100, 0x11ff), (0x1e00, 0x1fff), (0x2000, 0x206f), (0x2070, 0x218f),
              (0x2460, 0x24ff), (0x2e80, 0x30ff), (0x3200, 0x33ff), (0x4e00, 0x4eff), (0xac00, 0xacff), (0xf900, 0xfaff), (0xfb00, 0xfdff), (0xfe00, 0xfeff), (0xff00, 0xffff), (0x1d100, 0x1d1ff), (0x1d400, 0x1d7ff), (0x1f1e6, 0x1f6ff), (0x20000, 0x200ff), (0x2f800, 0x2fa1d), (0xe0000, 0xe007f), (0, 0x10ffff)]
    pieces = [s for s in CORPUS if 0 < len(s) < 12] + ["<mask>", "[MASK]", "New York", "token_x", " ", "  ", "\n", "\u0301", "\u200d", "the", "and"]
    out = []
    for _ in range(count):
        s = ""
        focus = rng.choice(blocks)
        for _ in range(rng.randint(0, 12)):
            k = rng.random()
            if k < .3: s += rng.choice(pieces)
            elif k < .5: s += rng.choice(TRAIN)[:rng.randint(0, 9)]
            else:
                for _ in range(rng.randint(1, 4)):
                    lo, hi = focus if rng.random() < .6 else rng.choice(blocks)
                    c = rng.randint(lo, hi)
                    if not 0xd800 <= c < 0xe000: s += chr(c)
        out.append(s)
    return out

# ----------------------------------------------------------------------------------------------------------- tokenizers
def charsmap():
    """SentencePiece's nmt_nfkc, as XLM-R, ALBERT, T5 and DeBERTa carry it: field 2 of field 3 of a model trained on anything."""
    def fields(b):
        i = 0
        def varint():
            nonlocal i
            value = shift = 0
            while True:
                byte = b[i]; i += 1
                value |= (byte & 127) << shift; shift += 7
                if byte < 128: return value
        while i < len(b):
            key = varint()
            if key & 7 == 0: yield key >> 3, varint(); continue
            size = varint() if key & 7 == 2 else 4 if key & 7 == 5 else 8
            yield key >> 3, b[i:i + size]; i += size
    with tempfile.TemporaryDirectory() as folder:
        sentencepiece.SentencePieceTrainer.Train(sentence_iterator=iter(["one two three four five"] * 9), model_prefix=f"{folder}/m", vocab_size=30, normalization_rule_name="nmt_nfkc", hard_vocab_limit=False, minloglevel=2)
        with open(f"{folder}/m.model", "rb") as f: spec = next(v for k, v in fields(f.read()) if k == 3)
    return next(v for k, v in fields(spec) if k == 2)

CHARSMAP = charsmap()
BERT_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]

def made(model, trainer, normalizer=None, pre=None, post=None, decoder=None, added=()):
    """Trains a tokenizer; `post` is a function of the ids."""
    t = Tokenizer(model)
    if normalizer: t.normalizer = normalizer
    if pre: t.pre_tokenizer = pre
    t.train_from_iterator(TRAIN * 4, trainer)
    if added: (t.add_special_tokens if added[0].special else t.add_tokens)(list(added))
    if post: t.post_processor = post(t.token_to_id)
    if decoder: t.decoder = decoder
    return t

def bert_template(i): return R.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[(t, i(t)) for t in ("[CLS]", "[SEP]")])
def roberta_template(i): return R.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[(t, i(t)) for t in ("<s>", "</s>")])
def unigram(size, special, unk): return T.UnigramTrainer(vocab_size=size, special_tokens=special, unk_token=unk, show_progress=False)

def build():
    out = {}
    def wordpiece(**k): return T.WordPieceTrainer(vocab_size=700, special_tokens=BERT_SPECIAL, show_progress=False, **k)
    bert = dict(cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]", unk_token="[UNK]", mask_token="[MASK]")
    roberta = dict(bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>", pad_token="<pad>", unk_token="<unk>", mask_token="<mask>")

    out["wordpiece-uncased"] = made(M.WordPiece(unk_token="[UNK]"), wordpiece(), N.BertNormalizer(), P.BertPreTokenizer(),
        lambda i: R.BertProcessing(("[SEP]", i("[SEP]")), ("[CLS]", i("[CLS]"))), D.WordPiece()), bert
    t = made(M.WordPiece(unk_token="[UNK]", max_input_chars_per_word=20), wordpiece(), N.BertNormalizer(lowercase=False, strip_accents=False), P.BertPreTokenizer(), bert_template, D.WordPiece(cleanup=False))
    t.add_tokens([AddedToken("New York", single_word=True), AddedToken("token_x", normalized=True), AddedToken("☃", lstrip=True, rstrip=True)])
    out["wordpiece-cased"] = t, bert
    t = made(M.WordPiece(unk_token="[UNK]"), wordpiece(), N.BertNormalizer(lowercase=True, strip_accents=False), P.BertPreTokenizer(), bert_template, D.WordPiece())
    t.add_tokens([AddedToken("New York", normalized=True), AddedToken("Tokén_X", normalized=True, rstrip=True)])
    out["wordpiece-accents"] = t, bert

    def bytes_bpe(special): return T.BpeTrainer(vocab_size=600, special_tokens=special, initial_alphabet=P.ByteLevel.alphabet(), show_progress=False)
    mask = AddedToken("<mask>", lstrip=True, special=True, normalized=False)
    out["bpe-roberta"] = made(M.BPE(), bytes_bpe(ROBERTA_SPECIAL), None, P.ByteLevel(add_prefix_space=False),
        lambda i: R.RobertaProcessing(("</s>", i("</s>")), ("<s>", i("<s>")), trim_offsets=True, add_prefix_space=False), D.ByteLevel(), [mask]), roberta
    out["bpe-roberta-prefix"] = made(M.BPE(), bytes_bpe(ROBERTA_SPECIAL), None, P.ByteLevel(add_prefix_space=True),
        lambda i: R.RobertaProcessing(("</s>", i("</s>")), ("<s>", i("<s>")), trim_offsets=True, add_prefix_space=True), D.ByteLevel(), [mask]), roberta
    out["bpe-gpt2"] = made(M.BPE(), bytes_bpe(["<|endoftext|>"]), None, P.ByteLevel(add_prefix_space=False), lambda i: R.ByteLevel(trim_offsets=False), D.ByteLevel()), dict(bos_token="<|endoftext|>", eos_token="<|endoftext|>", unk_token="<|endoftext|>")
    out["bpe-modernbert"] = made(M.BPE(), bytes_bpe(BERT_SPECIAL), N.NFC(), P.ByteLevel(add_prefix_space=False), bert_template, D.ByteLevel(), [AddedToken("[MASK]", lstrip=True, special=True, normalized=False)]), bert
    split = Regex(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    out["bpe-llama3"] = made(M.BPE(ignore_merges=True), bytes_bpe(["<|begin_of_text|>", "<|endoftext|>"]), None, P.Sequence([P.Split(split, "isolated"), P.ByteLevel(add_prefix_space=False, use_regex=False)]),
        lambda i: R.Sequence([R.ByteLevel(trim_offsets=True), R.TemplateProcessing(single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1", special_tokens=[("<|begin_of_text|>", i("<|begin_of_text|>"))])]), D.ByteLevel()), dict(bos_token="<|begin_of_text|>", eos_token="<|endoftext|>")
    fallback = ROBERTA_SPECIAL + [f"<0x{b:02X}>" for b in range(256)]
    t = made(M.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True), T.BpeTrainer(vocab_size=700, special_tokens=fallback, limit_alphabet=60, show_progress=False), N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")]), None,
        lambda i: R.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", i("<s>"))]), D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)]))
    out["bpe-llama2"] = t, dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    out["bpe-clip"] = made(M.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>"), T.BpeTrainer(vocab_size=600, special_tokens=["<|startoftext|>", "<|endoftext|>"], end_of_word_suffix="</w>", show_progress=False),
        N.Sequence([N.NFC(), N.Replace(Regex(r"\s+"), " "), N.Lowercase()]), P.Sequence([P.Split(Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed", invert=True)]),
        lambda i: R.RobertaProcessing(("<|endoftext|>", i("<|endoftext|>")), ("<|startoftext|>", i("<|startoftext|>")), trim_offsets=False, add_prefix_space=False), D.BPEDecoder("</w>")), dict(bos_token="<|startoftext|>", eos_token="<|endoftext|>", unk_token="<|endoftext|>")
    out["bpe-fuse"] = made(M.BPE(unk_token="<unk>", fuse_unk=True), T.BpeTrainer(vocab_size=200, special_tokens=ROBERTA_SPECIAL, limit_alphabet=40, show_progress=False), N.Sequence([N.NFD(), N.StripAccents()]), P.Metaspace(prepend_scheme="never"), None, D.Metaspace(prepend_scheme="never")), {k: v for k, v in roberta.items() if k != "mask_token"}

    out["unigram-xlmr"] = made(M.Unigram(), unigram(500, ROBERTA_SPECIAL, "<unk>"), N.Precompiled(CHARSMAP), P.Sequence([P.WhitespaceSplit(), P.Metaspace()]), roberta_template, D.Metaspace(), [mask]), roberta
    out["unigram-albert"] = made(M.Unigram(), unigram(400, ["<pad>", "<unk>", "[CLS]", "[SEP]"], "<unk>"), N.Sequence([N.Replace("``", '"'), N.Replace("''", '"'), N.NFKD(), N.StripAccents(), N.Lowercase(), N.Precompiled(CHARSMAP), N.Replace(Regex(" {2,}"), " ")]), P.Metaspace(), bert_template, D.Metaspace(),
        [AddedToken("[MASK]", lstrip=True, special=True, normalized=False)]), dict(bert, unk_token="<unk>", pad_token="<pad>")
    out["unigram-deberta"] = made(M.Unigram(), unigram(500, BERT_SPECIAL, "[UNK]"), N.Sequence([N.Strip(), N.Precompiled(CHARSMAP), N.Replace(Regex(" {2,}"), " ")]), P.Metaspace(), bert_template, D.Metaspace()), bert
    out["unigram-t5"] = made(M.Unigram(), unigram(400, ["<pad>", "</s>", "<unk>", "<extra_id_0>", "<extra_id_1>"], "<unk>"), N.Precompiled(CHARSMAP), P.Metaspace(prepend_scheme="first"), lambda i: R.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", i("</s>"))]), D.Metaspace(prepend_scheme="first")), dict(eos_token="</s>", unk_token="<unk>", pad_token="<pad>")
    out["unigram-nfkc"] = made(M.Unigram(), unigram(400, ROBERTA_SPECIAL, "<unk>"), N.Sequence([N.NFKC(), N.Lowercase()]), P.Metaspace(), roberta_template, D.Metaspace(), [mask]), roberta

    def words(**k): return T.WordLevelTrainer(vocab_size=150, special_tokens=["[UNK]"], show_progress=False)
    level = dict(unk_token="[UNK]")
    out["wordlevel-whitespace"] = made(M.WordLevel(unk_token="[UNK]"), words(), N.NFKD(), P.Sequence([P.Whitespace(), P.Digits(individual_digits=False), P.Punctuation("contiguous")])), level
    out["wordlevel-previous"] = made(M.WordLevel(unk_token="[UNK]"), words(), N.NFC(), P.Split(Regex(r"[\s\p{P}]"), "merged_with_previous")), level
    out["wordlevel-next"] = made(M.WordLevel(unk_token="[UNK]"), words(), N.Strip(left=True, right=False), P.Sequence([P.Split(" ", "merged_with_next"), P.Digits(individual_digits=True), P.Punctuation("merged_with_next")])), level
    out["wordlevel-contiguous"] = made(M.WordLevel(unk_token="[UNK]"), words(), N.Replace(Regex(r"[aeiou]"), "♢♢"), P.Sequence([P.CharDelimiterSplit("-"), P.Split(Regex(r"\w"), "contiguous"), P.FixedLength(3)])), level
    return out

# --------------------------------------------------------------------------------------------------------------- output
def compact(e):
    """One encoding: ids, offsets, type ids, sequence ids (2 for none), special mask, word ids (-1 for none)."""
    return [e.ids, [x for o in e.offsets for x in o], e.type_ids, [2 if s is None else s for s in e.sequence_ids], e.special_tokens_mask, [-1 if w is None else w for w in e.word_ids]]

def fast(name, t, special):
    return PreTrainedTokenizerFast(tokenizer_object=t, clean_up_tokenization_spaces=False, **special)

def calls(tok, texts, name):
    def enc(*a, **k):
        try: b = tok(*a, return_offsets_mapping=True, return_special_tokens_mask=True, **k)
        except BaseException as error: return {"error": str(error).split("\n")[0][:80]}
        return [compact(e) for e in (b._encodings or b.encodings)]
    single = []
    for text in texts:
        e = enc(text)[0]
        single.append([e[0], e[1], e[5]])
    pair = [{"pair": i, "options": {}, "windows": enc(a, b)} for i, (a, b) in enumerate(PAIRS)]
    cut = []
    for i, (a, b) in enumerate(PAIRS):
        for options in ({"truncation": True, "max_length": 16}, {"truncation": "only_first", "max_length": 14}, {"truncation": "only_second", "max_length": 24}, {"truncation": True, "max_length": 9, "add_special_tokens": False},
                        {"truncation": "only_second", "max_length": 32, "stride": 8, "return_overflowing_tokens": True}, {"truncation": "longest_first", "max_length": 40, "stride": 3, "return_overflowing_tokens": True}):
            cut.append({"pair": i, "options": options, "windows": enc(a, b, **options)})
        for options in ({"truncation": True, "max_length": 8}, {"truncation": True, "max_length": 12, "stride": 4, "return_overflowing_tokens": True}):
            cut.append({"text": i, "options": options, "windows": enc(b, **options)})
    return {"single": single, "pairs": pair + cut}

def write(path, data):
    with gzip.GzipFile(path, "wb", mtime=0) as f: f.write(data if isinstance(data, bytes) else json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode())

def main():
    os.makedirs(OUT, exist_ok=True)
    texts = fuzz(int(sys.argv[2]), int(sys.argv[3])) if len(sys.argv) > 3 else CORPUS
    kinds = {"bert": (Tokenizer.from_file(BERT), dict(cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]", unk_token="[UNK]", mask_token="[MASK]")), **build()}
    write(f"{OUT}/corpus.json.gz", {"texts": texts, "pairs": PAIRS})
    write(f"{OUT}/nmt_nfkc.bin.gz", CHARSMAP)
    charsmap_text = base64.b64encode(CHARSMAP).decode()
    for name, (t, special) in kinds.items():
        t.no_truncation(); t.no_padding()
        spec = None if name == "bert" else json.loads(t.to_str().replace(charsmap_text, "nmt_nfkc"))
        tok = fast(name, t, special)
        result = calls(tok, texts, name)
        ids = [e[0] for e in result["single"]]
        decoded = [[tok.decode(i), tok.decode(i, skip_special_tokens=True)] for i in ids[:120]]
        write(f"{OUT}/{name}.json.gz", {"tokenizer": spec, "config": special, **result, "decoded": decoded})
    print(sum(os.path.getsize(os.path.join(OUT, f)) for f in os.listdir(OUT)), "bytes in", OUT, len(texts), "texts")

if __name__ == "__main__":
    main()
