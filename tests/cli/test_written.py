# SPDX-License-Identifier: Apache-2.0
"""What trace-drop write makes of small checkpoints, and what it refuses, sentence by sentence.

test_written.py trace-drop=PATH. tests/oracle/test_drop_write.py has transformers load what is
written."""

import json
import os
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
import tiny_checkpoint as tiny
from harness import check

LAYERS = 4
OUTPUTS = {"attn": ("self_attn.o_proj.", "attention.dense."),
           "mlp": ("mlp.down_proj.", "mlp.dense_4h_to_h.")}


def tensors_of(folder):
    """Name -> (dtype, shape, bytes) over all files, and name -> file."""
    tensors, places = {}, {}
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".safetensors"):
            continue
        header, data = tiny.split_header(tiny.read(os.path.join(folder, name)))
        check(header.pop("__metadata__", {"format": "pt"}) == {"format": "pt"}, name)
        for tensor, entry in header.items():
            check(tensor not in tensors, tensor, "is there twice")
            begin, end = entry["data_offsets"]
            tensors[tensor] = (entry["dtype"], entry["shape"], data[begin:end])
            places[tensor] = name
    return tensors, places


def load(folder, name):
    return json.loads(tiny.read(os.path.join(folder, name)))


def contents(folder):
    """Name -> bytes of every file below the folder."""
    return {os.path.relpath(os.path.join(at, name), folder): tiny.read(os.path.join(at, name))
            for at, _, names in os.walk(folder) for name in names}


