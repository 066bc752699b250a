# SPDX-License-Identifier: Apache-2.0
"""Tokenizers of the kinds that stand beside published models, other than byte-level ones: made when
asked for, each with a function that says the right ids of strings."""
import base64
import functools
import io
import json
import os
import pathlib
import random
import tempfile

import sentencepiece
import tiktoken
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers

from tokenizer_families import CL100K, O200K, QWEN2, SIZE, corpus, merged, split, train

PAIRS_DRAWN = int(os.environ.get("PAIRS", 2))  # of random files beside vocab.json and merges.txt
MARK = "\u2581"
SPECIALS = ["<unk>", "<s>", "</s>"]


# SentencePiece: training options and what its own library gives.

def random_lines():
    """The corpus in another order, in lines that SentencePiece takes."""
    lines = [line[:400] for line in corpus() if line.strip()]
    random.Random(2).shuffle(lines)
    return lines


@functools.cache
def trained(lines=1200, **options):
    """The bytes of a tokenizer.model."""
    model = io.BytesIO()
    settings = dict(vocab_size=SIZE, character_coverage=0.9995, num_threads=1, minloglevel=2,
                    hard_vocab_limit=False, self_test_sample_size=0, max_sentence_length=10000)
    options = {key: list(value) if isinstance(value, tuple) else value
               for key, value in options.items()}
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(random_lines()[:lines]),
                                             model_writer=model, **{**settings, **options})
    return model.getvalue()


def identity(**options):
    return dict(normalization_rule_name="identity", remove_extra_whitespaces=False,
                byte_fallback=True, **options)


RUNS = tuple("\n" * n for n in range(1, 6)) + tuple(MARK * n for n in range(2, 12))
SENTENCEPIECE = {
    "spm-llama": dict(model_type="bpe", split_digits=True, **identity()),
    "spm-gemma": dict(model_type="bpe", add_dummy_prefix=False, split_digits=True,
                      user_defined_symbols=("<start>", "<end>") + RUNS, **identity()),
    "spm-nfkc": dict(model_type="bpe", user_defined_symbols=("<x>", "word", "é"),
                     control_symbols=("<c>",)),
    "spm-t5": dict(model_type="unigram"),
    "spm-folded": dict(model_type="unigram", byte_fallback=True, add_dummy_prefix=False,
                       normalization_rule_name="nfkc_cf", remove_extra_whitespaces=False,
                       user_defined_symbols=("<x>", "ab", MARK + "the")),
    "spm-suffix": dict(model_type="unigram", treat_whitespace_as_suffix=True,
                       normalization_rule_name="nmt_nfkc_cf"),
    "spm-unused": dict(model_type="bpe", **identity()),
    "spm-unused-unigram": dict(model_type="unigram", **identity()),
}


def without_some(model):
    """The model with every seventh ordinary piece of several characters marked unused."""
    from sentencepiece import sentencepiece_model_pb2
    message = sentencepiece_model_pb2.ModelProto()
    message.ParseFromString(model)
    for index, piece in enumerate(message.pieces):
        if piece.type == 1 and len(piece.piece) > 1 and index % 7 == 0:
            piece.type = 5
    return message.SerializeToString()


def sentencepiece_file(name):
    model = trained(**SENTENCEPIECE[name])
    if "unused" in name:
        model = without_some(model)
    library = sentencepiece.SentencePieceProcessor(model_proto=model)
    special = [str(s) for s in SENTENCEPIECE[name].get("user_defined_symbols", ())]
    return {"tokenizer.model": model}, None, library.encode, special + ["<c>"]


# tiktoken: byte-level merges as ranks.

TIKTOKEN = {"tiktoken-llama": ("llama", CL100K), "tiktoken-qwen": ("qwen2", QWEN2),
            "tiktoken-o200k": ("gpt_oss", O200K)}


def bytes_of(token):
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in visible]
    letters = {chr(byte): byte for byte in visible}
    letters.update({chr(256 + i): byte for i, byte in enumerate(others)})
    return bytes(letters[letter] for letter in token)


