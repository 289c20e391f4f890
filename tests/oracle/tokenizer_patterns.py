"""Fixture of tests/tokenizer/pattern.test.ts: where the `tokenizers` crate (Oniguruma) finds regular expressions in a mixed corpus.

    /opt/oracle/bin/python tests/oracle/tokenizer_patterns.py            # writes tests/fixtures/tokenizers/patterns.json.gz

tokenizers 0.23.3. Offsets are code points. A pattern that is null was refused.
"""
import gzip, json, os
from tokenizers import Regex, pre_tokenizers as P

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../fixtures/tokenizers")
PATTERNS = [
    # GPT-2, CLIP, cl100k (two forms), o200k, Qwen2, DeepSeek, BLOOM, StarCoder, SentencePiece's clean-up
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[一-龥぀-ゟ゠-ヿ]+",
    r" ?[^(\s|[.,!?…。，、।۔،])]+",
    r"(?:\r?\n)+|\p{N}",
    r" {2,}", r"\s+", r"\n{1,2}", r"[\s\p{P}]",
    # classes
    r"[[:alpha:]]+", r"[[:alnum:]_]+", r"[[:punct:][:digit:]]+", r"[[:^space:]]+", r"[[:upper:]][[:lower:]]*", r"[[:xdigit:]]{2}", r"[[:blank:]]+", r"[[:word:]]+",
    r"[[:alpha:]&&[^a-z]]+", r"[a-z&&[^aeiou]&&[^xyz]]+", r"[^a-z&&[aeiou]]+", r"[a-c[x-z]\d]+", r"[^[a-z][A-Z]]+", r"[]a]+", r"[^]a]+", r"[a-]+", r"[-a]+", r"[\w-]+", r"[\w.-]+@[\w.-]+", r"[+--]+", r"[\-.,]+", r"[\[\]]+", r"[a^]+", r"[$.*+?(){}|/]+", r"[&~!#@]+", r"[\W\d]+", r"[\D]+", r"[\S\n]+", r"[\h]+", r"[\x41-\x{5A}\u0061-\u007A]+", r"[\t\n\r]+", r"[^\W_]+",
    r"\p{Han}+", r"\p{Hiragana}+|\p{Katakana}+", r"\p{^L}+", r"\P{L}+", r"\P{^L}+", r"\p{Greek}+", r"\p{Lu}\p{Ll}*", r"\p{Alpha}+", r"\p{Word}+", r"\p{Punct}+", r"\p{Emoji}+", r"\p{Letter}+", r"\p{Script=Han}+", r"\p{Uppercase_Letter}+", r"[\p{Han}&&\p{L}]+",
    # escapes
    r"\w+", r"\W+", r"\d+", r"\D+", r"\h+", r"\H+", r"\S+", r"\bthe\b", r"\B\w", r"\A\w", r"\w\z", r"\w\Z", r"\$\d", r"\.", r"\x61", r"\u0061", r"\x{e9}", r"\-\/\"\'\#\@\ ", r"\t|\f|\v|\a|\e",
    # lines, dots
    r".+", r"^.", r".$", r"^\s*$", r"^\w+|\w+$",
    # groups
    r"(a)(b)?", r"(?<first>[a-z])\d", r"(?:ab)+", r"(?>a+)b", r"(?>\w+)\s", r"(?=t)\w+", r"(?!t)\b\w+", r"(?<=\s)\w", r"(?<!\s)\w", r"(?#comment)a", r"(a|b|)c", r"(?i:straße|É|i)", r"(?i:[a-c]+[^a-c])", r"(?i:[[a-z]&&[^aeiou]])", r"(?i:a)A|b", r"(?i:[^a-z]+)", r"(?i:\p{Lu})", r"(?i:\x41)",
    # quantifiers
    r"a{2}", r"a{2,}", r"a{2,3}", r"a{,2}b", r"a{2}+b", r"a{2,3}?", r"a{2}?b", r"a+?b", r"a*?b", r"a??b", r"a++b", r"a*+b", r"a?+ab", r"a+*b", r"(?:a{2}){2}", r"\w+?\b", r"(ab?)*+", r"x{a", r"{2}a", r"a{b}", r"}", r"a]",
    # refused
    r"(a)\1", r"(?i)abc", r"(?<x>a)\k<x>", r"\R", r"\X", r"(", r")", r"[", r"[a", r"*a", r"\p{Nonsense}", r"[a-\d]", r"(?x: a b )", r"\Ga", r"(?~ab)", r"\K",
]
TEXTS = [
    "", " ", "a", "Hello, world!", "  hello   world  ", "Hello\tworld\nagain\r\nand\x0bmore\x0chere", "IT'S it's IT'ſ we'RE don't 'LL 'ſ", "the lighthouse\nthe keeper \n\n  of the 3 THE\n", "a  \n b   \n", "  \nb", "x \t ", "\n", "\n\n a\n",
    "aaab aab ab b aaaa abab ababab", "x{a {2}a a{b} } a]", "v1.2.3-beta+build.4 user_name@example.org 10,000,000", "C:\\Users\\x\\file.txt [x] (y) {z} <w> ^~`'\"$|/&&!!##", "camelCase PascalCase SCREAMING_CASE deadBEEF 0x1F", "1234567890 12 34,567.89 $5", "٣٤٥ ४५६ ５６７ ²³ ½ Ⅷ ①",
    "café cafe\u0301 naïve É Straße STRASSE ẞ Åå K k ſ s", "Привет, мир! Η γρήγορη αλεπού ς σ Σ", "東京は日本の首都です。カタカナ ガギ", "中文English混合123文本, 你好。", "안녕하세요 세계", "नमस्ते दुनिया।", "สวัสดี", "مرحبا، بالعالم", "😀😀 👍🏽 👨‍👩‍👧 1️⃣ ☃", "a\u00a0b\u2009c\u3000d\u0085e\u2028f\ufeffg\u200dh\u180ei", "‿⁀ a_b‿c", "\x07\x1b\x00\x7f", "d̤ q\u0307\u0323", "ªº ﬁ ǅ ⓐ Ⓑ",
]

def found(pattern):
    try: split = P.Split(Regex(pattern), "removed", invert=True)
    except Exception: return None
    return [[x for _, span in split.pre_tokenize_str(text) for x in span] for text in TEXTS]

data = {"texts": TEXTS, "patterns": [[p, found(p)] for p in PATTERNS]}
with gzip.GzipFile(f"{ROOT}/patterns.json.gz", "wb", 9, mtime=0) as f: f.write(json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode())
print(len(PATTERNS), "patterns,", [p for p, f in data["patterns"] if f is None], "refused")
