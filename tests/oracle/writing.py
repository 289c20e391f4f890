"""Tiny models that write, with tokenizers, and what transformers' pipelines answer with them.

    /opt/oracle4/bin/python tests/oracle/writing.py [FOLDER]      default tests/fixtures/writing

transformers 4: its line 5 has no text2text-generation, summarization and translation. text-generation is asked of both (`--check` under 5).
Every call is repeated with weights moved by 1e-5: were a token to change, the case would test rounding, and fails here.
"""
import json, os, shutil, sys, zlib
import torch, transformers
from safetensors.torch import save_file
from transformers import BartConfig, BartForConditionalGeneration, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, M2M100Config, M2M100ForConditionalGeneration, MBartConfig, MBartForConditionalGeneration, T5Config, T5ForConditionalGeneration
from tiny import STORY, TEXTS, write_tokenizer

transformers.logging.set_verbosity_error()
torch.set_num_threads(1)
HERE = os.path.dirname(os.path.abspath(__file__))
CHECK = "--check" in sys.argv
args = [a for a in sys.argv[1:] if not a.startswith("--")]
ROOT = args[0] if args else f"{HERE}/../fixtures/writing"

CHATML = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% if not loop.last or add_generation_prompt %}\n{% endif %}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who wrote the letter?"}]
OPEN = [*CHAT, {"role": "assistant", "content": "The lighthouse"}]


# transformers' pipelines sample, or search with four beams, where nobody says otherwise: here all is said.
def call(task, inputs, **options): return {"task": task, "inputs": inputs, "options": {"do_sample": False, "num_beams": 1} | options}
def plain(task, inputs, **options): return {"task": task, "inputs": inputs, "options": options}
def generation(*more):
    t = "text-generation"
    return [call(t, TEXTS[0], max_new_tokens=12), call(t, TEXTS[:3], max_new_tokens=8), call(t, TEXTS[2], max_new_tokens=8, return_full_text=False), call(t, TEXTS[8], max_new_tokens=9),
            call(t, TEXTS[5], max_new_tokens=6, num_beams=3, num_return_sequences=2), call(t, CHAT, max_new_tokens=10), call(t, OPEN, max_new_tokens=7), call(t, [CHAT, CHAT[1:]], max_new_tokens=5), call(t, CHAT, max_new_tokens=10, return_full_text=False), *more]


def text2text(t="text2text-generation"): return [call(t, TEXTS[0], max_new_tokens=12), call(t, TEXTS[:4], max_new_tokens=9), call(t, TEXTS[1], max_new_tokens=9, num_beams=3), call(t, TEXTS[5], max_new_tokens=7, num_beams=3, num_return_sequences=2)]


PARAMS = {"task_specific_params": {"summarization": {"prefix": "summarize: ", "num_beams": 2, "max_length": 20, "min_length": 4}, "translation_en_to_de": {"prefix": "translate English to German: ", "max_length": 12}, "translation_en_to_fr": {"prefix": "translate English to French: ", "max_length": 16, "num_beams": 2}}}
MBART = lambda v: (MBartForConditionalGeneration, MBartConfig(vocab_size=v, d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48, max_position_embeddings=128, bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2, forced_eos_token_id=2))
CASES = {
    "gpt2": ("bpe", lambda v: (GPT2LMHeadModel, GPT2Config(vocab_size=v, n_positions=128, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=2)), {"chat_template": CHATML}, generation()),
    "llama": ("unigram", lambda v: (LlamaForCausalLM, LlamaConfig(vocab_size=v, hidden_size=32, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128, bos_token_id=0, eos_token_id=2, tie_word_embeddings=True)), {"chat_template": CHATML}, generation()),
    "bart": ("bpe", lambda v: (BartForConditionalGeneration, BartConfig(vocab_size=v, d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48, max_position_embeddings=160, bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2, forced_eos_token_id=2, forced_bos_token_id=0)), {},
             [*text2text(), call("summarization", TEXTS[17], max_length=16, min_length=5), call("summarization", [TEXTS[0], TEXTS[17]], max_length=12, min_length=2), call("translation", TEXTS[0], max_length=12)]),
    "t5": ("unigram", lambda v: (T5ForConditionalGeneration, T5Config(vocab_size=v, d_model=32, d_kv=8, d_ff=48, num_layers=1, num_decoder_layers=1, num_heads=4, pad_token_id=1, eos_token_id=2, decoder_start_token_id=1, tie_word_embeddings=True, **PARAMS)), {},
           [*text2text(), plain("summarization", TEXTS[17]), plain("translation_en_to_de", TEXTS[0], num_beams=1), plain("translation_en_to_fr", TEXTS[:2]), plain("translation_en_to_fr", TEXTS[4], max_length=9)]),
    "mbart": ("unigram", MBART, {"langs": "MBart50TokenizerFast"}, 
              [call("translation", TEXTS[0], src_lang="en_XX", tgt_lang="de_DE", max_length=12), call("translation", TEXTS[1:3], src_lang="de_DE", tgt_lang="en_XX", max_length=14)]),
    "mbart-old": ("unigram", MBART, {"langs": "MBartTokenizerFast"}, [call("translation", TEXTS[:2], src_lang="de_DE", tgt_lang="fr_XX", max_length=14)]),
    "nllb": ("unigram", lambda v: (M2M100ForConditionalGeneration, M2M100Config(vocab_size=v, d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48, max_position_embeddings=128, bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2)), {"langs": "NllbTokenizerFast"},
             [call("translation", TEXTS[0], src_lang="eng_Latn", tgt_lang="deu_Latn", max_length=12), call("translation", TEXTS[1:3], src_lang="fra_Latn", tgt_lang="eng_Latn", max_length=14)]),
}
def make(folder, name):
    kind, family, more, _ = CASES[name]
    more = dict(more)
    langs = more.pop("langs", None)
    shutil.rmtree(folder, ignore_errors=True)
    t = write_tokenizer(folder, kind, 128, **more)
    if langs:
        import transformers as T
        own = getattr(T, langs)(tokenizer_file=f"{folder}/tokenizer.json", unk_token="<unk>", **({"src_lang": "eng_Latn"} if "Nllb" in langs else {"src_lang": "en_XX"}))
        own.save_pretrained(folder)
        size = len(own)
    else: size = t.get_vocab_size()
    model_class, config = family(size)
    g = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    model = model_class(config).eval()
    with torch.no_grad():
        for key, p in model.named_parameters():
            if p.dim() > 1: p.copy_(torch.randn(p.shape, generator=g) * (0.9 if "embed" in key or "shared" in key or "wte" in key or "lm_head" in key else 0.35))
            else: p.copy_((1 if "norm" in key.lower() or "ln_" in key else 0) + 0.1 * torch.randn(p.shape, generator=g) if "bias" not in key else 0.1 * torch.randn(p.shape, generator=g))
        if hasattr(model, "final_logits_bias"): model.final_logits_bias.zero_()
    model.half().float()
    model.generation_config.do_sample = False
    model.half().save_pretrained(folder)