def ranks_of(pattern):
    document = json.loads(train(pre_tokenizers.Sequence([split(pattern), pre_tokenizers.ByteLevel(
        add_prefix_space=False, use_regex=False)])).to_str())
    tokens = [bytes([byte]) for byte in range(256)]
    for left, right in document["model"]["merges"]:
        joined = bytes_of(left + right)
        if joined not in tokens:
            tokens.append(joined)
    return {token: rank for rank, token in enumerate(tokens)}


def tiktoken_file(name):
    model_type, pattern = TIKTOKEN[name]
    ranks = ranks_of(pattern)
    special = {text: len(ranks) + i for i, text in
               enumerate(("<|begin_of_text|>", "<|end_of_text|>", "<|x|>"))}
    library = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks,
                                special_tokens=special)
    lines = b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in ranks.items())
    config = {"added_tokens_decoder": {str(rank): {"content": text, "special": True}
                                       for text, rank in special.items()}}
    files = {"some.tiktoken": lines, "tokenizer_config.json": json.dumps(config).encode()}
    return files, model_type, lambda strings: [library.encode(s, allowed_special="all")
                                               for s in strings], list(special)


# tokenizer.json of models that came from SentencePiece.

def charsmap(**options):
    from sentencepiece import sentencepiece_model_pb2
    message = sentencepiece_model_pb2.ModelProto()
    message.ParseFromString(trained(model_type="unigram", vocab_size=400, lines=200, **options))
    blob = base64.b64encode(message.normalizer_spec.precompiled_charsmap).decode()
    return {"type": "Precompiled", "precompiled_charsmap": blob}


