# SPDX-License-Identifier: Apache-2.0
"""One model in every layout that is read: each gives the numbers of the plain one.

test_layouts.py NAME=PATH...: trace-ckpts, store_json."""

import json
import os
import struct
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
import tiny_checkpoint as tiny
from harness import check

WORDS = ("module", "_module", "_orig_mod", "_forward_module", "_original_module",
         "_fsdp_wrapped_module", "_fpw_module", "_checkpoint_wrapped_module",
         "_dmp_wrapped_module")
ROOTS = {"llama": "model.", "gpt_neox": "gpt_neox."}


# ---- ways to name tensors ------------------------------------------------------------------------

def renamed(tensors, change):
    return {change(name): value for name, value in tensors.items()}


def without(root):
    return lambda name: name.removeprefix(root)


def held(holder):
    return lambda name: holder + name


def wrapped(word):
    """Around the whole model, around each block and around what is in it."""
    def change(name):
        parts = name.split(".")
        at = parts.index("layers") + 2 if "layers" in parts else 0
        return ".".join([word, *parts[:at], word, word, *parts[at:]])
    return change


def wrapped_here_and_there(name):
    words = [word for i, word in enumerate(WORDS) if hash_of(name) >> i & 1]
    return ".".join([*words, name])


def hash_of(text):
    return sum(ord(c) * (i + 1) for i, c in enumerate(text))


# ---- folders -------------------------------------------------------------------------------------

class Folders:
    """Tiny checkpoints of one random model, below one folder."""

    def __init__(self, root):
        self.root = root

    def model(self, family="llama", **changes):
        config = tiny.config_of(family, **changes)
        return config, tiny.random_tensors(config, 3)

    def put(self, name, config, tensors, shards=0, tokenizer=False):
        folder = os.path.join(self.root, name)
        os.makedirs(folder, exist_ok=True)
        tiny.write(os.path.join(folder, "config.json"), json.dumps(config))
        if shards:
            tiny.write_shards(folder, tensors, shards)
        elif tensors:
            tiny.write(os.path.join(folder, "model.safetensors"), tiny.safetensors(tensors))
        if tokenizer:
            self.tokenizer(name)
        return folder

    def tokenizer(self, name):
        tiny.write(os.path.join(self.root, name, "tokenizer.json"),
                   json.dumps(tiny.byte_tokenizer()))

    def index(self, folder, edit):
        path = os.path.join(folder, "model.safetensors.index.json")
        whole = json.loads(tiny.read(path))
        edit(whole["weight_map"])
        tiny.write(path, json.dumps(whole))


class Tracer:
    def __init__(self, programs):
        self.programs, self.count = programs, 0

    def run(self, root, folders, *options, tokens=True):
        """(the run, the rows of its store)"""
        self.count += 1
        out = os.path.join(root, f"out{self.count}.h5")
        ids = os.path.join(root, "ids.jsonl")
        tiny.write_tokens(ids, 2, 16)
        ran = harness.run(self.programs["trace-ckpts"], *(["--tokens", ids] if tokens else []),
                          *options, "-o", out, "--device", "cpu", "--ckpts", *folders)
        variables = ["importance"] if "--no-nll" in options else ["importance", "nll"]
        store = self.programs["store_json"]
        return ran, harness.Store(store, out, *variables).rows if os.path.exists(out) else []

    def same(self, root, plain, layouts, *options):
        """Whether each layout's row is the plain one's; the run."""
        ran, rows = self.run(root, [plain, *layouts], *options)
        ran.expect(0)
        by_name = {row["name"]: row for row in rows}
        expected = by_name[os.path.basename(plain)]
        for layout in layouts:
            row = by_name[os.path.basename(layout)]
            check(row["importance"] == expected["importance"] and
                  row.get("nll") == expected.get("nll"), layout, "gives other numbers", ran)
        return ran


# ---- the cases -----------------------------------------------------------------------------------

def names(tracer, root):
    """Base models, wrappers and holders, of both families, tied and not."""
    folders, count = Folders(root), 0
    for family, top in ROOTS.items():
        for tied in (False, True):
            config, tensors = folders.model(family, tie_word_embeddings=tied)
            if tied:
                tensors.pop("embed_out.weight", None)
            plain = folders.put(f"{family}{tied}", config, tensors)
            changes = [without(top), held("model."), held("base_model.model."),
                       held("pretrained_model."), wrapped_here_and_there,
                       *(wrapped(word) for word in WORDS)]
            changes.append(lambda name, top=top: "module.model." + without(top)(name))
            layouts = [folders.put(f"{family}{tied}, layout {i}", config, renamed(tensors, change))
                       for i, change in enumerate(changes)]
            tracer.same(root, plain, layouts)
            count += len(layouts)
    return f"{count} layouts"