def runner(folder, shift=0.0):
    made = {}
    @torch.no_grad()
    def answer(c):
        task, options = c["task"], dict(c["options"])
        langs = {k: options.get(k) for k in ("src_lang", "tgt_lang") if k in options}
        key = json.dumps([task, langs])
        if key not in made:
            model = transformers.AutoModelForCausalLM if task == "text-generation" else transformers.AutoModelForSeq2SeqLM
            loaded = model.from_pretrained(folder, torch_dtype=torch.float32).eval()
            g = torch.Generator().manual_seed(9)
            seen = set()
            for p in loaded.parameters():
                if p.data_ptr() not in seen: p.mul_(1 + shift * torch.randn(p.shape, generator=g))
                seen.add(p.data_ptr())
            tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder) if not langs else transformers.AutoTokenizer.from_pretrained(folder)
            made[key] = transformers.pipeline(task, model=loaded, tokenizer=tokenizer, device="cpu") if task == "text-generation" else (loaded, tokenizer)
        if task == "text-generation": return made[key](c["inputs"], **options)
        # By `generate`: the pipelines put defaults of their own (four beams, 256 tokens) over the checkpoint's, which nobody else does.
        loaded, tokenizer = made[key]
        params = dict((getattr(loaded.config, "task_specific_params", None) or {}).get(task, {}))
        prefix, found = params.pop("prefix", ""), []
        if langs:
            tokenizer.src_lang = options.pop("src_lang")
            options["forced_bos_token_id"] = tokenizer.convert_tokens_to_ids(options.pop("tgt_lang"))
        for text in [c["inputs"]] if isinstance(c["inputs"], str) else c["inputs"]:
            ids = loaded.generate(**tokenizer(prefix + text, truncation=True, return_tensors="pt"), **{"num_beams": 1, **params, **options})
            name = {"text2text-generation": "generated_text", "summarization": "summary_text"}.get(task, "translation_text")
            found.append([{name: t} for t in tokenizer.batch_decode(ids, skip_special_tokens=True)])
        return found[0] if isinstance(c["inputs"], str) else [f[0] if len(f) == 1 else f for f in found]
    return answer


for name, (_, _, _, calls) in CASES.items():
    if os.environ.get("ONLY", name) != name: continue
    folder = f"{ROOT}/{name}"
    path = f"{folder}/expected.json"
    if not CHECK: make(folder, name)
    run, moved, out = runner(folder), runner(folder, 1e-5), []
    old = json.load(open(path))["calls"] if CHECK else []
    for i, c in enumerate(calls):
        if CHECK and c["task"] != "text-generation": continue
        answer = run(c)
        assert answer == moved(c), f"{name} {c}: decided by rounding"
        if CHECK: assert answer == old[i]["output"], (name, c, answer, old[i]["output"])
        out.append(c | {"output": answer})
        if os.environ.get("SHOW"): print(c["task"], c["options"], answer)
    if not CHECK:
        with open(path, "w", encoding="utf-8") as f: f.write('{ "calls": [\n' + ",\n".join(json.dumps(c, ensure_ascii=False) for c in out) + "\n] }\n")
    print(name, len(out), sum(os.path.getsize(f"{folder}/{f}") for f in os.listdir(folder)) // 1024, "KB", flush=True)
