# SPDX-License-Identifier: Apache-2.0
"""trace-export --to html as a reader meets it, in a headless Chromium; skipped where there is none.

test_page.py NAME=PATH... [shots=DIR] [only=TEXT]: trace-export, write_sample, write_series,
write_hostile. With
`shots`, what was seen is kept there."""

import csv
import io
import os
import sys

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools")]

import browser
import harness
from harness import check

SKIPPED = 77
LIMIT = 1_000_000  # bytes of a page of 154 checkpoints x 80 layers


def digits(value):
    """As the page writes numbers: four digits, real minus signs."""
    return f"{value:.4g}".replace("-", "\u2212")


class Cases:
    def __init__(self, programs, root, shots, chromium):
        self.programs, self.root, self.shots = programs, root, shots
        self.store = self.make("write_sample", "sample", 20, 10, 10, 16)
        self.browser = browser.Browser(chromium, root + "/profile")
        self.view("sample")

    def make(self, program, name, *arguments):
        store = f"{self.root}/{name}.h5"
        harness.run(self.programs[program], store, *arguments).expect(0)
        harness.run(self.programs["trace-export"], store, "--to", "html", "-o",
                    f"{self.root}/{name}.html").expect(0)
        return store

    def view(self, name, **options):
        path = f"{self.root}/{name}.html"
        self.browser.open(path, **options)
        check(not self.browser.problems, name, "complains:", self.browser.problems)
        check(self.browser.requests == ["file://" + path], "it asks for", self.browser.requests)

    def shot(self, name):
        if self.shots:
            os.makedirs(self.shots, exist_ok=True)
            self.browser.screenshot(f"{self.shots}/{name}.png")

    def place(self, panel, across, down):
        """The window's place of a point of a panel, in shares of its width and height."""
        self.browser.value(f"document.getElementById('{panel}').scrollIntoView({{block:'center'}})")
        return self.browser.value(f"""(() => {{
            const all = JSON.parse(document.getElementById("data").textContent);
            const panel = all.panels.find((one) => one.id === "{panel}");
            const svg = document.getElementById(panel.id).closest("svg");
            const matrix = svg.getScreenCTM();
            const point = new DOMPoint(panel.x + {across} * panel.width,
                                       panel.y + {down} * panel.height).matrixTransform(matrix);
            return [point.x, point.y];
        }})()""")

    def hint(self):
        return self.browser.value(
            "document.getElementById('hint').hidden ? null"
            " : document.getElementById('hint').textContent")

    def importance(self, step, layer, module):
        ran = harness.run(self.programs["trace-export"], self.store, "--to", "csv", "-o", "-",
                          "--variables", "importance", "--steps", step, "--layers", layer,
                          "--module", module).expect(0)
        row, = csv.DictReader(io.StringIO(ran.out, newline=""))
        return float(row["value"])

    def hover(self):
        """A cell says its layer, checkpoint and value; outside it is quiet."""
        for column, row, module, panel in ((0, 0, "attn", 0), (19, 9, "attn", 0), (7, 4, "mlp", 1),
                                           (12, 6, "block", 2)):
            x, y = self.place(f"heat-map-{panel}", (column + 0.5) / 20, (row + 0.5) / 10)
            self.browser.mouse("mouseMoved", x, y)
            hint = self.hint()
            step = 1000 * (column + 1)
            value = digits(self.importance(step, row, module))
            check(hint and f"layer {row}, step {step}," in hint and hint.endswith(" " + value),
                  "expected", value, "found", hint)
        self.browser.mouse("mouseMoved", 2, 2)
        check(self.hint() is None, "the hint stays")

    def hover_lines(self):
        """The nearest line says what it is. Of the large series: the sample has no finite loss."""
        self.view("large")
        x, y = self.place("loss-0", 0.5, 0.5)
        self.browser.mouse("mouseMoved", x, y)
        check(self.hint() and "nats per token" in self.hint(), self.hint())
        self.shot("hover")
        self.view("sample")

    def keyboard(self):
        """Arrows move from cell to cell, Enter chooses the checkpoint, Escape ends."""
        self.browser.value("document.querySelector('svg.figure').focus()")
        for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
            self.browser.key(key)
        check(self.hint() and "layer 1, step 2000" in self.hint(), self.hint())
        self.browser.key("Enter")
        check(self.chosen().startswith("step 2000"), self.chosen())
        self.browser.key("Escape")
        check(self.hint() is None, "the hint stays")

    def chosen(self):
        return self.browser.value("document.getElementById('checkpoint-name').textContent")

    def mark(self):
        return float(self.browser.value(
            "document.querySelector('svg.figure .now').getAttribute('x')"))

    def slider(self):
        """The slider and a click move the mark in every figure over checkpoints."""
        self.browser.value("document.getElementById('checkpoint').focus()")
        self.browser.key("Home")
        first = self.mark()
        check(self.chosen().startswith("step 1000,"), self.chosen())
        self.browser.key("ArrowRight")
        check(self.chosen().startswith("step 2000,"), self.chosen())
        check(self.mark() > first, "the mark did not move")
        marks = self.browser.value("document.querySelectorAll('.now').length")
        check(marks == 3 + 3 + 3 + 3 + 1 + 3 + 6 + 6 + 2, marks, "marks")  # points have none
        self.browser.click(*self.place("lines-1", 1, 0.5))
        check(self.chosen().startswith("step 20000,"), self.chosen())

    def costs(self):
        """Points lie at their importance and their cost at the chosen checkpoint, labels touch
        nothing; one that is pointed at says both."""
        self.browser.value("document.getElementById('checkpoint').focus()")
        self.browser.key("Home")
        seen = []
        for key in (None, "ArrowRight"):
            if key:
                self.browser.key(key)
            step = self.chosen().split(",")[0]
            x, y = self.browser.value("""(() => {
                const dot = document.querySelector("#cost-0 .unit").lastChild;
                dot.scrollIntoView({block: "center"});
                const box = dot.getBoundingClientRect();
                return [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
            })()""")
            self.browser.mouse("mouseMoved", x, y)
            hint = self.hint()
            value = digits(self.importance(step.split()[1], 0, "attn"))
            check(f"layer 0, {step}," in hint and f"1 \u2212 cos {value}, nats" in hint, hint)
            check(self.browser.value("document.querySelector('#cost-0 .shown').textContent")
                  .startswith(step), "the panel names another checkpoint than", step)
            seen.append(hint)
            self.browser.mouse("mouseMoved", 2, 2)
        check(seen[0] != seen[1], "nothing moved")

    def ground(self):
        return self.browser.value("getComputedStyle(document.body).backgroundColor")

    def themes(self):
        """The system's theme, until the button says otherwise."""
        self.shot("light")
        light = self.ground()
        self.view("sample", dark=True)
        self.shot("dark")
        dark = self.ground()
        check(light == "rgb(255, 255, 255)" and dark != light, light, dark)
        self.browser.send("Emulation.setEmulatedMedia", media="print", features=[
            {"name": "prefers-color-scheme", "value": "dark"}])
        check(self.ground() == light, "paper is", self.ground())
        check(self.browser.value("document.querySelector('.controls').offsetHeight") == 0,
              "controls are printed")
        self.browser.send("Emulation.setEmulatedMedia", media="", features=[
            {"name": "prefers-color-scheme", "value": "dark"}])
        check(self.ground() == dark, self.ground())
        self.browser.value("document.getElementById('theme').click()")
        check(self.ground() == light, self.ground())
        self.view("sample")

    def narrow(self):
        """A telephone shows the page without scrolling sideways."""
        self.view("sample", width=390, height=800)
        width = self.browser.value("document.documentElement.scrollWidth")
        check(width <= 390, "the page is", width, "wide")
        self.shot("narrow")
        self.view("sample")

    def texts_fit(self):
        """No text leaves its figure, no two texts of one axis overlap."""
        for name in ("sample", "large"):
            self.view(name)
            found = self.browser.value("""[...document.querySelectorAll("svg.figure")].flatMap((svg) => {
                const outer = svg.getBoundingClientRect();
                const shown = (text) => text.getAttribute("display") !== "none";
                const boxes = [...svg.querySelectorAll("text")].filter(shown).map((text) =>
                    [text.textContent, text.getBoundingClientRect()]);
                const outside = boxes.filter(([, box]) => box.left < outer.left - 0.5 ||
                    box.right > outer.right + 0.5 || box.top < outer.top - 0.5 ||
                    box.bottom > outer.bottom + 0.5).map(([text]) => "outside: " + text);
                const apart = (a, b) => a.right <= b.left + 0.5 || b.right <= a.left + 0.5 ||
                    a.bottom <= b.top + 3 || b.bottom <= a.top + 3;
                const touching = boxes.flatMap(([text, box], i) => boxes.slice(i + 1)
                    .filter(([, other]) => !apart(box, other))
                    .map(([other]) => `touching: ${text} and ${other}`));
                return [...outside, ...touching];
            })""")
            check(not found, name, found)

    def large(self):
        """154 checkpoints of 80 layers: complete, and small enough to send."""
        size = os.path.getsize(self.root + "/large.html")
        check(size < LIMIT, size, "bytes")
        self.view("large")
        self.shot("large")
        x, y = self.place("lines-0", 0.5, 0.5)
        self.browser.mouse("mouseMoved", x, y)
        check(self.hint(), "nothing to see")
        self.view("sample")

    def table(self):
        """Headings sort, numbers by value; a column shows the chosen checkpoint."""
        body = "[...document.querySelector('table').tBodies[0].rows].map((row) => {}.textContent)"
        layers = body.format("row.cells[0]")
        heading = "document.querySelectorAll('table')[0].tHead.rows[0].cells[{}]"
        started = self.browser.value(layers)
        upwards = [str(layer) for layer in range(10)]
        for expected, direction in ((upwards, "ascending"), (upwards[::-1], "descending")):
            self.browser.value(heading.format(0) + ".firstChild.click()")
            check(self.browser.value(layers) == expected, self.browser.value(layers))
            sort = self.browser.value(heading.format(0) + ".getAttribute('aria-sort')")
            check(sort == direction, sort)
        self.browser.value(heading.format(1) + ".firstChild.click()")
        check(self.browser.value(layers) == started, self.browser.value(layers), started)
        self.browser.value("document.getElementById('checkpoint').focus()")
        self.browser.key("Home")
        row = int(self.browser.value(layers)[3])
        shown = self.browser.value(body.format("row.cells[9]"))[3]
        check(shown == digits(self.importance(1000, row, "attn")), shown)

    def hostile(self):
        """Markup in names is text; no script but the page's own runs."""
        self.make("write_hostile", "hostile")
        self.view("hostile")
        check(self.browser.value("typeof window.injected") == "undefined", "a script ran")
        check(self.browser.value("document.images.length") == 0, "an image was made")
        check(self.browser.value("document.scripts.length") == 2, "a script was made")
        check("<script>window.injected=1</script>" in self.browser.value(
            "document.querySelector('main').textContent"), "a name is lost")
        self.browser.value("document.querySelector('svg.figure').focus()")
        self.browser.key("ArrowRight")
        check("window.injected" in self.hint(), self.hint())
        self.browser.value("""(() => {
            const script = document.createElement("script");
            script.textContent = "window.injected = 4";
            document.body.append(script);
        })()""")
        check(self.browser.value("typeof window.injected") == "undefined", "the policy is weak")
        self.view("sample")


def main():
    programs = harness.programs(sys.argv[1:])
    only = os.path.basename(programs.pop("only", ""))
    shots = programs.pop("shots", None)
    chromium = browser.find()
    if not chromium:
        print("skipped: there is no Chromium")
        return SKIPPED
    names = ("hover", "hover_lines", "keyboard", "slider", "costs", "table", "themes", "narrow", "large",
             "texts_fit", "hostile")
    with harness.scratch() as root:
        cases = Cases(programs, root, shots, chromium)
        try:
            cases.make("write_series", "large", 154, 80, 8)
            return harness.run_cases([(name.replace("_", " "), getattr(cases, name))
                                      for name in names], only)
        finally:
            cases.browser.close()


if __name__ == "__main__":
    sys.exit(main())
