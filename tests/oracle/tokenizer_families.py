# SPDX-License-Identifier: Apache-2.0
"""Small tokenizers with the exact pre-tokenizers of published families, trained when asked for."""
import functools
import json
import pathlib
import random

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIZE = 1200  # of the vocabularies

CL100K = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = CL100K.replace(r"\p{N}{1,3}", r"\p{N}")
BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
         r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
         r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}"
         r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK3 = [r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
             "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?"
             "[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"]
SEED = CL100K.replace(r"\p{N}{1,3}", r"\p{N}{1}").replace(r" ?[^\s\p{L}\p{N}]+[\r\n]*",
                                                       r" ?[^\s\p{L}\p{N}\r\n]+")
BAILING = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*"
           r"|\s*[\r\n]|\s+(?!\S)|\s+")
# Alphabets with case, punctuation, and what Chinese and Korean are written in.
DEEPSEEK_LLM = ["[\r\n]",
                "\\s?[A-Za-z\u00b5À-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿ\u0386\u0388-\u038a\u038c\u038e-ΡΣ-ϵϷ-ҁҊ-ԯԱ-Ֆ"
                "Ⴀ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚ\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57"
                "\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc"
                "\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffcℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ"
                "\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻"
                "𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+",
                "\\s?[!-/:-~！-／：-～‘-‟　-。]+", "\\s+$", "[一-龥\u0800-一가-\ud7ff]+"]
# Constructs that the two regular expression engines spell or mean differently.
CONSTRUCTS = [r"\w+", r"\d{2,}|\S\s\S", r"(?i:'[sdmt]|k|s|ll|ve|re)", r"[\s\S]$", r"^\h+",
              r"\p{Han}+|\p{^Greek}\p{Greek}", r"(?<=[a-c])x|.\v|\x{41}\u0042", r"(?>a|ab)c|a*?",
              r"\P{L}\W|[^\w\s]++"]


@functools.cache
def corpus():
    """Lines of the built-in text and of many scripts."""
    rng = random.Random(1)
    scripts = ["абвгдежзиклмнопрст", "αβγδεζηθικλμ", "的一是不了人我在有他这中大来上国", "אבגדהוזחטי",
               "ابتثجحخدذرز", "कखगघङचछजझञ", "ㄱㄴㄷ가나다라마바사", "あいうえおかきく", "éèêëàâçñöü", "0123456789",
               "😀😁😂🤣😃", "กขฃคฅฆง", "²³¹¼½¾amx "]
    lines = (ROOT / "trace/text/calibration.txt").read_text(encoding="utf-8").split("\n")
    for alphabet in scripts:
        for _ in range(150):
            words = ["".join(rng.choices(alphabet, k=rng.randint(1, 6))) for _ in range(12)]
            lines.append(" ".join(words))
    lines += [" " * rng.randint(1, 30) + "x" + "\n" * rng.randint(1, 4) for _ in range(300)]
    return lines


@functools.cache
def merged():
    """Byte-level merges over whole lines: they reach over wherever a text may be cut, so a wrong cut
    shows, whichever family's it is."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = byte_level(False)
    tokenizer.train_from_iterator(corpus(), trainers.BpeTrainer(
        vocab_size=SIZE, special_tokens=["<|endoftext|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tokenizer.to_str()


def train(pre_tokenizer, normalizer=None):
    """The merges behind a family's own normalizer and pre-tokenizer."""
    tokenizer = Tokenizer.from_str(merged())
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer:
        tokenizer.normalizer = normalizer
    return tokenizer


def add(tokenizer, tokens):
    tokenizer.add_tokens(tokens)
    return tokenizer, [t.content for t in tokenizer.get_added_tokens_decoder().values()]


def sequence(*members):
    return pre_tokenizers.Sequence(list(members))


def byte_level(use_regex, prefix=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=use_regex)


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def gpt2():
    return add(train(byte_level(True)), [])


