#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules of the house that a program can check, one a call:

    test_lint.py RULE [name=value ...]

names      file names are unique in the tree, but for those that mean their folder
licence    every source file names its licence in its first lines
arrows     a room includes only rooms below it; public headers are included as "room/file.h"
headers    every header compiles alone                          compiler=CC includes=FOLDER
libraries  no library prints, exits or aborts
format     every source file is as clang-format 14 writes it    clang-format=PROGRAM
versions   every file that names the project's version names the one of CMakeLists.txt
documents  links of Markdown files lead to a file; each decision that is named (D7) stands in
           docs/design.md, whose table of rooms is the one below
"""
import collections
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = (".c", ".h", ".cu", ".cuh")
# Rooms by folder, from the bottom up: each may include those it names and itself.
ROOMS = {
    "base": [],
    "base/statistics": ["base"],
    "kernels": [],
    "mpi": ["base"],
    "trace/ckpt": ["base", "kernels"],
    "trace/text": ["base"],
    "trace/store": ["base"],
    "trace/model": ["base", "kernels", "ckpt"],
    "trace/measure": ["base", "kernels", "store", "model"],
    "trace/run": ["base", "kernels", "mpi", "ckpt", "text", "store", "model", "measure"],
    "trace/search": ["base", "kernels", "mpi", "store", "model", "measure", "run"],
    "trace/drop": ["base", "kernels", "ckpt", "model"],
    "trace/eval": ["base", "statistics", "kernels", "mpi", "text", "store", "model", "run"],
    "trace/quant/rounding": ["base", "kernels", "ckpt", "model"],
    "trace/quant": ["base", "statistics", "kernels", "mpi", "ckpt", "model", "run", "drop", "rounding"],
    "analysis": ["base", "statistics", "store"],
    "notebooks-export/figures": ["base", "statistics", "store", "analysis"],
    "notebooks-export/html": ["base", "store", "analysis", "figures"],
    "notebooks-export": ["base", "statistics", "store", "analysis", "figures", "html"],
    "programs": ["base", "kernels", "mpi", "ckpt", "store", "run", "search", "drop", "eval", "quant",
                 "analysis", "export"],
}
# Folders within a room, each with those beside it that it may include; all see the room's own files,
# of which only the table of formats sees them.
INNER = {
    "trace/ckpt/packed": [],
    "trace/ckpt/torch": [],
    "trace/ckpt/trainers": ["torch"],
    "trace/ckpt/series": ["trainers"],
}
INNER_TABLES = {"trace/ckpt/format_find.c"}
# Names that say which room they are, or that tools ask for.
COMMON_NAMES = {"CMakeLists.txt", "README.md", "__init__.py"}
# What one family is called everywhere, and data.
NAMED_ALIKE = ("tests/formats/fixtures/", "tests/oracle/", "tests/golden/", "tests/fuzz/corpus/", "tests/series/")


def tracked():
    done = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, check=True)
    return [name for name in done.stdout.decode().split("\0") if name and (ROOT / name).exists()]


def sources():
    return [name for name in tracked() if name.endswith(SOURCES)]


def name_of(folder):
    return "export" if folder == "notebooks-export" else folder.split("/")[-1]


def folder_of(name):
    inside = [folder for folder in ROOMS if name.startswith(folder + "/")]
    return max(inside, key=len) if inside else None


def names(_):
    places = collections.defaultdict(list)
    for name in tracked():
        leaf = name.split("/")[-1]
        if leaf not in COMMON_NAMES and not name.startswith(NAMED_ALIKE):
            places[leaf].append(name)
    return [f"{' and '.join(where)} have one name" for where in places.values() if len(where) > 1]


def licence(_):
    found = []
    for name in tracked():
        code = name.endswith(SOURCES + (".py", ".cmake", ".sh")) or name.endswith("CMakeLists.txt")
        if code and "SPDX-License-Identifier: Apache-2.0" not in "".join(
                (ROOT / name).read_text(encoding="utf-8").splitlines(keepends=True)[:3]):
            found.append(f"{name} does not name its licence")
    return found


def included(name):
    return re.findall(r'^#include "([^"]+)"', (ROOT / name).read_text(encoding="utf-8"), re.M)


def arrows(_):
    found = []
    rooms = {name_of(folder): folder for folder in ROOMS}
    for name in sources():
        folder = folder_of(name)
        if not folder:
            continue
        for header in included(name):
            room = header.split("/")[0] if "/" in header else None
            own = room == name_of(folder) or room not in rooms
            if room and not own and room not in ROOMS[folder]:
                found.append(f"{name} includes {header}, and {folder} does not stand above {room}")
            if not room and not (ROOT / name).parent.joinpath(header).exists() \
                    and not (ROOT / folder / header).exists():
                found.append(f"{name} includes {header}, which is in no folder of its own")
    return found + list(inner_arrows())


def inner_arrows():
    beside = {folder: folder.rsplit("/", 1) for folder in INNER}
    for name in sources():
        folder = name.rsplit("/", 1)[0]
        known = {leaf for above, leaf in beside.values() if folder_of(name) == above}
        for header in included(name):
            leaf = header.split("/")[0]
            if leaf in known and leaf not in INNER.get(folder, []) and name not in INNER_TABLES:
                yield f"{name} includes {header}, and {leaf}/ does not stand below it"


def headers(options):
    found = []
    paths = [f"-I{path}" for path in sorted(pathlib.Path(options["includes"]).iterdir())]
    for name in sources():
        if not name.endswith(".h") or "/cuda/" in name or not folder_of(name) or name in NO_HEADERS:
            continue
        own = [f"-iquote{ROOT / name}".rsplit("/", 1)[0], f"-iquote{ROOT / folder_of(name)}"]
        done = subprocess.run(
            [options["compiler"], "-std=gnu11", "-D_GNU_SOURCE", "-fsyntax-only", "-x", "c", *paths,
             *options.get("flags", "").split(), *own, "-"],
            input=f'#include "{ROOT / name}"\n', capture_output=True, text=True)
        if done.returncode:
            found.append(f"{name} does not compile alone: {done.stderr.splitlines()[1]}")
    return found


def libraries(_):
    call = re.compile(r"(?<![\w>.])(?:printf|vprintf|puts|putchar|perror|exit|_exit|abort)\s*\(|"
                      r"(?<![\w\"])(?:stderr|stdout)(?![\w\"])")
    found = []
    for name in sources():
        folder = folder_of(name)
        if not folder or folder == "programs" or name in MAY_SPEAK:
            continue
        for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1):
            if call.search(line.split("//")[0]):
                found.append(f"{name}:{number}: a library prints or exits: {line.strip()}")
    return found


# The exporter writes to stdout when that is the file it was given; a rank whose connection is broken
# ends all ranks, for nobody could be told; a child process that tried a file has to end; an
# invariant that is broken ends a debug build.
MAY_SPEAK = {"notebooks-export/export.c", "mpi/dist.c", "mpi/dist_alone.c",
             "trace/store/try_apart.c", "base/assert.c"}
# A list of rows for a macro of the file that includes it.
NO_HEADERS = {"trace/model/families/list.h"}


def clang_format(options):
    files = [str(ROOT / name) for name in sources()]
    done = subprocess.run([options["clang-format"], "--dry-run", *files], capture_output=True,
                          text=True, cwd=ROOT)
    wrong = {line.split(":")[0] for line in done.stderr.splitlines() if "warning" in line}
    return [f"{pathlib.Path(name).relative_to(ROOT)} is not formatted" for name in sorted(wrong)]


def dead_links(name, text):
    link = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)|<img src=\"([^\"]+)\"")
    for match in link.finditer(text):
        target = match[1] or match[2]
        if "://" not in target and not (ROOT / name).parent.joinpath(target).exists():
            yield f"{name} leads to {target}, which is not there"


# Code and documents, which may name decisions; tests' data and this file name none.
def may_decide(name):
    return name.endswith(SOURCES + (".md", ".py", ".cmake", "CMakeLists.txt")) and \
        not name.startswith(("tests/golden/", "tests/fuzz/corpus/", "tests/series/", "tests/lint/"))


def documents(_):
    design = (ROOT / "docs/design.md").read_text(encoding="utf-8")
    decisions = set(re.findall(r"^### (D\d+)\. ", design, re.M))
    found = []
    for name in tracked():
        if not may_decide(name):
            continue
        text = (ROOT / name).read_text(encoding="utf-8")
        for number in sorted(set(re.findall(r"\bD[1-9]\d?\b", text)) - decisions):
            found.append(f"{name} names {number}, which has no text in docs/design.md")
        if name.endswith(".md"):
            found.extend(dead_links(name, text))
    table = re.search(r"<!-- rooms -->\n(.*?)<!-- end -->", design, re.S)[1]
    rows = re.findall(r"^\| `([^`]+)/` \|.*\|([^|]*)\|$", table, re.M)
    drawn = {folder: [room for room in seen.strip().split(", ") if room] for folder, seen in rows}
    for folder in sorted(drawn.keys() | ROOMS.keys()):
        if drawn.get(folder) != ROOMS.get(folder):
            found.append(f"docs/design.md draws {folder} above {drawn.get(folder)}, "
                         f"and it stands above {ROOMS.get(folder)}")
    return found


# Where the version stands beside CMakeLists.txt.
VERSIONED = {
    "CITATION.cff": r"^version: (\S+)$",
    "CHANGELOG.md": r"^## (\d\S*) - ",
    "notebooks-export/python/pyproject.toml": r'^version = "(\S+)"$',
    "scripts/packaging/package.py": r'^    version\("(\S+)"\)$',
    "scripts/packaging/recipe.yaml": r'^  version: "(\S+)"$',
}


def versions(_):
    project = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    version = re.search(r"^project\(\S+ VERSION (\S+) ", project, re.M)[1]
    found = []
    for name, pattern in VERSIONED.items():
        named = re.search(pattern, (ROOT / name).read_text(encoding="utf-8"), re.M)
        if not named or named[1] != version:
            found.append(f"{name} names version {named and named[1]}, CMakeLists.txt {version}")
    return found


RULES = {"names": names, "versions": versions, "documents": documents, "licence": licence,
         "arrows": arrows, "headers": headers, "libraries": libraries, "format": clang_format}


def main():
    options = dict(word.split("=", 1) for word in sys.argv[2:])
    found = RULES[sys.argv[1]](options)
    print("\n".join(found) or "nothing found")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
