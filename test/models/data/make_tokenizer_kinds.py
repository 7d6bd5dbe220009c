"""Writes tokenizer-kinds.json: small tokenizers of every kind that is read, and what the Python package `tokenizers` makes of texts.

    pip install tokenizers && python make_tokenizer_kinds.py

Spans are in UTF-16 units here; the package counts characters. Its spans are taken without trim_offsets.
"""
import json
import os

from tokenizers import AddedToken, Regex, Tokenizer, decoders as D, models, normalizers as N, pre_tokenizers as P
from tokenizers import processors as R, trainers as T

TEXTS = [
    "", " ", "  ", "\n", "a", "Hello world", " lead", "trail ", "I'm sure they'll say it's 12345, DON'T we'LL?",
    "naïve café, e\u0301a\u0323\u0307 ﬁ ＡＢ ⅷ ½", "漢字かなカナ한국어 привет", "😀👩‍👩‍👧‍👦 x😀y", "٣٤٥ १२३ ½ b ½ b 1234567",
    "foo foobar afoo foo, foo😀 _foo", "x<s>y </s> <s></s>", "  bar  baz  Qux QUX  mid end", "a-b--c- -d", "\t\r\n\u00a0\u3000\u200b\ufeff.",
    "▁mark ▁▁", "İSTANBUL Straße ΣΑΣ ǅ", "don't stop… “quote” (x) !!", "def f(x):\n    return x + 1\n\n\n", "\u00ad\u0301\u0001K\u2028",
    "aaaaaaaaaaaaaaaaaaaaaaaa", "the cat sat on the mat the cat",
]
CORPUS = TEXTS + ["the cat sat on the mat, the dog's day. Hello hello world 12345 2026 naïve café привет мир 漢字 don't we'll I'm\n"] * 3
SPECIAL = ["<unk>", "<s>", "</s>"]


def trained(model, trainer, pre=None, normalizer=None):
    t = Tokenizer(model)
    if pre:
        t.pre_tokenizer = pre
    if normalizer:
        t.normalizer = normalizer
    t.train_from_iterator(CORPUS, trainer)
    return json.loads(t.to_str())["model"]


def bpe(vocab, **options):
    return T.BpeTrainer(vocab_size=vocab, special_tokens=SPECIAL, show_progress=False, **options)


