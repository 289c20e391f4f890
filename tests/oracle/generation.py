"""What transformers' generation says: scores after its processors and warpers, and what its search gives, on the committed models.

    python tests/oracle/generation.py      writes tests/fixtures/generation.json.gz

`stops`: where its StopStringCriteria stops. `scores`: options, the tokens so far, random scores, and what the list that `_get_logits_processor` makes of those options gives, so that
the order is transformers' own. `searches`: options and inputs, and what `generate` returns; each is also run in f64, and left out where
that gives other tokens, since it would test rounding. OpenAI's two penalties are a formula of their documentation, written out below.
"""
import copy, gzip, json, math, os, random, tokenizers, torch, transformers
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, GenerationConfig

transformers.logging.set_verbosity_error()
torch.set_num_threads(1)
HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = os.path.join(HERE, "../fixtures/models")
VOCAB = 41


def load(name):
    kind = AutoModelForSeq2SeqLM if name == "bart" else AutoModelForCausalLM
    return kind.from_pretrained(os.path.join(MODELS, name), dtype=torch.float32, attn_implementation="eager").eval()


def numbers(t): return [None if v == -math.inf else round(v, 6) if abs(v) < 1e30 else v for v in t.tolist()]


# ---------------------------------------------------------------- scores

def settings(model, options):
    """A GenerationConfig as `generate` prepares it."""
    config, _ = model._prepare_generation_config(None, **options)
    model._prepare_special_tokens(config, device="cpu")
    return config


