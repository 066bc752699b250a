# SPDX-License-Identifier: Apache-2.0
"""trace-export --to svg: every file is well-formed and shows what was asked for; where files go,
and what is refused. And of --to html what needs no browser: --follow, the tables.

test_figures.py NAME=PATH... [only=TEXT]: trace-export, trace-analyze, write_sample,
write_series, write_hostile."""

import html.parser
import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import harness
import tiny_checkpoint as tiny
from harness import check

SVG = "{http://www.w3.org/2000/svg}"
ALWAYS = ["agreement.svg", "heat-map.svg", "lines.svg", "ranks.svg"]
FIGURES = ("heat-map, lines, ranks, agreement, spans, loss, cost, cost-map, proxies, told, prices, "
           "search, search-order")


def texts(root):
    return ["".join(element.itertext()) for element in root.iter(SVG + "text")]


class Cases:
    def __init__(self, programs, root):
        self.programs, self.root, self.store = programs, root, root + "/sample.h5"
        harness.run(programs["write_sample"], self.store, 20, 10, 10, 16).expect(0)

    def export(self, *arguments, store=None):
        return harness.run(self.programs["trace-export"], store or self.store, "--to", "svg",
                           *arguments, cwd=self.root)

    def figure(self, name, *arguments):
        ran = self.export("--figure", name, "-o", "-", *arguments).expect(0)
        return ElementTree.fromstring(ran.out)

    def folder(self):
        """All figures in a folder; an existing figure is not replaced without --force."""
        ran = self.export().expect(0)
        folder = self.root + "/sample-figures"
        check(ran.err == "wrote sample-figures\n" and not ran.out, ran)
        found = sorted(os.listdir(folder))
        more = ["cost-map.svg", "cost.svg", "loss.svg", "proxies.svg", "search-order.svg",
                "search.svg", "spans.svg", "told.svg"]
        check(found == sorted(ALWAYS + more), found)
        for name in found:
            root = ElementTree.parse(f"{folder}/{name}").getroot()
            check(root.tag == SVG + "svg" and root.get("width") == "252pt", name, root.attrib)
            check(len(texts(root)) > 4, name)
        tiny.write(folder + "/lines.svg", "mine")
        ran = self.export().expect(3)
        check("sample-figures/" in ran.err and "exists; --force replaces" in ran.err, ran)
        check(tiny.read(folder + "/lines.svg") == b"mine", "an existing output was touched")
        self.export("--force").expect(0)
        ElementTree.parse(folder + "/lines.svg")

    def one(self):
        ran = self.export("--figure", "ranks").expect(0)
        check(ran.err == "wrote sample-ranks.svg\n", ran)
        ElementTree.parse(self.root + "/sample-ranks.svg")

    def chosen(self):
        """Modules are panels, layers rows, steps columns."""
        everything = texts(self.figure("heat-map"))
        for title in ("Attention", "MLP", "Block"):
            check(everything.count(title) == 1, everything)
        part = texts(self.figure("heat-map", "--module", "mlp", "--layers", "3,7", "--steps",
                                 "2000,5000"))
        check("Attention" not in part and "MLP" in part, part)
        check(part[:5] == ["2M", "5M", "Tokens seen, a column for each checkpoint", "3", "7"], part)

    def signs(self):
        """Minus signs are minus signs, exponents are raised."""
        root = self.figure("heat-map")
        check(all("-" not in text for text in texts(root)), texts(root))
        check("Importance 1 \u2212 cos (no unit)" in texts(root), texts(root))
        raised = [element for element in root.iter(SVG + "tspan")]
        check(raised and all(float(element.get("dy")) < 0 for element in raised), "not raised")

    def refused(self):
        tiny.write(self.root + "/file", "")
        for arguments, code, sentence in (
                ("--figure pie", 2, f'--figure takes one of {FIGURES}, not "pie"'),
                ("-o -", 2, "--to svg writes a folder: name it with -o, or one figure with "
                            "--figure"),
                ("-o all.svg", 2, "all figures go into a folder, not a file all.svg; --figure "
                                  "writes one"),
                ("-o file", 2, "the output file is no folder; --figure writes one file"),
                ("-o none/figures", 2, "--output none/figures: there is no such folder\n"
                                       "Try `trace-export --help' or `trace-export --usage' for "
                                       "more information.")):
            before = sorted(os.listdir(self.root))
            ran = self.export(*arguments.split()).expect(code)
            check(ran.err == f"trace-export: {sentence}\n", sentence, "expected in", ran)
            check(sorted(os.listdir(self.root)) == before, "something was written", ran)
        without = self.root + "/without.h5"
        harness.run(self.programs["write_series"], without, 4, 6, 8).expect(0)
        sentence = (f"{without} has no costs of leaving layers out on 5 rows of text or "
                    "more; the same trace-ckpts command with --cost attn,mlp adds them")
        for name in ("cost", "cost-map", "proxies", "told"):
            ran = self.export("--figure", name, "-o", "-", store=without).expect(2)
            check(ran.err == f"trace-export: --figure {name}: {sentence}\n", ran)
        sizes = (f"{without} does not say what sublayers take; the same trace-ckpts command of this "
                 "version adds that")
        search = (f"{without} has no greedy search; trace-drop search with the same checkpoints and "
                  "text adds it")
        ran = self.export("--figure", "search-order", "-o", "-", store=without).expect(2)
        check(ran.err == f"trace-export: --figure search-order: {search}\n", ran)
        ran = self.export("--figure", "prices", "-o", "-", store=without).expect(2)
        check(ran.err == f"trace-export: --figure prices: {sizes}\n", ran)
        page = harness.run(self.programs["trace-export"], without, "--to", "html", "-o",
                           "-").expect(0).out
        check(page.count(sentence) == page.count(sizes) == page.count(search) == 1, "not said once")
        check(page.count('class="missing"') == 4, "more or less is missing")
        ran = harness.run(self.programs["trace-export"], self.store, "--to", "csv", "--figure",
                          "loss").expect(2)
        check(ran.err == "trace-export: --figure means nothing to --to csv\n", ran)

    def hostile(self):
        """Names that are markup stay text."""
        store = self.root + "/hostile.h5"
        harness.run(self.programs["write_hostile"], store).expect(0)
        self.export("-o", self.root + "/hostile", store=store).expect(0)
        names = sorted(os.listdir(self.root + "/hostile"))
        check(names == ALWAYS, names)
        for name in names:
            root = ElementTree.parse(f"{self.root}/hostile/{name}").getroot()
            foreign = {element.tag for element in root.iter()} - {
                SVG + tag for tag in ("svg", "title", "desc", "metadata", "rect", "g", "path",
                                      "text", "tspan", "clipPath")}
            check(not foreign, foreign)
        page = store + ".html"
        harness.run(self.programs["trace-export"], store, "--to", "html", "-o", page).expect(0)
        tags = Tags()
        tags.feed(whole(page))
        check(tags.count("script") == 2 and tags.count("title") == 1 + len(names), tags.found)
        check(not {"img", "link", "iframe", "object", "a"} & set(tags.found), tags.found)
        check(not {"src", "href", "onload", "onerror"} & tags.attributes, tags.attributes)


    def followed(self):
        """Written again with every publication, and whole at every moment; it ends with the run,
        or by a signal."""
        store, page = self.root + "/run.h5", self.root + "/run.html"
        parts = store + ".parts"
        os.mkdir(parts)
        command = [self.programs["trace-export"], store, "--to", "html", "-o", page, "--follow"]
        job = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for checkpoints in (2, 5):
            self.publish(store, checkpoints)
            self.until(lambda: os.path.exists(page) and
                       f"<p>{checkpoints} checkpoints," in whole(page), "no new page", job)
        os.rmdir(parts)
        check(job.wait(30) == 0, "exit", job.returncode)
        check(job.stderr.read() == f"wrote {page}\n" * 2, "not written twice")
        os.mkdir(parts)
        job = subprocess.Popen(command + ["--force"], stderr=subprocess.DEVNULL)
        old = os.stat(page).st_ino
        self.until(lambda: os.stat(page).st_ino != old, "no page", job)
        job.send_signal(signal.SIGTERM)
        check(job.wait(30) == 0, "exit", job.returncode)
        os.rmdir(parts)
        check(harness.run(*command).code == 3, "an existing page was replaced")
        ran = harness.run(*command[:-3], "-o", "-", "--follow").expect(2)
        check("--follow replaces a file: name it with -o" in ran.err, ran)

    def tables(self):
        """The page's tables are what trace-analyze says, to the last bit."""
        store = self.root + "/series.h5"
        harness.run(self.programs["write_series"], store, 9, 8, 16).expect(0)
        harness.run(self.programs["trace-export"], store, "--to", "html", "-o",
                    store + ".html", "--module", "attn,block", "--layers", "1-7").expect(0)
        harness.run(self.programs["trace-analyze"], store, "--json", store + ".json").expect(0)
        with open(store + ".json", encoding="utf-8") as file:
            groups = {group["module"]: group for group in json.load(file)["groups"]}
        page = Tables()
        page.feed(whole(store + ".html"))
        check(len(page.tables) == 2, len(page.tables), "tables")
        for name, table in zip(("attn", "block"), page.tables):
            units = {unit["layer"]: unit for unit in groups[name]["units"]}
            chosen = groups[name]["sets"]["mean"]
            inside = dict(zip(units, chosen["inside"]))
            order = [list(units)[u] for u in chosen["order"]]
            check([int(row[0]) for row in table] == [layer for layer in order if layer > 0],
                  "the order is another")
            for row in table:
                unit = units[int(row[0])]
                expected = [unit["mean"]["value"], unit["mean"]["low"], unit["mean"]["high"],
                            unit["worst"]["value"], unit["worst"]["high"], unit["mean_rank"],
                            100 * unit["share"], inside[unit["layer"]]]
                check(row[1:9] == expected, row[1:], "is not", expected)

    def publish(self, store, checkpoints):
        """A new file under the store's name, as the publisher renames it."""
        harness.run(self.programs["write_sample"], store + ".new", checkpoints, 2, 1,
                    16).expect(0)
        os.rename(store + ".new", store)

    def until(self, holds, told, job):
        deadline = time.monotonic() + 60
        while not holds():
            check(time.monotonic() < deadline and job.poll() is None, told)
            time.sleep(0.02)