GPT2 = P.ByteLevel(add_prefix_space=False)
ALPHABET = P.ByteLevel.alphabet()
BYTES = [f"<0x{i:02X}>" for i in range(256)]
MODELS = {
    # merges over the ends of words too, so that every way to cut shows
    "bytes": trained(models.BPE(), bpe(420, initial_alphabet=ALPHABET), P.ByteLevel(add_prefix_space=False, use_regex=False)),
    "words": trained(models.BPE(unk_token="<unk>"), bpe(110), P.WhitespaceSplit()),
    "marks": trained(models.BPE(unk_token="<unk>"), bpe(120, limit_alphabet=50), P.Metaspace(split=False)),
    "ends": trained(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"), bpe(140, end_of_word_suffix="</w>"), P.WhitespaceSplit()),
    "continued": trained(
        models.BPE(unk_token="<unk>", continuing_subword_prefix="##"), bpe(190, continuing_subword_prefix="##"), P.WhitespaceSplit()
    ),
    "unigram": trained(
        models.Unigram(),
        T.UnigramTrainer(vocab_size=150, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False),
        P.Metaspace(),
    ),
    "wordpiece": trained(
        models.WordPiece(unk_token="<unk>"), T.WordPieceTrainer(vocab_size=160, special_tokens=SPECIAL, show_progress=False), P.BertPreTokenizer()
    ),
    "wordlevel": trained(
        models.WordLevel(unk_token="<unk>"), T.WordLevelTrainer(vocab_size=60, special_tokens=SPECIAL, show_progress=False), P.WhitespaceSplit()
    ),
}
MODELS["fallback"] = {**MODELS["marks"], "byte_fallback": True, "fuse_unk": True}
MODELS["fallback"]["vocab"] = {**MODELS["marks"]["vocab"], **{b: len(MODELS["marks"]["vocab"]) + i for i, b in enumerate(BYTES)}}
MODELS["unigram-bytes"] = {**MODELS["unigram"], "byte_fallback": True, "vocab": MODELS["unigram"]["vocab"] + [[b, 0.0] for b in BYTES]}
MODELS["fused"] = {**MODELS["words"], "fuse_unk": True}
MODELS["whole"] = {**MODELS["bytes"], "ignore_merges": True, "merges": MODELS["bytes"]["merges"][:40]}

kinds = []


def kind(name, model, pre=None, norm=None, dec=None, post=None, added=(), patch=None, wider=False):
    t = Tokenizer.from_str(json.dumps({"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
                                       "pre_tokenizer": None, "post_processor": None, "decoder": None, "model": MODELS[model]}))
    if norm:
        t.normalizer = norm
    if pre:
        t.pre_tokenizer = pre
    if dec:
        t.decoder = dec
    if post:
        t.post_processor = post
    t.add_special_tokens(SPECIAL)
    t.add_tokens(list(added))
    parts = {k: v for k, v in json.loads(t.to_str()).items() if k != "model"}
    results = []
    for text in TEXTS:
        places = [0]
        for character in text:
            places.append(places[-1] + (2 if ord(character) > 0xFFFF else 1))
        e = t.encode(text)
        spans = [[places[a], places[b]] for a, b in e.offsets]
        # the package gives (0, 0) to what it adds; here that is an empty span where it was added
        for i, mask in enumerate(e.special_tokens_mask):
            if mask and e.offsets[i] == (0, 0) and i > 0 and i == len(e.ids) - 1 and post:
                spans[i] = [places[-1]] * 2
        results.append({"ids": e.ids, "spans": [x for s in spans for x in s], "plain": t.encode(text, add_special_tokens=False).ids == e.ids,
                        "decoded": t.decode(e.ids, skip_special_tokens=False), "shown": t.decode(e.ids)})
    if patch:
        parts.update(patch)
    kinds.append({"name": name, "model": model, "parts": parts, "wider": wider, "results": results})


def split(pattern, behavior, invert=False):
    return P.Sequence([P.Split(pattern, behavior, invert=invert), P.ByteLevel(add_prefix_space=False, use_regex=False)])


B = dict(model="bytes", dec=D.ByteLevel())
kind("ByteLevel", pre=GPT2, **B)
kind("ByteLevel with a space before", pre=P.ByteLevel(add_prefix_space=True), **B)
kind("ByteLevel before Digits", pre=P.Sequence([GPT2, P.Digits(individual_digits=True)]), **B)
kind("ignore_merges", "whole", GPT2, dec=D.ByteLevel())
kind("Digits one by one", pre=P.Sequence([P.Digits(individual_digits=True), GPT2]), **B)
kind("Digits in groups", pre=P.Sequence([P.Digits(individual_digits=False), GPT2]), **B)
kind("Punctuation", pre=P.Sequence([P.Punctuation(), P.ByteLevel(add_prefix_space=False, use_regex=False)]), **B)
for behavior in ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]:
    kind(f"Split {behavior}", pre=split(Regex(r"\s"), behavior), **B)
    kind(f"Split {behavior} inverted", pre=split(Regex(r"\w+"), behavior, True), **B)
    kind(f"Split {behavior} at a text", pre=split("-", behavior), **B)
    kind(f"Punctuation {behavior}", "words", P.Punctuation(behavior))
