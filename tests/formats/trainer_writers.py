# SPDX-License-Identifier: Apache-2.0
"""How training programs write a series of checkpoints: in which order, under which names, with which
marks, from the fixtures' files. A writer is a generator that writes a little between two yields; it
puts into `whole` the names of the checkpoints that are whole, as it makes them so."""
import json
import os
import re
import shutil
import time


def write(path, data, pause=True):
    """In two halves, with a yield between them."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb", buffering=0) as file:
        file.write(data[:len(data) // 2])
        if pause:
            yield
        file.write(data[len(data) // 2:])


def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def files_of(folder):
    found = (os.path.relpath(os.path.join(root, name), folder)
             for root, _, names in os.walk(folder) for name in names)
    return sorted(found, key=lambda name: (name.count(os.sep), name))


def numbered(data, counter, step):
    """The file with another step behind the counter's name: a number of one or two bytes."""
    one, two = b"K" + bytes([step % 256]), b"M" + step.to_bytes(2, "little")
    pattern = re.compile(re.escape(counter) + rb"(?:q.|r....|\x94)?(?:K(.)|M(..))", re.DOTALL)

    def replaced(match):
        return match[0][:-2] + one if match[1] else match[0][:-3] + two
    return pattern.sub(replaced, data)


def put(path, text):
    """A tracker: emptied, and written a moment later."""
    with open(path, "w", encoding="utf-8") as file:
        file.flush()
        yield
        file.write(text)


class Writer:
    """One run's folder. `fixture` and `below` say whose files are written."""
    needs_config = True
    idle = 3
    steps = (100, 101, 102)
    waits = False
    counter = b"no counter"  # in a file, before the step

    def __init__(self, fixtures, run):
        self.source = os.path.join(fixtures, self.fixture, self.below)
        self.run, self.whole, self.times = run, [], []
        self.traced = list  # replaced by a function that gives what is traced so far

    def name(self, step):
        return f"step-{step}"

    def path(self, step):
        return os.path.join(self.run, self.name(step))

    def done(self, step):
        self.times.append(time.time())
        self.whole.append(self.name(step))

    def until_traced(self, step):
        while self.name(step) not in self.traced():
            yield

    def files(self, target, names, step):
        for number, name in enumerate(names):
            data = numbered(read(self.source, name), self.counter, step)
            if 0 < number < 4:
                yield
            yield from write(os.path.join(target, name), data, number < 4)

    def distributed(self, target, step):
        """torch.distributed.checkpoint: data files, .metadata.tmp, renamed."""
        data = [name for name in files_of(self.source) if name.endswith(".distcp")]
        yield from self.files(target, data, step)
        path = os.path.join(target, ".metadata")
        yield from write(path + ".tmp", read(self.source, ".metadata"))
        yield
        os.rename(path + ".tmp", path)

    def series(self):
        for step in self.steps:
            yield from self.checkpoint(step)
            yield


class TorchTitan(Writer):
    """Saves beside the training, so that a save may end behind a later one's begin."""
    fixture, below, steps = "titan-w3", "step-6418", (6418, 6419, 6420)
    counter = b"\x80\x02"  # train_state.step is a number alone

    def checkpoint(self, step):
        yield from self.distributed(self.path(step), step)
        self.done(step)

    def series(self):
        first, second, third = self.steps
        yield from self.files(self.path(first), ["__0_0.distcp"], first)
        yield from self.checkpoint(second)
        yield from self.files(self.path(first), [".metadata"], first)
        self.done(first)
        yield from self.checkpoint(third)
        yield from self.files(self.path(6421), ["__0_0.distcp"], 6421)


class Accelerate(Writer):
    fixture, below = "dcp-app-fsdp2-w4", "."

    def name(self, step):
        return f"checkpoint_{step}"

    def checkpoint(self, step):
        yield from self.distributed(os.path.join(self.path(step), "pytorch_model_fsdp_0"), step)
        self.done(step)
        yield from write(os.path.join(self.path(step), "optimizer_0", "__0_0.distcp"), b"x" * 100)
        yield from write(os.path.join(self.path(step), "random_states_0.pkl"), b"x" * 100)