def tied_with_the_head_alone(tracer, root):
    folders = Folders(root)
    for family, embed, head in (("llama", "model.embed_tokens.weight", "lm_head.weight"),
                                ("gpt_neox", "gpt_neox.embed_in.weight", "embed_out.weight")):
        config, tensors = folders.model(family, tie_word_embeddings=True)
        tensors.pop("embed_out.weight", None)
        plain = folders.put(family, config, tensors)
        layouts = [folders.put(f"{family} {name}", config,
                               renamed(tensors, lambda n, to=name: to if n == embed else n))
                   for name in (head, "model." + head, "module." + head)]
        tracer.same(root, plain, layouts)
        tracer.same(root, plain, layouts, "--no-nll")


def indexes(tracer, root):
    """What an index says too much, and where shards may lie."""
    folders = Folders(root)
    config, tensors = folders.model()
    plain = folders.put("plain", config, tensors)
    first = "model-00001-of-00003.safetensors"

    def stale(places):
        places["model.layers.0.self_attn.rotary_emb.inv_freq"] = first
        places["model.layers.7.mlp.up_proj.weight"] = first

    def dotted(places):
        places.update({name: "./" * (i % 3) + shard
                       for i, (name, shard) in enumerate(places.items())})

    def partial(places):
        del places["model.norm.weight"]

    layouts = []
    for edit in (stale, dotted, partial):
        layouts.append(folders.put(edit.__name__, config, tensors, shards=3))
        folders.index(layouts[-1], edit)
    layout = folders.put("below", config, tensors, shards=3)
    os.makedirs(layout + "/weights/part")
    os.rename(f"{layout}/{first}", f"{layout}/weights/part/{first}")
    folders.index(layout, lambda places: places.update(
        {name: "weights/part/" + shard for name, shard in places.items() if shard == first}))
    tracer.same(root, plain, [*layouts, layout])


def copies(tracer, root):
    folders = Folders(root)
    config, tensors = folders.model()
    plain = folders.put("plain", config, tensors)
    norm = tensors["model.norm.weight"]
    layouts = [folders.put(name, config, {**tensors, name: norm}) for name in
               ("norm.weight", "module.model.norm.weight", "model.model.norm.weight")]
    layout = folders.put("shards", config, tensors, shards=2)
    for shard in ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"):
        header, data = tiny.split_header(tiny.read(f"{layout}/{shard}"))
        if "model.norm.weight" in header:
            continue
        header["model.norm.weight"] = {"dtype": "F32", "shape": norm[1],
                                       "data_offsets": [len(data), len(data) + len(norm[2])]}
        tiny.write(f"{layout}/{shard}", tiny.join_header(json.dumps(header), data + norm[2]))
    tracer.same(root, plain, [*layouts, layout])


def headers(tracer, root):
    folders = Folders(root)
    config, tensors = folders.model()
    plain = folders.put("plain", config, tensors)
    layouts = []
    for metadata in ("null", " null ", "{}"):
        layouts.append(folders.put(f"metadata {metadata}", config, tensors))
        path = layouts[-1] + "/model.safetensors"
        header, data = tiny.split_header(tiny.read(path))
        text = '{"__metadata__":' + metadata + "," + json.dumps(header)[1:]
        tiny.write(path, tiny.join_header(text, data))
    tracer.same(root, plain, layouts)


def choices(tracer, root):
    """Where two files could be meant, one line says which is read."""
    folders = Folders(root)
    config, tensors = folders.model()
    plain = folders.put("plain", config, tensors)
    layout = folders.put("both", config, tensors)
    tiny.write(layout + "/pytorch_model.bin", "not looked at")
    ran = tracer.same(root, plain, [layout])
    check("both: model.safetensors is read, not pytorch_model.bin\n" in ran.err, ran)
    layout = folders.put("whole and shards", config, tensors, shards=2)
    folders.put("whole and shards", config, tensors)
    ran = tracer.same(root, plain, [layout])
    check("whole and shards: model.safetensors is read, not model.safetensors.index.json\n"
          in ran.err, ran)
    ran, _ = tracer.run(root, [root + "/both", layout, plain])
    check(ran.err.count("is read, not") == 1 and ", and so on\n" in ran.err, ran)
    check("is read, not" not in tracer.run(root, [plain])[0].err, "a choice of one")