GPT4O = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
kind("Split by letters' case", pre=split(Regex(GPT4O), "isolated"), **B)
kind("Split, possessive", pre=split(Regex(r"[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"), "isolated"), **B)
kind("Split by scripts and groups of three", pre=split(Regex(r"[\p{Han}]+|\p{Cyrillic}+|\d{3}(?=(?:\d{3})*\b)"), "isolated"), **B)
kind("Split, Oniguruma's own", pre=split(Regex(r"\A\s+|[[:alpha:]]+|\h+|[\p{L}&&[^a-m]]"), "isolated"), **B)
kind("Split at nothing", pre=split(Regex(r"(?=(\d{3})+(?!\d))"), "isolated"), **B)
kind("UnicodeScripts", pre=P.Sequence([P.UnicodeScripts(), GPT2]), **B)
kind("FixedLength", pre=P.Sequence([P.FixedLength(4), P.ByteLevel(add_prefix_space=False, use_regex=False)]), **B)
kind("NFC", pre=GPT2, norm=N.NFC(), wider=True, **B)
kind("NFD", pre=GPT2, norm=N.NFD(), wider=True, **B)
kind("NFKC", pre=GPT2, norm=N.NFKC(), wider=True, **B)
kind("NFKD", pre=GPT2, norm=N.NFKD(), wider=True, **B)
kind("StripAccents, Lowercase, Strip", pre=GPT2, norm=N.Sequence([N.NFD(), N.StripAccents(), N.Lowercase(), N.Strip()]), wider=True, **B)
kind("Strip on the left", pre=GPT2, norm=N.Strip(left=True, right=False), **B)
kind("Replace by a pattern", pre=GPT2, norm=N.Replace(Regex(" {2,}"), "~"), wider=True, **B)
kind("ByteLevel as a normalizer", "bytes", P.Split(Regex("Ġ"), "merged_with_next"), N.ByteLevel(), D.ByteLevel())
kind("Nmt", "marks", P.Metaspace(), N.Sequence([N.Nmt(), N.NFKC(), N.Replace(Regex(" {2,}"), " ")]), wider=True)
kind("BertNormalizer", "words", P.BertPreTokenizer(), N.BertNormalizer(), wider=True)
kind("BertNormalizer with case", "words", P.BertPreTokenizer(), N.BertNormalizer(lowercase=False, strip_accents=False))
kind("Whitespace", "words", P.Whitespace())
kind("WhitespaceSplit", "words", P.WhitespaceSplit())
kind("CharDelimiterSplit", "words", P.CharDelimiterSplit("-"))
kind("fuse_unk", "fused", P.WhitespaceSplit())
for scheme in ["first", "always", "never"]:
    for whole in [True, False]:
        meta = P.Metaspace(prepend_scheme=scheme, split=whole)
        kind(f"Metaspace {scheme} {whole}", "marks", meta, dec=D.Metaspace(prepend_scheme=scheme), added=["<|user|>", "<|end|>"])
SPM = D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)])
kind("Prepend, byte_fallback", "fallback", norm=N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")]), dec=SPM)
kind("end_of_word_suffix", "ends", P.WhitespaceSplit(), dec=D.BPEDecoder(suffix="</w>"))
kind("continuing_subword_prefix", "continued", P.WhitespaceSplit())
kind("Unigram", "unigram", P.Metaspace(), N.NFKC(), D.Metaspace(), wider=True)
kind("Unigram, byte_fallback", "unigram-bytes", P.Metaspace(prepend_scheme="first"), dec=SPM, wider=True)
kind("WordPiece", "wordpiece", P.BertPreTokenizer(), N.BertNormalizer(), D.WordPiece(), wider=True)
kind("WordLevel", "wordlevel", P.WhitespaceSplit())
FLAGS = [AddedToken("foo", single_word=True), AddedToken("bar", lstrip=True), AddedToken("baz", rstrip=True), AddedToken("Qux", normalized=True),
         AddedToken("a"), AddedToken("aa"), AddedToken(" mid "), AddedToken("\n\n"), AddedToken("é")]
kind("added tokens with flags", pre=GPT2, added=FLAGS, **B)
kind("added tokens, normalized", pre=GPT2, norm=N.Lowercase(), added=[AddedToken("QUX", normalized=True), AddedToken("Hello", normalized=False)], **B)
TEMPLATE = R.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
kind("TemplateProcessing", pre=GPT2, post=TEMPLATE, **B)
kind("TemplateProcessing in a Sequence", pre=GPT2, post=R.Sequence([R.ByteLevel(trim_offsets=False), TEMPLATE]), **B)
kind("RobertaProcessing", pre=GPT2, post=R.RobertaProcessing(("</s>", 2), ("<s>", 1), trim_offsets=False), **B)
kind("BertProcessing", pre=GPT2, post=R.BertProcessing(("</s>", 2), ("<s>", 1)), **B)
CUT = {"truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
       "padding": {"strategy": {"Fixed": 16}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "<unk>"}}
kind("truncation and padding, which don't count", pre=GPT2, patch=CUT, **B)

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "tokenizer-kinds.json"), "w", encoding="utf8") as out:
    head = json.dumps({"texts": TEXTS, "models": MODELS}, ensure_ascii=False, separators=(",", ":"))
    out.write(head[:-1] + ',"kinds":[\n')
    out.write(",\n".join(json.dumps(k, ensure_ascii=False, separators=(",", ":")) for k in kinds) + "\n]}\n")