class HuggingFace(Writer):
    """The Trainer over FSDP: weights, optimizer, trainer_state.json."""
    fixture, below = "dcp-app-fsdp2-w4", "."

    def name(self, step):
        return f"checkpoint-{step}"

    def weights(self, step):
        yield from self.distributed(os.path.join(self.path(step), "pytorch_model_fsdp_0"), step)

    def checkpoint(self, step):
        yield from self.weights(step)
        yield from write(os.path.join(self.path(step), "optimizer.bin"), b"x" * 100)
        yield from write(os.path.join(self.path(step), "scheduler.pt"), b"x" * 100)
        state = json.dumps({"global_step": step, "log_history": [], "max_steps": 300})
        yield from write(os.path.join(self.path(step), "trainer_state.json"), state.encode())
        self.done(step)
        yield from write(os.path.join(self.path(step), "rng_state_1.pth"), b"x" * 100)

    def series(self):
        aside = os.path.join(self.run, "tmp-checkpoint-50")  # as before version 4.4x
        shutil.copytree(self.source, os.path.join(aside, "pytorch_model_fsdp_0"))
        yield from super().series()


class Deleting(HuggingFace):
    """Deletes what is traced; the second comes and goes before it is whole."""

    def series(self):
        for step in self.steps:
            if step == 101:
                yield from self.weights(step)
                shutil.rmtree(self.path(step))
                continue
            yield from self.checkpoint(step)
            yield from self.until_traced(step)
            shutil.rmtree(self.path(step))


class Overwriting(Accelerate):
    """Writes the first checkpoint a second time: the .metadata of before is there meanwhile."""

    def series(self):
        yield from self.checkpoint(self.steps[0])
        yield from self.until_traced(self.steps[0])
        yield from self.checkpoint(self.steps[0])


class OlmoCore(Writer):
    """A folder aside, renamed, then .metadata.json."""
    fixture, below, needs_config = "olmo-core", "step1000", False
    counter, steps = b"global_step", (1000, 1001, 1002)

    def name(self, step):
        return f"step{step}"

    def checkpoint(self, step):
        aside = self.path(step) + "-tmp"
        yield from self.files(aside, [os.path.join("train", "rank0.pt"), "config.json"], step)
        source, self.source = self.source, os.path.join(self.source, "model_and_optim")
        yield from self.distributed(os.path.join(aside, "model_and_optim"), step)
        self.source = source
        yield
        os.rename(aside, self.path(step))
        yield
        yield from write(os.path.join(self.path(step), ".metadata.json"), b'{"version": "1.0"}')
        self.done(step)


class LightningFsdp(Writer):
    fixture, below = "dcp-app-fsdp2-w4", "."

    def name(self, step):
        return f"epoch=0-step={step}.ckpt"

    def checkpoint(self, step):
        yield from self.distributed(self.path(step), step)
        meta = read(os.path.dirname(self.source), "..", "ds-zero2-w2", "global_step100",
                    "mp_rank_00_model_states.pt")
        yield from write(os.path.join(self.path(step), "meta.pt"), meta)
        self.done(step)


class Nemo(Writer):
    """A mark beside the folder for as long as it is not finished."""
    fixture, below = "dcp-app-fsdp2-w4", "."

    def name(self, step):
        return f"run--step={step}"

    def checkpoint(self, step):
        mark = self.path(step) + "-unfinished"
        yield from write(mark, b"")
        yield from self.distributed(os.path.join(self.path(step), "weights"), step)
        yield
        os.remove(mark)
        self.done(step)


class Megatron(Writer):
    fixture, below, needs_config = "megatron-pp2-vpp2", "iter_0000100", False
    counter = b"iteration"

    def name(self, step):
        return f"iter_{step:07}"

    def weights(self, step):
        yield from self.files(self.path(step), files_of(self.source), step)

    def checkpoint(self, step):
        yield from self.weights(step)
        yield
        yield from put(os.path.join(self.run, "latest_checkpointed_iteration.txt"), str(step))
        self.done(step)


class MegatronDistributed(Megatron):
    fixture = "megatron-torch-dist-tp2-pp2"

    def weights(self, step):
        yield from self.distributed(self.path(step), step)
        yield from self.files(self.path(step), ["common.pt"], step)
        yield from write(os.path.join(self.path(step), "metadata.json"),
                         b'{"sharded_backend": "torch_dist", "sharded_backend_version": 1}')


