# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that are run though their files do not agree with themselves, and what is said of them.
Each case takes the programs and an empty folder."""

import json

import harness
import tiny_checkpoint as tiny
from harness import check
from store_faults import Job

ROPES = ('config.json has "rope_scaling" beside another "rope_parameters": "rope_scaling" counts, as '
         "in transformers")
HEAD = ("config.json ties the head to the embedding, but the files hold a tensor for it: that one "
        "counts, as in transformers 5")
OTHERS = ("the files also hold tensors of something else than this model (averaged copies of its "
          "weights, a vision tower ...): they are not read")


def configured(job, **changes):
    """Changes config.json of the job's only checkpoint, and traces it: (values, what was said)."""
    path = job.folders[0] + "/config.json"
    config = dict(json.loads(tiny.read(path)), **changes)
    tiny.write(path, json.dumps({key: value for key, value in config.items() if value is not None}))
    ran = job.run("--fresh").expect(0)
    row = job.store("importance", "nll").rows[0]
    return (row["importance"], row["nll"]), ran.err


def two_ropes(programs, root):
    """rope_scaling replaces rope_parameters, its base included."""
    job = Job(programs, root, 1)
    scaling = {"rope_type": "linear", "factor": 4.0}
    alone, said = configured(job, rope_scaling=scaling)
    check(ROPES not in said, said)
    both, said = configured(job, rope_parameters={"rope_type": "default", "rope_theta": 100.0})
    check(f"{ROPES}\n" in said, said)
    check(both == alone, "rope_parameters changed the values")
    other, said = configured(job, rope_scaling=None)
    check(ROPES not in said and other != alone, "rope_scaling changed nothing")


def a_head_beside_a_tied_one(programs, root):
    """The files' head counts, whatever config.json says."""
    job = Job(programs, root, 1)
    own, said = configured(job)
    check(HEAD not in said, said)
    tied, said = configured(job, tie_word_embeddings=True)
    check(f"{HEAD}\n" in said, said)
    check(tied == own, "the head is not the files'")


def averaged_copies(programs, root):
    """A trainer's averages beside the weights are not read, and that is said; a head that nobody
    asks for is none of them."""
    job = Job(programs, root, 1)
    for options in ([], ["--no-nll"]):
        ran = job.run("--fresh", *options).expect(0)
        check(OTHERS not in ran.err, ran)
    alone = job.store("importance").rows[0]["importance"]
    config = tiny.config_of("llama")
    tensors = tiny.random_tensors(config, 0)
    averages = {"ema." + name: entry for name, entry in tiny.random_tensors(config, 1).items()}
    path = job.folders[0] + "/model.safetensors"
    for mixed, said in ((tensors, False), (tensors | averages, True)):
        tiny.write(path, tiny.safetensors(mixed))
        ran = job.run("--fresh").expect(0)
        check((f"{OTHERS}\n" in ran.err) == said, ran)
        check(job.store("importance").rows[0]["importance"] == alone, "the values are others")


def a_head_of_another_name(programs, root):
    """GPT-NeoX calls its head embed_out; transformers takes lm_head, too, and both are the head."""
    folders = [root + "/neox/step_1", root + "/neox/step_2"]
    tiny.write_tokens(root + "/ids.jsonl", 2, 8)
    for folder in folders:
        config = tiny.write_checkpoint(folder, "gpt_neox", tie_word_embeddings=True)
        tensors = tiny.random_tensors(config, 0)
        if folder == folders[1]:
            tensors["lm_head.weight"] = tensors.pop("embed_out.weight")
        tiny.write(folder + "/model.safetensors", tiny.safetensors(tensors))
    harness.run(programs["trace-ckpts"], "--ckpts", *folders, "-o", root + "/out.h5",
                "--tokens", root + "/ids.jsonl").expect(0)
    one, other = harness.Store(programs["store_json"], root + "/out.h5", "nll").rows
    check(one["nll"] == other["nll"] and one["nll"][0] > 0, one, other)


def a_zero_row_of_the_embedding(programs, root):
    """Its tokens have no angle where they enter; that is no fault of the numbers."""
    job = Job(programs, root, 1)
    path = job.folders[0] + "/model.safetensors"
    header, data = tiny.split_header(tiny.read(path))
    begin = header["model.embed_tokens.weight"]["data_offsets"][0] + 7 * 16 * 4
    tiny.write(path, tiny.join_header(json.dumps(header),
                                      data[:begin] + bytes(64) + data[begin + 64:]))
    rows = [[1] * 16, [7] + [1] * 15, [7, 7] + [1] * 14, [1] * 16]
    tiny.write(root + "/ids.jsonl", "".join('{"input_ids": %s}\n' % ids for ids in rows))
    job.run().expect(0)
    row = job.store("nonfinite", "nonfinite_first", "token_count", "nll").rows[0]
    check(row["nonfinite"] == [0] * 6 and row["nonfinite_first"] == [-1] * 6, row)
    check(row["token_count"][:4] == [16, 15, 14, 16], row)  # of layer 0's attention
    check(None not in row["nll"], row)
    ran = harness.run(programs["trace-analyze"], job.out).expect(0)
    words = " ".join(ran.out.split())
    check("tokens without an angle (a stream of zeros) are left out of" in words, ran.out)
    check("non-finite" not in words, ran.out)


def widened(tensors):
    """The same model with a second inner entry of each MLP that is always 0."""
    wide = dict(tensors)
    for name, (dtype, shape, values) in tensors.items():
        if ".mlp." in name and shape[1] == 1:  # [hidden, 1]: a 0 behind each entry
            padded = b"".join(values[i:i + 4] + bytes(4) for i in range(0, len(values), 4))
            wide[name] = (dtype, [shape[0], 2], padded)
        elif ".mlp." in name:
            wide[name] = (dtype, [2, shape[1]], values + bytes(len(values)))
    return wide


def sizes_of_one(programs, root):
    """A matrix with an extent of 1 is a matrix: an MLP of inner width 1 gives what it gives with a
    second entry that does nothing, and a stream of width 1 is run."""
    job = Job(programs, root, 1)
    found = []
    for width in (1, 2):
        config = tiny.config_of("llama", intermediate_size=width)
        tensors = tiny.random_tensors(tiny.config_of("llama", intermediate_size=1), 3)
        tensors = widened(tensors) if width == 2 else tensors
        tiny.write(job.folders[0] + "/config.json", json.dumps(config))
        tiny.write(job.folders[0] + "/model.safetensors", tiny.safetensors(tensors))
        job.run("--fresh").expect(0)
        row = job.store("importance", "nll").rows[0]
        found.append(row["importance"] + row["nll"])
    check(all(abs(a - b) <= 1e-6 * abs(b) for a, b in zip(*found)), found)
    folder = root + "/narrow/step_1"
    tiny.write_checkpoint(folder, hidden_size=1, num_attention_heads=1, head_dim=2)
    harness.run(programs["trace-ckpts"], "--ckpts", folder, "-o", root + "/narrow.h5",
                "--tokens", root + "/ids.jsonl").expect(0)


CASES = [sizes_of_one, two_ropes, a_head_beside_a_tied_one, averaged_copies,
         a_head_of_another_name,
         a_zero_row_of_the_embedding]