@functools.cache
def bpe_model(unknown=True, bytes_too=True):
    """Merges of characters, with marks for spaces."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(split=True)
    special = SPECIALS + ([f"<0x{byte:02X}>" for byte in range(256)] if bytes_too else [])
    tokenizer.train_from_iterator(corpus(), trainers.BpeTrainer(
        vocab_size=SIZE, special_tokens=special, limit_alphabet=300, show_progress=False))
    model = json.loads(tokenizer.to_str())["model"]
    return dict(model, unk_token="<unk>" if unknown else None, fuse_unk=unknown,
                byte_fallback=bytes_too)


@functools.cache
def unigram_model(bytes_too):
    special = [["<unk>", 0.0], ["<s>", 0.0], ["</s>", 0.0]]
    from sentencepiece import sentencepiece_model_pb2
    message = sentencepiece_model_pb2.ModelProto()
    message.ParseFromString(trained(model_type="unigram", byte_fallback=bytes_too))
    pieces = [[p.piece, p.score] for p in message.pieces[3:]]
    return {"type": "Unigram", "unk_id": 0, "vocab": special + pieces, "byte_fallback": bytes_too}


def replace(pattern, content):
    return {"type": "Replace", "pattern": pattern, "content": content}


def several(kind, steps):
    return {"type": "Sequence", "normalizers" if kind == "normalizer" else "pretokenizers": steps}


def metaspace(**options):
    return {"type": "Metaspace", "replacement": MARK, **options}


SPACE_TO_MARK = replace({"String": " "}, MARK)
LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
STRIP = {"type": "Strip", "strip_left": True, "strip_right": True}


def byte_level_model():
    return json.loads(train(pre_tokenizers.ByteLevel(add_prefix_space=False)).to_str())["model"]


def punctuation(behavior):
    return {"type": "Punctuation", "behavior": behavior}


# Name: model, normalizer, pre_tokenizer.
JSON = {
    "llama-prepend": lambda: (bpe_model(), several("normalizer", [
        {"type": "Prepend", "prepend": MARK}, SPACE_TO_MARK]), None),
    "metaspace-always": lambda: (bpe_model(), None, metaspace(prepend_scheme="always")),
    "metaspace-first": lambda: (bpe_model(), None, metaspace(prepend_scheme="first", split=False)),
    "metaspace-first-cut": lambda: (bpe_model(False, False), STRIP, metaspace(
        prepend_scheme="first", split=True)),
    "metaspace-never": lambda: (bpe_model(True, False), {"type": "Nmt"}, metaspace(
        prepend_scheme="never")),
    "metaspace-old": lambda: (bpe_model(), None, metaspace(add_prefix_space=True, str_rep=MARK)),
    "metaspace-after-split": lambda: (bpe_model(), {"type": "Nmt"}, several("pre_tokenizer", [
        {"type": "WhitespaceSplit"}, {"type": "Digits", "individual_digits": True},
        metaspace(prepend_scheme="first")])),
    "gemma": lambda: (bpe_model(), SPACE_TO_MARK, {
        "type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious",
        "invert": False}),
    "falcon": lambda: (byte_level_model(), None, several("pre_tokenizer", [
        punctuation("Contiguous"), LEVEL, {"type": "Digits", "individual_digits": False},
        {"type": "Split", "pattern": {"Regex": "[0-9][0-9][0-9]"}, "behavior": "Isolated",
         "invert": False}])),
    "punctuation": lambda: (byte_level_model(), None, several("pre_tokenizer", [
        punctuation("MergedWithNext"), punctuation("Isolated"), LEVEL])),
    "spelled": lambda: (byte_level_model(), several("normalizer", [
        {"type": "NFC"}, {"type": "ByteLevel"}]), None),
    "t5": lambda: (unigram_model(False), charsmap(), metaspace(prepend_scheme="always")),
    "t5-old": lambda: (unigram_model(False), charsmap(), several("pre_tokenizer", [
        {"type": "WhitespaceSplit"}, metaspace(add_prefix_space=True)])),
    "folded": lambda: (unigram_model(True), charsmap(normalization_rule_name="nfkc_cf"), metaspace(
        prepend_scheme="first", split=False)),
    "xlm": lambda: (unigram_model(False), several("normalizer", [
        charsmap(), {"type": "Strip", "strip_left": False, "strip_right": True},
        replace({"Regex": " {2,}"}, MARK)]), metaspace(prepend_scheme="always")),
    "albert": lambda: (unigram_model(True), several("normalizer", [
        replace({"String": "``"}, '"'), replace({"String": "''"}, '"'), {"type": "NFKD"},
        {"type": "Lowercase"}, charsmap()]), metaspace()),
    "emptied": lambda: (unigram_model(True), several("normalizer", [
        replace({"Regex": r"\s+"}, ""), {"type": "NFKC"}]), metaspace(prepend_scheme="first")),
}
ADDED = [AddedToken("<s>", normalized=False, special=True),
         AddedToken("</s>", normalized=False, special=True),
         AddedToken("\n\n", normalized=False), AddedToken(MARK * 2, normalized=False),
         AddedToken("<mask>", lstrip=True, normalized=False, special=True),
         AddedToken("<r>", rstrip=True, normalized=False), AddedToken("word", single_word=True)]


def json_file(name):
    model, normalizer, pre_tokenizer = JSON[name]()
    document = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
                "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": None,
                "decoder": None, "model": model}
    library = Tokenizer.from_str(json.dumps(document))
    library.add_tokens(ADDED)
    document = json.loads(library.to_str())
    if name == "metaspace-old":
        document["pre_tokenizer"] = pre_tokenizer
    return ({"tokenizer.json": json.dumps(document).encode()}, None,
            lambda strings: [e.ids for e in library.encode_batch(strings, add_special_tokens=False)],
            [token.content for token in ADDED])


# vocab.json and merges.txt, and what says which tokens are cut out of the text before.

def flagged(rng, content, plain, **more):
    """A token as an object; flags that are left out are the library's."""
    flags = {key: not plain and rng.random() < 0.3 for key in ("lstrip", "rstrip", "single_word")}
    if rng.random() < 0.7:
        flags["normalized"] = not plain and rng.random() < 0.5
    return {"content": content, **flags, **more}