def score_cases():
    g = torch.Generator().manual_seed(14)
    decoder, both = load("llama"), load("bart")
    out = []

    def case(options, length=7, encoder=None, spread=2.0, prompt=None, ties=False, padding=0):
        prompt = length if prompt is None else prompt
        ids = torch.randint(3, VOCAB, (1, length), generator=g)
        # runs that occur again
        if length > 6: ids[0, -2:] = ids[0, 1:3]
        if padding: ids[0, :padding] = 0
        model = both if encoder else decoder
        encoder_ids = torch.randint(3, VOCAB, (1, encoder), generator=g) if encoder else None
        if encoder and length > 3: encoder_ids[0, 1:3] = ids[0, -2:]
        x = torch.randn(1, VOCAB, generator=g) * spread
        if ties: x = (x * 2).round() / 2
        x = torch.tensor([[float(f"{v:.5g}") for v in x[0].tolist()]])
        full = {"max_length": 30} | options
        mask = torch.ones(1, prompt, dtype=torch.long); mask[0, :padding] = 0
        made = model._get_logits_processor(generation_config=settings(model, full), input_ids_seq_length=prompt, encoder_input_ids=encoder_ids,
                                           device="cpu", model_kwargs={"attention_mask": mask, "decoder_attention_mask": mask})
        want = made(ids, x.clone())
        out.append({"options": full, "ids": ids[0].tolist(), "prompt": prompt, "padding": padding,
                    **({"encoder_ids": encoder_ids[0].tolist()} if encoder else {}), "scores": numbers(x[0]), "want": numbers(want[0])})

    eos = {"eos_token_id": [5, 9]}
    for p in (0.7, 1.3, 2.0): case({"repetition_penalty": p})
    case({"repetition_penalty": 1.4}, padding=3)
    case({"encoder_repetition_penalty": 1.5}, encoder=6); case({"encoder_repetition_penalty": 0.5}, encoder=9)
    for n in (1, 2, 3, 4, 9): case({"no_repeat_ngram_size": n}, length=14)
    case({"no_repeat_ngram_size": 3}, length=2)
    for n in (1, 2, 3): case({"encoder_no_repeat_ngram_size": n}, encoder=9, length=5)
    case({"bad_words_ids": [[7], [9, 8], [3, 4, 5]]}); case({"bad_words_ids": [[5], [9], [11]]} | eos)
    for _ in range(3):
        last = 7
        case({"bad_words_ids": [[i, 12] for i in range(3, VOCAB)]}, length=last)
    case({"sequence_bias": [[[7], 3.5], [[8], -2.0], [[7], 1.25]]}); case({"sequence_bias": [[[i, 13], float(i)] for i in range(3, VOCAB)] + [[[3, 4, 5, 6, 7, 8, 9, 10, 11], 1.0]]})
    for n in (6, 7, 8, 12): case({"min_length": n} | eos); case({"min_new_tokens": n - 5} | eos, prompt=4)
    case({"forced_bos_token_id": 6}, length=1); case({"forced_bos_token_id": 6}, length=2, prompt=1)
    case({"forced_eos_token_id": 5, "max_length": 8}); case({"forced_eos_token_id": [5, 9], "max_length": 8}); case({"forced_eos_token_id": 5, "max_length": 9})
    for start, factor, prompt in ((1, 1.2, 4), (3, 1.2, 4), (2, 0.8, 3), (0, 1.01, 6)): case({"exponential_decay_length_penalty": [start, factor]} | eos, prompt=prompt)
    case({"suppress_tokens": [3, 8, 40]}); case({"begin_suppress_tokens": [3, 8]}); case({"begin_suppress_tokens": [3, 8]}, prompt=6)
    case({"begin_suppress_tokens": [3, 8], "forced_bos_token_id": 6}, length=2, prompt=1); case({"begin_suppress_tokens": [3, 8]}, length=1)
    case({"suppress_tokens": [3], "renormalize_logits": True}); case({"remove_invalid_values": True, "bad_words_ids": [[7], [8]]})
    sample = {"do_sample": True, "top_k": 0}
    for t in (0.3, 0.9, 2.5): case(sample | {"temperature": t})
    for k in (1, 5, 12, 50): case(sample | {"top_k": k})
    case(sample | {"top_k": 5}, ties=True, spread=1.0)
    for p in (0.0, 0.2, 0.5, 0.9, 0.99): case(sample | {"top_p": p}); case(sample | {"top_p": p}, spread=0.5)
    for p in (0.0, 0.05, 0.3, 1.0): case(sample | {"min_p": p})
    for p in (0.1, 0.5, 0.95): case(sample | {"typical_p": p}); case(sample | {"typical_p": p}, spread=0.4)
    for e in (3e-4, 0.02, 0.4): case(sample | {"epsilon_cutoff": e}); case(sample | {"eta_cutoff": e}); case(sample | {"eta_cutoff": e}, spread=0.3)
    beams = sample | {"num_beams": 3}
    for more in ({"top_k": 1}, {"top_p": 0.05}, {"min_p": 0.9}, {"typical_p": 0.05}, {"epsilon_cutoff": 0.9}, {"eta_cutoff": 0.9}): case(beams | more); case(beams | more | eos)
    case(beams | {"top_p": 0.1, "eos_token_id": None})
    # several at once: the order counts
    everything = {"repetition_penalty": 1.3, "no_repeat_ngram_size": 2, "bad_words_ids": [[7], [9, 8]], "sequence_bias": [[[11], 4.0], [[12], -1.0]], "suppress_tokens": [20, 21], "min_new_tokens": 3} | eos
    for more in ({"temperature": 0.7, "top_k": 20, "top_p": 0.9}, {"temperature": 1.6, "top_p": 0.8, "min_p": 0.02}, {"temperature": 0.8, "typical_p": 0.8, "epsilon_cutoff": 1e-3, "eta_cutoff": 2e-3},
                 {"top_k": 10, "top_p": 0.7, "renormalize_logits": True}):
        for _ in range(3): case(everything | sample | more, length=12, prompt=10)
    # OpenAI: mu[j] -> mu[j] - c[j] * alpha_frequency - float(c[j] > 0) * alpha_presence, c over the completion
    for presence, frequency in ((0.5, 0.0), (0.0, 0.7), (-1.0, 0.25)):
        ids = torch.randint(3, 9, (12,), generator=g).tolist()
        x = [round(v, 4) for v in torch.randn(VOCAB, generator=g).tolist()]
        c = [ids[5:].count(j) for j in range(VOCAB)]
        want = [mu - c[j] * frequency - float(c[j] > 0) * presence for j, mu in enumerate(x)]
        out.append({"options": {"presence_penalty": presence, "frequency_penalty": frequency, "max_length": 30}, "ids": ids, "prompt": 5, "padding": 0, "scores": x, "want": [round(v, 6) for v in want]})
    return out


# ---------------------------------------------------------------- stop strings

def stop_cases():
    """Where StopStringCriteria stops in texts that some tokenizers cut; ASCII, since it takes each part of a character for a character."""
    r, out = random.Random(14), []
    text = "Once upon a time, there was a little girl named Lily. She said: \"No, not that one!\" and they stopped, stood still and went to the store."
    for name in ("bpe-gpt2", "bpe-llama2"):
        with gzip.open(os.path.join(HERE, f"../fixtures/tokenizers/{name}.json.gz")) as f: own = json.load(f)["tokenizer"]
        tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizers.Tokenizer.from_str(json.dumps(own)))
        ids = tokenizer.encode(text, add_special_tokens=False)
        for _ in range(40):
            stops = []
            for _ in range(r.choice((1, 1, 3))):
                at = r.randrange(len(text) - 9)
                stops.append(text[at:at + r.choice((1, 2, 3, 5, 9))])
            if r.random() < 0.3: stops.append("nowhere")
            criteria = transformers.StopStringCriteria(tokenizer, stops)
            where = [i for i in range(2, len(ids) + 1) if bool(criteria(torch.tensor([ids[:i]]), None)[0])]
            out.append({"tokenizer": name, "ids": ids, "stop_strings": stops, "want": where})
    return out