class Cases:
    def __init__(self, programs, root):
        self.program, self.root, self.count = programs["trace-drop"], root, 0

    def source(self, family="llama", **options):
        self.count += 1
        folder = f"{self.root}/source{self.count}"
        layout = "gpt_neox" if family == "gpt_neox" else "llama"
        tiny.write_checkpoint(folder, layout, **{"num_hidden_layers": LAYERS, **options})
        config = dict(load(folder, "config.json"), model_type=family)
        tiny.write(folder + "/config.json", json.dumps(config))
        return folder

    def write(self, source, drop, form, *options, target=None):
        self.count += 1
        target = target or f"{self.root}/written{self.count}"
        before = contents(source)
        ran = harness.run(self.program, "write", source, "--drop", drop, "--as", form, "-o", target,
                          *options)
        check(contents(source) == before, "the source has changed:", ran)
        check(not [name for name in os.listdir(self.root) if "partial" in name],
              "a half folder is left:", os.listdir(self.root), ran)
        return ran, target

    def written(self, *arguments, **more):
        ran, target = self.write(*arguments, **more)
        ran.expect(0)
        check("--no-check" in arguments or "to the bit" in ran.out or "mergekit" in arguments,
              "it was not run:", ran)
        return target

    # ---- smaller -------------------------------------------------------------------------------

    def smaller(self, **options):
        """Tensors of the blocks that stay, under their new numbers; nothing else."""
        source = self.source(**options)
        target = self.written(source, "block:0,2", "smaller")
        before, _ = tensors_of(source)
        after, places = tensors_of(target)
        stem = "gpt_neox.layers." if "family" in options else "model.layers."
        expected = {name: value for name, value in before.items() if not name.startswith(stem)}
        for new, old in enumerate((1, 3)):
            expected.update({name.replace(f"{stem}{old}.", f"{stem}{new}."): value
                             for name, value in before.items() if name.startswith(f"{stem}{old}.")})
        check(after == expected, "other tensors:", sorted(after), "expected:", sorted(expected))
        config = dict(load(source, "config.json"), num_hidden_layers=2)
        check(load(target, "config.json") == config, load(target, "config.json"))
        check(tiny.read(target + "/tokenizer.json") == tiny.read(source + "/tokenizer.json"))
        return target, places

    def single(self):
        target, places = self.smaller()
        check(set(places.values()) == {"model.safetensors"}, places)
        check(sorted(os.listdir(target)) == ["DROPPED.md", "config.json", "model.safetensors",
                                             "tokenizer.json"], os.listdir(target))

    def tied(self):
        target, places = self.smaller(tie_word_embeddings=True)
        check("lm_head.weight" not in places, "a tied head has become a tensor of its own")

    def biases(self):
        self.smaller(family="gpt_neox")

    def shards(self):
        target, places = self.smaller(shards=3)
        check(set(places.values()) == {f"model-{i:05d}-of-00003.safetensors" for i in (1, 2, 3)},
              places)
        index = load(target, "model.safetensors.index.json")
        tensors, _ = tensors_of(target)
        check(index["weight_map"] == places, index)
        check(index["metadata"]["total_size"] == sum(len(v[2]) for v in tensors.values()), index)

    def by_blocks(self):
        """A source with a file for each block: one that keeps its number is copied as it is, one of
        a dropped block is gone."""
        source = self.source()
        tensors, _ = tensors_of(source)
        os.unlink(source + "/model.safetensors")
        parts = {}
        for name, value in tensors.items():
            block = int(name.split(".")[2]) if ".layers." in name else LAYERS
            parts.setdefault(block, {})[name] = value
        places = {}
        for block, part in sorted(parts.items()):
            file = f"model-{block + 1:05d}-of-{LAYERS + 1:05d}.safetensors"
            tiny.write(f"{source}/{file}", tiny.safetensors(part))
            places.update({name: file for name in part})
        tiny.write(source + "/model.safetensors.index.json",
                   json.dumps({"metadata": {}, "weight_map": places}))
        return source

    def untouched(self):
        source = self.by_blocks()
        target = self.written(source, "block:1", "smaller")
        _, places = tensors_of(target)
        check(sorted(set(places.values())) == [f"model-{i:05d}-of-00004.safetensors"
                                               for i in (1, 2, 3, 4)], places)
        first = tiny.read(f"{target}/model-00001-of-00004.safetensors")
        check(first == tiny.read(f"{source}/model-00001-of-00005.safetensors"), "not copied whole")
        return source

    def links(self):
        """With --link what is untouched is the source's file, and nothing else is."""
        source = self.by_blocks()
        for options, linked in (((), set()), (("--link",), {"model-00001-of-00004.safetensors",
                                                            "model-00004-of-00004.safetensors",
                                                            "tokenizer.json"})):
            target = self.written(source, "block:1", "smaller", *options)
            inodes = {os.stat(f"{source}/{name}").st_ino for name in os.listdir(source)}
            same = {name for name in os.listdir(target)
                    if os.stat(f"{target}/{name}").st_ino in inodes}
            check(same == linked, "linked:", sorted(same), "expected:", sorted(linked))

    def carried(self):
        """Other files come along, other weights and folders do not."""
        source = self.source()
        for name in ("README.md", "chat_template.jinja", "modeling_own.py", "optimizer.pt",
                     "other.gguf", ".gitattributes"):
            tiny.write(f"{source}/{name}", name)
        os.mkdir(source + "/onnx")
        ran, target = self.write(source, "block:1", "smaller")
        ran.expect(0)
        check("Not carried over: onnx, optimizer.pt, other.gguf." in ran.out, ran)
        for name in ("README.md", "chat_template.jinja", "modeling_own.py", ".gitattributes"):
            check(tiny.read(f"{target}/{name}") == name.encode(), name)
        check(not {"optimizer.pt", "other.gguf", "onnx"} & set(os.listdir(target)))

    def dropped_before(self):
        """Sublayers that config.json leaves out already are of the set."""
        source = self.source(drop_attn_list=[1], drop_mlp_list=[False, True, False, False])
        target = self.written(source, "block:3", "smaller")
        config = load(target, "config.json")
        check(config["num_hidden_layers"] == 2 and "drop_attn_list" not in config, config)

    # ---- zeroed --------------------------------------------------------------------------------

    def zeroed(self, **options):
        source = self.source(**options)
        target = self.written(source, "attn:1 mlp:1,3", "zeroed")
        before, placed = tensors_of(source)
        after, places = tensors_of(target)
        check(placed == places, "tensors have moved:", places)
        zeroed = set()
        for name, (dtype, shape, values) in before.items():
            dropped = [1] if any(part in name for part in OUTPUTS["attn"]) else \
                [1, 3] if any(part in name for part in OUTPUTS["mlp"]) else []
            if any(f"layers.{layer}." in name for layer in dropped):
                values = bytes(len(values))
                zeroed.add(name)
            check(after[name] == (dtype, shape, values), name)
        check(len(zeroed) == (6 if "family" in options else 3), zeroed)
        check(load(target, "config.json") == load(source, "config.json"))
        return source, target

    def zeroed_shards(self):
        source, target = self.zeroed(shards=4, family="gpt_neox")
        _, places = tensors_of(target)
        check(load(target, "model.safetensors.index.json")["weight_map"] == places)

    def says_that_nothing_is_saved(self):
        ran, target = self.write(self.source(), "mlp:2", "zeroed")
        check("save nothing" in ran.expect(0).out, ran)
        check("save nothing" in tiny.read(target + "/DROPPED.md").decode())

    def per_layer_config(self):
        """Only on request, on top of zeroed weights, with numbers of one width."""
        source = self.source(num_hidden_layers=12)
        target = self.written(source, "attn:2 block:10", "zeroed", "--per-layer-config")
        skips = {"02": {"skip": ["attention"]}, "10": {"skip": ["attention", "mlp"]}}
        check(load(target, "config.json")["per_layer_config"] == skips)
        tensors, _ = tensors_of(target)
        check(not any(tensors["model.layers.2.self_attn.o_proj.weight"][2]), "it is not zeroed")

    # ---- for readers that skip -----------------------------------------------------------------

    def llm_drop(self):
        source = self.source(auto_map={"AutoTokenizer": ["tokenization_own.Own", None]},
                             rope_parameters={"rope_type": "linear", "rope_theta": 500.0,
                                              "factor": 2.0})
        target = self.written(source, "mlp:3,1 block:2", "llm-drop")
        config = load(target, "config.json")
        check((config["drop_attn_list"], config["drop_mlp_list"]) == ([2], [1, 2, 3]), config)
        check((config["rope_theta"], config["rope_scaling"], "rope_parameters" in config) ==
              (500.0, {"type": "linear", "factor": 2.0}, False), config)
        check(config["auto_map"] == {
            "AutoTokenizer": ["tokenization_own.Own", None],
            "AutoConfig": "configuration_dropped_llama.LlamaConfig",
            "AutoModelForCausalLM": "modeling_dropped_llama.LlamaForCausalLM"}, config)
        check(tensors_of(target) == tensors_of(source), "tensors have changed")

    def spelled(self):
        """What LLM-Drop's code reads otherwise than transformers does today: windows, and heads of
        their own beside a tie."""
        source = self.source("mistral", sliding_window=8, tie_word_embeddings=True)
        tensors, _ = tensors_of(source)
        dtype, shape, values = tensors["model.embed_tokens.weight"]
        tensors["lm_head.weight"] = dtype, shape, values[::-1]
        tiny.write(source + "/model.safetensors", tiny.safetensors(tensors))
        target = self.written(source, "attn:1", "llm-drop")
        config = load(target, "config.json")
        check((config["sliding_window"], config["tie_word_embeddings"]) == (7, False), config)
        target = self.written(source, "attn:1", "zeroed")
        check(load(target, "config.json") == load(source, "config.json"), "config.json has changed")
        heads = load(source, "config.json")["num_attention_heads"]
        source = self.source("mistral", num_key_value_heads=heads)
        tiny.write(source + "/config.json", json.dumps(
            dict(load(source, "config.json"), num_key_value_heads=None)))
        config = load(self.written(source, "attn:1", "llm-drop"), "config.json")
        check((config["num_key_value_heads"], config["sliding_window"]) == (heads, 4095), config)

    def gone(self, source, target, attn, mlp):
        """Exactly the tensors of those sublayers are gone, their norms included."""
        before, after = tensors_of(source)[0], tensors_of(target)[0]
        parts = {"self_attn.": attn, "input_layernorm.": attn, "mlp.": mlp,
                 "post_attention_layernorm.": mlp}
        expected = {name: value for name, value in before.items()
                    if not any(f"layers.{layer}.{part}" in name for part, layers in parts.items()
                               for layer in layers)}
        check(after == expected, sorted(before.keys() - after.keys()))

    def anymodel(self):
        source = self.source(architectures=["LlamaForCausalLM"])
        target = self.written(source, "attn:0 mlp:2", "block-configs")
        config = load(target, "config.json")
        names = [config[key] for key in ("model_type", "architectures", "base_architecture",
                                         "num_hidden_layers")]
        check(names == ["anymodel", ["AnyModel"], "LlamaForCausalLM", LAYERS], config)
        for layer, block in enumerate(config["block_configs"]):
            check(block["attention"] == {"no_op": layer == 0,
                                         "num_key_value_heads": None if layer == 0 else 1}, block)
            check(block["ffn"] == {"no_op": layer == 2,
                                   "intermediate_size": None if layer == 2 else 24}, block)
        self.gone(source, target, [0], [2])

    def nemotron_nas(self):
        source = self.source(intermediate_size=256)
        target = self.written(source, "attn:1,2 mlp:2", "block-configs", "--dialect",
                              "nemotron-nas")
        config = load(target, "config.json")
        check((config["model_type"], config["architectures"]) ==
              ("nemotron-nas", ["DeciLMForCausalLM"]), config)
        for layer, block in enumerate(config["block_configs"]):
            attn, mlp = layer in (1, 2), layer == 2
            check(block["attention"] == {"no_op": attn, "n_heads_in_group": None if attn else 2,
                                         "replace_with_linear": False}, block)
            check(block["ffn"] == {"no_op": mlp, "ffn_mult": None if mlp else 24.0,
                                   "replace_with_linear": False}, block)
        self.gone(source, target, [1, 2], [2])

    def mergekit(self):
        source = self.source(num_hidden_layers=6)
        target = self.written(source, "block:0,3", "mergekit")
        check(sorted(os.listdir(target)) == ["DROPPED.md", "mergekit.yaml"], os.listdir(target))
        check(tiny.read(target + "/mergekit.yaml").decode() ==
              "merge_method: passthrough\ndtype: float32\nslices:\n" +
              "".join(f'  - sources:\n      - model: "{source}"\n        layer_range: [{a}, {b}]\n'
                      for a, b in ((1, 3), (4, 6))))

    # ---- the card ------------------------------------------------------------------------------

    def card(self):
        """Names the set, and what the plan says of how it was chosen."""
        plan = {"schema": "trace-plan", "drop": "block:2", "by": "cost-nll", "count": 1,
                "first_checkpoint": "step_0", "tau": None,
                "measured": {"set": "shortest", "loss": {"value": 0.0125, "low": None}}}
        tiny.write(self.root + "/plan.json", json.dumps(plan))
        target = self.written(self.source(), f"@{self.root}/plan.json", "smaller")
        card = tiny.read(target + "/DROPPED.md").decode()
        for words in ("Of the 4 blocks", "`block:2`", "- by: cost-nll\n", "- measured set: shortest\n",
                      "- measured loss value: 0.0125\n", "- first_checkpoint: step_0\n", "to the bit",
                      "Written by trace-drop 0."):
            check(words in card, "no", words, "in", card)
        check("tau" not in card, card)

    def unchecked(self):
        ran, _ = self.write(self.source(), "block:2", "smaller", "--no-check")
        check("It was not run (--no-check)." in ran.expect(0).out, ran)

    # ---- what is refused -----------------------------------------------------------------------

    def refuse(self, code, sentence, source, drop, form, *options, target=None):
        ran, made = self.write(source, drop, form, *options, target=target)
        sentence = sentence.replace("SOURCE", source).replace("TARGET", made)
        check(f"trace-drop write: {sentence}\n" in ran.err, "expected:", sentence, "in", ran)
        ran.expect(code)
        return made

    def lacking(self, name):
        source = self.source()
        tensors, _ = tensors_of(source)
        del tensors[name]
        tiny.write(source + "/model.safetensors", tiny.safetensors(tensors))
        return source

    def biased(self):
        source = self.source(mlp_bias=True)
        tensors, _ = tensors_of(source)
        for name in [name for name in tensors if ".mlp." in name]:
            dtype, shape, values = tensors[name]
            tensors[name.replace(".weight", ".bias")] = (dtype, shape[:1], values[:4 * shape[0]])
        tiny.write(source + "/model.safetensors", tiny.safetensors(tensors))
        return source

    def normed(self, **more):
        """A Gemma 2 with norms behind its sublayers."""
        source = self.source("gemma2", **{"rms_norm_eps": 0, "head_dim": 8,
                                          "tie_word_embeddings": True, **more})
        tensors, _ = tensors_of(source)
        for layer in range(LAYERS):
            for name in ("pre_feedforward_layernorm", "post_feedforward_layernorm"):
                tensors[f"model.layers.{layer}.{name}.weight"] = \
                    tensors[f"model.layers.{layer}.input_layernorm.weight"]
        tiny.write(source + "/model.safetensors", tiny.safetensors(tensors))
        return source

    def refusals(self):
        llama, config = self.source(), "SOURCE/config.json: "
        taken = self.root + "/taken"
        os.mkdir(taken)
        os.symlink("nowhere", self.root + "/dangling")
        cases = (
            (2, "the drop set is empty: there is nothing to leave out", llama, "", "zeroed"),
            (2, "the drop set leaves out every sublayer of the model", llama, "block:0-3", "zeroed"),
            (2, "the drop set names block 4, and the model has layers 0 to 3", llama, "block:4",
             "smaller"),
            (2, "a smaller checkpoint lacks whole blocks, and of block 2 only attention is left out: "
             "drop the block, or write it as zeroed", llama, "block:1 attn:2", "smaller"),
            (2, "a smaller checkpoint lacks whole blocks, and of block 3 only the MLP is left out: "
             "drop the block, or write it as zeroed", llama, "mlp:3", "mergekit"),
            (1, config + '"my_scales" has an entry for each of the 4 layers, and how it is cut is not '
             "known", self.source(my_scales=[1, 2, 3, 4]), "block:1", "smaller"),
            (1, config + '"deep" has an entry for each of the 4 layers, and how it is cut is not '
             "known", self.source(own={"deep": [1, 2, 3, 4]}), "block:1", "smaller"),
            (1, config + '"block_types" has 3 entries for 4 layers: how it is cut is not known',
             self.source(block_types=[1, 2, 3]), "block:1", "smaller"),
            (1, config + 'mergekit cuts no lists, and "layer_types" has one for the layers: write it '
             "as smaller", self.source(layer_types=["full_attention"] * 4), "block:1", "mergekit"),
            (1, config + "LLM-Drop has model code for llama, mistral, gemma2, baichuan and deepseek, "
             "not for gpt_neox", self.source("gpt_neox"), "attn:1", "llm-drop"),
            (1, config + 'LLM-Drop\'s model code for llama divides the hidden size by the heads and '
             'reads no "head_dim"', self.source(head_dim=16), "attn:1", "llm-drop"),
            (1, config + "LLM-Drop's model code for llama does not know this scaling of positions",
             self.source(rope_scaling={"rope_type": "yarn", "factor": 4.0}), "attn:1", "llm-drop"),
            (1, config + "LLM-Drop's model code for mistral does not know this scaling of positions",
             self.source("mistral", rope_scaling={"rope_type": "linear", "factor": 4.0}), "attn:1",
             "llm-drop"),
            (1, config + "LLM-Drop's model code for mistral knows no window of one token",
             self.source("mistral", sliding_window=1), "attn:1", "llm-drop"),
            (1, config + "LLM-Drop's model code for llama knows no biases in the MLP",
             self.biased(), "attn:1", "llm-drop"),
            (1, config + 'LLM-Drop\'s model code for gemma2 has a window in every second layer, '
             'whatever "layer_types" says', self.normed(
                 rms_norm_eps=1e-6, sliding_window=8, layer_types=["full_attention"] * LAYERS),
             "attn:1", "llm-drop"),
            (2, "without any attention LLM-Drop's models have no cache, and cannot generate", llama,
             "attn:0-3", "llm-drop"),
            (1, config + "of what AnyModel knows, only llama, mistral, qwen2 and qwen3 are written, "
             "not gpt_neox", self.source("gpt_neox"), "attn:1", "block-configs"),
            (1, config + "nemotron-nas is a Llama with other layers: only llama, and mistral without "
             "a window, can be written so", self.source("gpt_neox"), "attn:1", "block-configs",
             "--dialect", "nemotron-nas"),
            (1, config + "nemotron-nas is a Llama with other layers: it has no attention window",
             self.source("mistral", sliding_window=8, intermediate_size=256), "attn:1",
             "block-configs", "--dialect", "nemotron-nas"),
            (1, config + "nemotron-nas is a Llama with other layers: its activation is silu",
             self.source(hidden_act="gelu", intermediate_size=256), "attn:1", "block-configs",
             "--dialect", "nemotron-nas"),
            (1, config + "nemotron-nas says an MLP's width as a multiple of 256, which 24 is not: "
             "write it in the dialect anymodel, or as zeroed", llama, "attn:1", "block-configs",
             "--dialect", "nemotron-nas"),
            (1, "vLLM's nemotron_nas fails where the first layer has an MLP and no attention: keep "
             "attn:0, or drop block:0", self.source(intermediate_size=256), "attn:0",
             "block-configs", "--dialect", "nemotron-nas"),
            (1, "SOURCE: tensor model.layers.1.self_attn.o_proj.weight is missing (config.json: llama "
             "with 4 layers)", self.lacking("model.layers.1.self_attn.o_proj.weight"), "attn:1",
             "zeroed", "--no-check"),
            (1, config + "what a sublayer adds is normed with epsilon 0, which makes no number of "
             "zeros: it cannot be zeroed", self.normed(), "attn:1", "zeroed"),
            (2, "--per-layer-config stands on top of zeroed weights alone: --as zeroed", llama,
             "block:1", "smaller", "--per-layer-config"),
            (2, "--dialect takes anymodel or nemotron-nas, with --as block-configs", llama, "block:1",
             "smaller", "--dialect", "anymodel"),
            (2, '--as takes smaller, zeroed, llm-drop, block-configs or mergekit, not "thinner"',
             llama, "block:1", "thinner"),
        )
        for case in cases:
            made = self.refuse(*case)
            check(not os.path.lexists(made), made, "is there:", case)
        for path in (taken, self.root + "/dangling", taken + "/"):
            self.refuse(3, f"{path} is there already: nothing is written over", llama, "block:1",
                        "smaller", target=path)
        check(os.listdir(taken) == [], "something was written into", taken)
        inside = llama + "/new"
        self.refuse(3, f"{inside} would lie in {llama}, the checkpoint that is read: nothing is "
                    "written there", llama, "block:1", "smaller", target=inside)
        nowhere = self.root + "/no/where"
        self.refuse(2, f"{nowhere} cannot be made: the folder that it is to be in is not there",
                    llama, "block:1", "smaller", target=nowhere)

    def usage(self):
        for words, sentence in (((), "which command?"), (("erase",), 'there is no command "erase"')):
            ran = harness.run(self.program, *words).expect(2)
            check(f"trace-drop: {sentence}\n" in ran.err, ran)
        for words, sentence in ((("--as", "zeroed"), "which DIR?"),
                                (("DIR",), "--drop SET is needed: what shall be left out?"),
                                (("DIR", "--drop", "attn:1"),
                                 "--as FORM is needed: how shall it be written?"),
                                (("DIR", "--drop", "attn:1", "--as", "zeroed"),
                                 "-o NEWDIR is needed: where shall it go?"),
                                (("DIR", "DIR"), "one DIR at a time")):
            ran = harness.run(self.program, "write", *words).expect(2)
            check(f"trace-drop write: {sentence}\n" in ran.err, ran)


NAMES = ("single", "tied", "biases", "shards", "untouched", "links", "carried", "dropped_before",
         "zeroed", "zeroed_shards", "says_that_nothing_is_saved", "per_layer_config", "llm_drop", "spelled",
         "anymodel", "nemotron_nas", "mergekit", "card", "unchecked", "refusals", "usage")


def one(programs, name):
    def case():
        with harness.scratch() as root:
            getattr(Cases(programs, root), name)()
    return case


def main():
    programs = harness.programs(sys.argv[1:])
    return harness.run_cases([(name.replace("_", " "), one(programs, name)) for name in NAMES])


if __name__ == "__main__":
    sys.exit(main())