class Tables(html.parser.HTMLParser):
    """The numbers of every table body: table, row, cell."""

    def __init__(self):
        super().__init__()
        self.tables, self.inside = [], False

    def handle_starttag(self, tag, attrs):
        if tag == "tbody":
            self.tables.append([])
            self.inside = True
        elif tag == "tr" and self.inside:
            self.tables[-1].append([])
        elif tag == "td" and "data-value" in dict(attrs):
            self.tables[-1][-1].append(float(dict(attrs)["data-value"]))

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "tbody"


class Tags(html.parser.HTMLParser):
    """The elements of a page and all attributes' names."""

    def __init__(self):
        super().__init__()
        self.found, self.attributes = [], set()

    def count(self, tag):
        return self.found.count(tag)

    def handle_starttag(self, tag, attrs):
        self.found.append(tag)
        self.attributes |= {name for name, _ in attrs}


def whole(page):
    with open(page, encoding="utf-8") as file:
        text = file.read()
    check(text.startswith("<!DOCTYPE html>") and text.endswith("</html>\n"), "half a page")
    return text


def main():
    programs = harness.programs(sys.argv[1:])
    only = os.path.basename(programs.pop("only", ""))
    names = ("folder", "one", "chosen", "signs", "refused", "hostile",
             "followed", "tables")
    with harness.scratch() as root:
        cases = Cases(programs, root)
        return harness.run_cases([(name, getattr(cases, name)) for name in names], only)


if __name__ == "__main__":
    sys.exit(main())