# ---------------------------------------------------------------- searches

def search_cases():
    r = random.Random(14)
    out, left = [], 0
    for name in ("llama", "gpt2", "bart", "mistral"):
        model = load(name)
        exact = copy.deepcopy(model).double()
        pad = model.generation_config.pad_token_id

        def case(options, lengths=(6,)):
            nonlocal left
            longest = max(lengths)
            ids = [[pad] * (longest - n) + [r.randrange(3, VOCAB) for _ in range(n)] for n in lengths]
            mask = [[0] * (longest - n) + [1] * n for n in lengths]
            feed = {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}
            full = {"max_new_tokens": 12, "do_sample": False} | options
            if full.get("max_length"): full.pop("max_new_tokens")
            with torch.no_grad(): got, sure = (m.generate(**feed, **full).tolist() for m in (model, exact))
            if got != sure: left += 1; return
            eos = options.get("eos_token_id", model.generation_config.eos_token_id) or []
            start = 1 if name == "bart" else longest
            def cut(row):    # padding behind the end is transformers' form of a batch
                ends = [i for i, t in enumerate(row) if i >= start and t in ([eos] if isinstance(eos, int) else eos)]
                return row[:ends[0] + 1] if ends else row
            got = [cut(row) for row in got]
            out.append({"model": name, "options": full, "input_ids": ids, **({"attention_mask": mask} if len(set(lengths)) > 1 else {}), "want": got})

        ends = {"eos_token_id": [2, 7, 11, 19, 23, 31]}
        few = {"eos_token_id": [4, 13, 37]}
        case({}); case(ends); case({"max_length": 15}); case({"min_length": 20, "min_new_tokens": 3} | ends); case({"min_length": 11} | ends); case({"min_new_tokens": 6} | ends); case({"no_repeat_ngram_size": 2}); case({"repetition_penalty": 1.5}, (6, 3)); case({}, (9, 4, 1)); case(ends, (9, 4, 1))
        for beams in (2, 3, 5):
            for penalty in (-1.0, 0.0, 0.7, 1.0, 2.0):
                for early in (False, True, "never"):
                    case({"num_beams": beams, "length_penalty": penalty, "early_stopping": early} | (ends if (beams + int(penalty)) % 2 else few))
        for beams, give in ((2, 2), (4, 3), (6, 6)): case({"num_beams": beams, "num_return_sequences": give} | ends, (7,)); case({"num_beams": beams, "num_return_sequences": give} | few, (8, 5))
        case({"num_beams": 3} | ends, (9, 4, 1)); case({"num_beams": 3, "early_stopping": True, "length_penalty": 0.3} | ends, (2, 7, 5)); case({"num_beams": 4, "early_stopping": "never", "length_penalty": 1.7} | few, (3, 8))
        case({"num_beams": 3, "no_repeat_ngram_size": 2, "min_new_tokens": 4} | ends, (5, 5)); case({"num_beams": 3, "bad_words_ids": [[8], [9, 10]], "repetition_penalty": 1.2} | ends)
        case({"num_beams": 3, "forced_eos_token_id": 2, "max_length": 14} | few); case({"num_beams": 2, "renormalize_logits": True, "suppress_tokens": [5, 6]} | few); case({"num_beams": 3, "max_new_tokens": 1} | ends); case({"num_beams": 3, "eos_token_id": None}) if name != "bart" else None
        if name == "bart":
            case({"forced_bos_token_id": 8}); case({"forced_bos_token_id": 8, "num_beams": 3} | ends, (6, 4)); case({"encoder_no_repeat_ngram_size": 1}); case({"encoder_repetition_penalty": 2.0, "num_beams": 2}); case({"decoder_start_token_id": 9})
    print(f"{len(out)} searches, {left} left out")
    return out


def main():
    cases = {"scores": score_cases(), "stops": stop_cases(), "searches": search_cases()}
    path = os.path.join(HERE, "../fixtures/generation.json.gz")
    with open(path, "wb") as f: f.write(gzip.compress(json.dumps(cases, separators=(",", ":")).encode(), mtime=0))
    print({k: len(v) for k, v in cases.items()}, os.path.getsize(path) // 1024, "KB")


if __name__ == "__main__": main()