def gpt2_prefix():
    tokens = [AddedToken("<mask>", lstrip=True, normalized=False, special=True),
              AddedToken("[R]", rstrip=True, normalized=False), AddedToken(" "), AddedToken("[R] ")]
    return add(train(byte_level(True, prefix=True)), tokens)


def gpt_neox():
    tokens = [AddedToken(" " * n, normalized=True) for n in range(24, 1, -1)]
    tokens += [AddedToken("<|padding|>", normalized=False, special=True)]
    return add(train(byte_level(True), normalizers.NFC()), tokens)


def llama3():
    tokenizer = train(sequence(split(CL100K), byte_level(False)))
    tokenizer.model.ignore_merges = True
    # Whole words without the merges that would make them.
    document = json.loads(tokenizer.to_str())
    for word in ("Ġcheckpoint", "éĿĴ", "ĊĊĊ", "zzz", "Ġ<|x|>"):
        document["model"]["vocab"].setdefault(word, len(document["model"]["vocab"]))
    tokenizer = Tokenizer.from_str(json.dumps(document))
    return add(tokenizer, [AddedToken(f"<|reserved_{i}|>", normalized=False, special=True)
                           for i in range(50)])


def dolma2():
    return add(train(sequence(split(CL100K, "removed", True), byte_level(False))),
               [AddedToken("|||PHONE_NUMBER|||"), AddedToken("|||EMAIL|||")])


def qwen2():
    tokens = [AddedToken("<|im_start|>", normalized=False, special=True),
              AddedToken("<tool_call>", normalized=False),
              AddedToken("word", single_word=True), AddedToken("ß", single_word=True),
              AddedToken("é", normalized=True), AddedToken("e\u0301x", normalized=True)]
    return add(train(sequence(split(QWEN2), byte_level(False)), normalizers.NFC()), tokens)


def smollm2():
    return add(train(sequence(pre_tokenizers.Digits(individual_digits=True), byte_level(True))), [])


def digits_together():
    return add(train(sequence(pre_tokenizers.Digits(individual_digits=False),
                              byte_level(False, prefix=True)), normalizers.NFKC()), [])


def bloom():
    return add(train(sequence(split(BLOOM), byte_level(False))), [])


def o200k():
    return add(train(sequence(split(O200K), byte_level(False)), normalizers.NFD()), [])


def deepseek3():
    return add(train(sequence(*map(split, DEEPSEEK3), byte_level(False)),
                     normalizers.Sequence([normalizers.NFKD(), normalizers.NFC()])), [])


def cohere():
    return add(train(sequence(pre_tokenizers.Digits(individual_digits=True), byte_level(True)),
                     normalizers.NFC()), [])


def deepseek_llm():
    return add(train(sequence(*map(split, DEEPSEEK_LLM), pre_tokenizers.Digits(individual_digits=True),
                              byte_level(False))), [AddedToken("ø", normalized=False)])


def seed_oss():
    return add(train(sequence(split(SEED), byte_level(False))), [])


def bailing():
    return add(train(sequence(split(BAILING), byte_level(False))), [])


def behavior(name, invert, pattern=r"\s|[aeiou]+|x*"):
    def make():
        text = pre_tokenizers.Split("'.\\", name, invert)
        return add(train(sequence(split(pattern, name, invert), text, byte_level(False))),
                   [])
    return make


def construct(pattern):
    return lambda: add(train(sequence(split(pattern), byte_level(False))), [])


FAMILIES = {f.__name__: f for f in (gpt2, gpt2_prefix, gpt_neox, llama3, dolma2, qwen2, smollm2,
                                    digits_together, bloom, o200k, deepseek3, cohere,
                                    deepseek_llm, seed_oss, bailing)}
for _name in ("isolated", "removed", "contiguous", "merged_with_previous", "merged_with_next"):
    for _invert in (False, True):
        FAMILIES[f"split-{_name}{'-inverted' if _invert else ''}"] = behavior(_name, _invert)
for _index, _pattern in enumerate(CONSTRUCTS):
    FAMILIES[f"construct-{_index}"] = construct(_pattern)