class DeepSpeed(Writer):
    """`latest` before the last barrier: other ranks may still write."""
    fixture, below, idle = "ds-zero3-w2", "global_step100", 6
    counter, steps = b"global_steps", (100, 101)

    def name(self, step):
        return f"global_step{step}"

    def checkpoint(self, step):
        names = files_of(self.source)
        yield from self.files(self.path(step), names[:-1], step)
        yield from put(os.path.join(self.run, "latest"), self.name(step))
        yield from self.files(self.path(step), names[-1:], step)
        self.done(step)


class DeepSpeedWhole(DeepSpeed):
    fixture = "ds-zero2-w2"


class NeoX(DeepSpeed):
    fixture, below, needs_config = "neox-layers-mp1", "global_step7697", False
    counter, steps = b"iteration", (7697, 7698)

    def checkpoint(self, step):
        names = [name for name in files_of(self.source) if not name.startswith("configs")]
        yield from self.files(self.path(step), names, step)
        yield from put(os.path.join(self.run, "latest"), self.name(step))
        yield
        yield from self.files(self.path(step), [os.path.join("configs", "demo.yml")], step)
        self.done(step)


class Lightning(Writer):
    """One file, written aside and moved."""
    fixture, below, idle = "lightning-ckpt", "epoch=0-step=3.ckpt", 6
    counter, steps = b"global_step", (3, 4)

    def name(self, step):
        return f"epoch=0-step={step}.ckpt"

    def checkpoint(self, step):
        aside = os.path.join(self.run, f".tmp-{step}")
        yield from write(aside, numbered(read(self.source), self.counter, step))
        os.rename(aside, self.path(step))
        self.done(step)


class LitGpt(Writer):
    fixture, below, needs_config = "litgpt-pretrain", "step-00006418", False
    counter, steps, idle = b"step_count", (6418, 6419, 6420), 6

    def name(self, step):
        return f"step-{step:08}"

    def checkpoint(self, step):
        yield from self.files(self.path(step), ["lit_model.pth"], step)
        yield from write(os.path.join(self.path(step), "hyperparameters.yaml"), b"a: 1\n")
        yield from self.files(self.path(step), ["model_config.yaml"], step)
        self.done(step)


class Composer(Writer):
    """A file in place, then a link to it."""
    fixture, below, idle = "pt-zip-proto4", "pytorch_model.bin", 6
    steps = (100, 101)

    def name(self, step):
        return f"ep0-ba{step}-rank0.pt"

    def checkpoint(self, step):
        yield from write(self.path(step), read(self.source))
        self.done(step)
        link = os.path.join(self.run, "latest-rank0.pt")
        if os.path.lexists(link):
            os.remove(link)
        os.symlink(self.name(step), link)


class Script(Composer):
    """torch.save in place."""

    def name(self, step):
        return f"model_step{step}.pt"


class NanoGpt(Writer):
    """torch.save over the file of before."""
    fixture, below, idle = "pt-nanogpt-gpt2", "ckpt.pt", 6
    counter, steps = b"iter_num", (12, 13, 14)
    waits = True  # for the tracer: what is overwritten before it looks is lost
    pauses = 5  # between saves, in seconds: one that is at rest for less cannot be known whole

    def name(self, step):
        return f"ckpt@{step}.pt"

    def checkpoint(self, step):
        yield from write(os.path.join(self.run, "ckpt.pt"),
                         numbered(read(self.source), self.counter, step))
        self.done(step)
        for _ in range(20):
            yield self.pauses / 20


class Nanotron(Writer):
    fixture, below, needs_config = "nanotron-tp2", "6418", False
    idle = 8

    def name(self, step):
        return str(step)

    def checkpoint(self, step):
        names = [name for name in files_of(self.source) if name.startswith("model" + os.sep)]
        yield from self.files(self.path(step), names, step)
        yield from self.files(self.path(step), ["checkpoint_metadata.json"], step)
        yield from put(os.path.join(self.run, "latest.txt"), str(step))
        yield from self.files(self.path(step), ["model_config.json"], step)
        self.done(step)


WRITERS = {writer.__name__: writer for writer in (
    TorchTitan, Accelerate, HuggingFace, Deleting, Overwriting, OlmoCore, LightningFsdp, Nemo, Megatron, MegatronDistributed,
    DeepSpeed, DeepSpeedWhole, NeoX, Lightning, LitGpt, Composer, Script, NanoGpt, Nanotron)}