def opt_files(rng, size):
    """As they stand beside OPT's checkpoints."""
    end, pad = ({"content": text, "single_word": False, "lstrip": False, "rstrip": False,
                 "normalized": True} for text in ("</s>", "<pad>"))
    named = {"unk_token": end, "bos_token": end, "eos_token": end, "pad_token": pad}
    config = {"errors": "replace", "add_prefix_space": False, "add_bos_token": True,
              "special_tokens_map_file": None, "tokenizer_class": "GPT2Tokenizer"}
    return {"tokenizer_config.json": config | {key: token | {"__type": "AddedToken"}
                                               for key, token in named.items()},
            "special_tokens_map.json": named}, "opt"


def bare_files(rng, size):
    return {}, "gpt2"


def random_files(rng, size):
    """Any of the places that name tokens, in any way that versions of the library read alike: in
    Qwen2's class special tokens have no flags."""
    name = rng.choice(["GPT2Tokenizer", "GPT2TokenizerFast", "Qwen2Tokenizer", "Qwen2TokenizerFast"])
    plain = name.startswith("Qwen2")
    pool = ["<a>", "<b>", "<ab", "ab>", "word", "<|x|>", "\n\n", "e\u0301", " the"]
    rng.shuffle(pool)
    config = {"tokenizer_class": name, "add_prefix_space": rng.random() < 0.3}
    specials, added = {}, {}
    for index, key in enumerate(("bos_token", "eos_token", "unk_token", "pad_token", "mask_token")):
        where = rng.choice([config, specials, {}])
        typed = {"__type": "AddedToken"} if where is config else {}
        where[key] = rng.choice([pool[0], pool[1], None, flagged(rng, f"<{index}>", plain, **typed)])
    if rng.random() < 0.5:
        rng.choice([config, specials])["additional_special_tokens"] = pool[7:9] if plain else pool[2:5]
    if rng.random() < 0.5:
        added = {text: size + i for i, text in enumerate(pool[0:7])}
    if rng.random() < 0.5:
        config["added_tokens_decoder"] = {
            str(size + i): flagged(rng, text, plain and i < 5, special=i < 5 or rng.random() < 0.5)
            for i, text in enumerate(pool[0:7])} | {
            "0": {"content": "<|endoftext|>", "normalized": False, "special": True}}
    return {"tokenizer_config.json": config, "special_tokens_map.json": specials,
            "added_tokens.json": added}, rng.choice(["gpt2", "qwen2"])


def pair_files(name):
    from transformers.models.gpt2.tokenization_gpt2 import GPT2Tokenizer
    from transformers.models.qwen2.tokenization_qwen2 import Qwen2Tokenizer
    model = json.loads(merged())["model"]
    rng = random.Random(name)
    beside, model_type = PAIRS[name](rng, len(model["vocab"]))
    lines = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    end = rng.choice(["\n", "\r\n"])
    made = {"vocab.json": json.dumps(model["vocab"], ensure_ascii=rng.random() < 0.5).encode(),
            "merges.txt": (end.join(["#version: 0.2", *lines]) + end).encode(),
            **{file: json.dumps(value).encode() for file, value in beside.items() if value}}
    named = beside.get("tokenizer_config.json", {}).get("tokenizer_class", "GPT2Tokenizer")
    with tempfile.TemporaryDirectory() as folder:
        for file, content in made.items():
            (pathlib.Path(folder) / file).write_bytes(content)
        cls = GPT2Tokenizer if named.startswith("GPT2") else Qwen2Tokenizer
        library = cls.from_pretrained(folder)
    texts = [str(token) for token in library.added_tokens_decoder.values()]
    return made, model_type, lambda strings: library(strings, add_special_tokens=False)["input_ids"], texts


PAIRS = {"pair-opt": opt_files, "pair-bare": bare_files,
         **{f"pair-{i}": random_files for i in range(PAIRS_DRAWN)}}
FILES = {**{name: pair_files for name in PAIRS}, **{name: sentencepiece_file for name in SENTENCEPIECE},
         **{name: tiktoken_file for name in TIKTOKEN}, **{name: json_file for name in JSON}}