def classes(tracer, root):
    """config.json without model_type."""
    folders = Folders(root)
    for family, name in (("llama", "LlamaForCausalLM"), ("gpt_neox", "GPTNeoXForCausalLM")):
        config, tensors = folders.model(family)
        plain = folders.put(family, config, tensors)
        less = {key: value for key, value in config.items() if key != "model_type"}
        layout = folders.put(name, dict(less, architectures=[name]), tensors)
        tracer.same(root, plain, [layout])


def tokenizers(tracer, root):
    """The first checkpoint's, the folder's above, another checkpoint's, the one that is named."""
    folders = Folders(root)
    both = [folders.put("run/step_1", *folders.model()), folders.put("run/step_2", *folders.model())]
    text = ("--samples", "2", "--seq-len", "16")
    ran, _ = tracer.run(root, both, *text, tokens=False)
    ran.expect(2)
    folders.tokenizer("run/step_2")
    ran, rows = tracer.run(root, both, *text, tokens=False)
    ran.expect(0)
    check(f"step_1 has no tokenizer; taken is {root}/run/step_2/tokenizer.json\n" in ran.err, ran)
    folders.tokenizer("run")
    ran, again = tracer.run(root, both, *text, tokens=False)
    check(f"step_1 has no tokenizer; taken is {root}/run/tokenizer.json\n" in ran.err, ran)
    check(rows[0]["importance"] == again[0]["importance"], "another text", ran)
    folders.tokenizer("run/step_1")
    ran, again = tracer.run(root, both, *text, tokens=False)
    check("taken is" not in ran.err, ran)
    tiny.write(root + "/run/step_2/tokenizer.json", "{}")  # of another checkpoint: another text
    tracer.run(root, both, *text, tokens=False)[0].expect(2)
    for named in (root + "/run/tokenizer.json", root + "/run"):
        ran, again = tracer.run(root, both, *text, "--tokenizer", named, tokens=False)
        ran.expect(0)
        check(rows[0]["importance"] == again[0]["importance"], "another text", ran)


def vocabularies(tracer, root):
    """An embedding that is padded later in the series."""
    folders = Folders(root)
    config, tensors = folders.model()
    plain = [folders.put("plain/step_1", config, tensors),
             folders.put("plain/step_2", config, tensors)]
    padded = dict(tensors)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        dtype, shape, values = tensors[name]
        padded[name] = (dtype, [shape[0] + 4, shape[1]],
                        values + struct.pack(f"<{4 * shape[1]}f", *[9.0] * (4 * shape[1])))
    later = folders.put("later/step_2", dict(config, vocab_size=264), padded)
    said = ("the vocabulary grows from 260 to 264 rows within the series: the first 260 are used "
            "throughout, and the loss is over those ids\n")
    expected = tracer.run(root, plain)[1]
    for series in ([plain[0], later], [later, folders.put("later/step_3", config, tensors)]):
        ran, rows = tracer.run(root, series)
        ran.expect(0)
        check(said in " ".join(ran.err.split()) + "\n" or said in ran.err, ran)
        for row, other in zip(rows, expected):
            check(row["importance"] == other["importance"] and row["nll"] == other["nll"], ran)
    ran, rows = tracer.run(root, [later])  # alone it has all its rows
    check("vocabulary=264" in ran.err and rows[0]["nll"] != expected[0]["nll"], ran)
    dtype, shape, values = padded["model.embed_tokens.weight"]
    before = tracer.run(root, [plain[0], later])[1][1]["weights_digest"]
    tiny.write(later + "/model.safetensors", tiny.safetensors(
        {**padded, "model.embed_tokens.weight": (dtype, shape, b"\0" * 4 + values[4:])}))
    after = tracer.run(root, [plain[0], later])[1][1]["weights_digest"]
    check(before != after, "the digest does not cover the rows that are used")
    other = folders.put("other/step_2", *folders.model(hidden_size=32, vocab_size=100))
    ran, rows = tracer.run(root, [plain[0], other])  # another model changes nothing
    check(rows[0]["nll"] == expected[0]["nll"] and "is another model" in ran.err, ran)


CASES = (names, tied_with_the_head_alone, indexes, copies, headers, choices, classes, tokenizers,
         vocabularies)


def main():
    options = harness.programs(sys.argv[1:])
    tracer = Tracer(options)

    def alone(case):
        def run():
            with harness.scratch() as root:
                return case(tracer, root)
        return run

    return harness.run_cases([(case.__name__.replace("_", " "), alone(case)) for case in CASES],
                             os.path.basename(options.get("only", "")))


if __name__ == "__main__":
    sys.exit(main())
