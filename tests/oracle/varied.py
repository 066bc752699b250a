# SPDX-License-Identifier: Apache-2.0
"""Says which keys of config.json that a family's row reads are the same in all random models.

    varied.py build/release/bin/family_table [--count 50] [--seed 1] [--family NAME...]

Prints a row of a Markdown table for each model_type: the keys that were never there, and those that
always had one value. A key in an object of config.json is written with a dot.
"""
import argparse
import collections
import copy
import subprocess

from families import FAMILIES
from family import draw_cases

ABSENT = "absent"


def keys_of_rows(program):
    """The keys of each model_type, of all its rows: tuples of spellings."""
    keys = collections.defaultdict(set)
    lines = subprocess.run([program, "keys"], capture_output=True, text=True, check=True).stdout
    for line in lines.splitlines()[2:]:
        name, words = line.strip("| ").split(" | ")[:2] if " | " in line.strip("| ") else (line, "")
        for model_type in name.split("`")[1:4:2] if " or `" in name else [name.split("`")[1]]:
            keys[model_type] |= {tuple(word.split(",")) for word in words.split()}
    return keys


def spellings(family, case):
    """config.json's keys as transformers 5 and as older files spell them."""
    aliases = getattr(family.model, "ALIASES", {})
    new = {aliases.get(key, key): value for key, value in case.config.items()}
    old = copy.deepcopy(case.config)
    try:
        family.old_style(old)
    except (KeyError, TypeError):  # it changes what a class has written, or there is none
        return [new]
    return [new, old]


def value_of(config, key):
    for part in key.split("."):
        config = config.get(part, ABSENT) if isinstance(config, dict) else ABSENT
    return ABSENT if config is None or config == ABSENT else repr(config)


def found(configs, names):
    values = {value_of(config, name) for config in configs for name in names}
    rope = {value_of(config.get("rope_parameters") or {}, name) for config in configs
            for name in names}
    return (values | rope) - {ABSENT} or {ABSENT}


def never_varied(family, keys, count, seed):
    cases = [spellings(family, case) for case in draw_cases(family, count, seed)]
    values = {names: set().union(*(found(configs, names) for configs in cases)) for names in keys}
    absent = sorted(names[0] for names, seen in values.items() if seen == {ABSENT})
    fixed = sorted(f"{names[0]} {next(iter(seen))}" for names, seen in values.items()
                   if len(seen) == 1 and seen != {ABSENT})
    return absent, fixed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", help="family_table")
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--family", nargs="*")
    options = parser.parse_args()
    keys = keys_of_rows(options.program)
    print("| model_type | never there | one value |\n|---|---|---|")
    for name, family in sorted(FAMILIES.items(), key=lambda item: item[1].model_type.lower()):
        if options.family and family.model_type not in options.family:
            continue
        absent, fixed = never_varied(family, keys[family.model_type], options.count, options.seed)
        print(f"| `{family.model_type}` | {', '.join(absent)} | {', '.join(fixed)} |", flush=True)


if __name__ == "__main__":
    main()
