"""Write the tables of the catalog into the pages that show them.

``python docs/extensions/catalog_tables.py`` writes the tables of ``docs/catalog.md``
and of the README, and the facts in the maps of the kinds' pages::

    <!-- map: loss -->
    | loss | use it when | at least | source |
    | --- | --- | --- | --- |
    | `emo` | tokens resemble each other | 0 | Ren et al. 2023 |
    <!-- end of map -->

The first two columns of a map are written by hand; the titles of the others name facts
of ``catalog.tables.facts``, or ``our verdicts``: how many claims about the part the
kept standard runs of the studies and applications have decided. A part that no map has
goes to the end of the last map of its kind, with its summary.
"""

from __future__ import annotations

import functools
import json
import pathlib
import re
import sys
from collections import Counter

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from experiments.applications.__main__ import APPLICATIONS  # noqa: E402
from experiments.harness.page import WORDS  # noqa: E402
from experiments.studies.__main__ import STUDIES  # noqa: E402
from jaxopt_lab import catalog  # noqa: E402
from jaxopt_lab.catalog import tables  # noqa: E402

MAP = re.compile(r"<!-- map: ([a-z ]+) -->\n(.*?)<!-- end of map -->", re.DOTALL)
CHOICE = re.compile(r"<!-- choice -->\n(.*?)<!-- end of choice -->", re.DOTALL)
VERDICTS = "our verdicts"
PAPER = re.compile(r"([^|;]+? \d{4}[a-z]?), arXiv:(\d{4}\.\d{4,5})")
NAME = re.compile(r"`(\w+)`")


def rewritten(pages: dict[str, str]) -> dict[str, str]:
    """Pages with the facts of today.

    Args:
      pages: text by name; maps of one kind may stand on several pages.

    Returns:
      The same pages.
    """
    told: dict[str, set[str]] = {}
    last: dict[str, tuple[str, int]] = {}
    for name, text in pages.items():
        for found in MAP.finditer(text):
            rows = found[2].splitlines()[2:]
            told.setdefault(found[1], set()).update(_name(row) for row in rows)
            last[found[1]] = name, found.start()

    def page(name: str, text: str) -> str:
        def table(found: re.Match[str]) -> str:
            kind = found[1]
            parts = catalog.of_kind(kind)
            head, line, *rows = found[2].splitlines()
            if last[kind] == (name, found.start()):
                missing = [part for part in parts if part not in told[kind]]
                rows += [f"| `{part}` | {parts[part].summary} |" for part in missing]
            titles = _cells(head)[2:]
            full = []
            for row in rows:
                by_hand = _cells(row)[:2]
                known = tables.facts(parts[_name(row)])
                known["source"] = linked(known["source"])
                known[VERDICTS] = _verdicts().get(_name(row), "")
                cells = [*by_hand, *(known[title] for title in titles)]
                full.append(f"| {' | '.join(cells)} |")
            body = "\n".join([head, line, *full])
            return f"<!-- map: {kind} -->\n{body}\n<!-- end of map -->"

        text = MAP.sub(table, text)
        text = CHOICE.sub(lambda found: _choices(found[1]), text)
        text = _put(text, "catalog", linked(tables.page()))
        return _put(text, "kinds", tables.kinds_table())

    return {name: page(name, text) for name, text in pages.items()}


def linked(text: str) -> str:
    """Papers as links.

    Args:
      text: with ``authors year, arXiv:number``.

    Returns:
      The text with authors and year on the page, and the number in the address.
    """

    def link(found: re.Match[str]) -> str:
        lead = found[1][: len(found[1]) - len(found[1].lstrip())]
        return f"{lead}[{found[1].strip()}](https://arxiv.org/abs/{found[2]})"

    return PAPER.sub(link, text)


def _choices(table: str) -> str:
    """The table of first choices among optimizers, from its first two columns."""
    head, line, *rows = table.splitlines()
    full = []
    for row in rows:
        case, part = _cells(row)[:2]
        name = part.strip("`")
        known = tables.facts(catalog.get(name, "transform"))
        costs = known["gradients a step"], known["state, bytes a parameter"]
        cells = [case, part, *costs, _times().get(name, ""), _verdicts().get(name, "")]
        full.append(f"| {' | '.join(cells)} |")
    return "\n".join(["<!-- choice -->", head, line, *full, "<!-- end of choice -->"])


@functools.cache
def _times() -> dict[str, str]:
    """By part: the time of a training step over that of AdamW."""
    kept = json.loads((ROOT / "docs" / "figures" / "step_times.json").read_text())
    return {name: f"{ratio:.2f}" for name, ratio in kept["ratios"].items()}


@functools.cache
def _verdicts() -> dict[str, str]:
    """By part: the runs that are about it, with the numbers of their verdicts."""
    told: dict[str, list[str]] = {}
    for kind in (STUDIES, APPLICATIONS):
        for name, record in kind.kept().items():
            if record is None:
                continue
            count = Counter(verdict.word for verdict in record.verdicts)
            text = ", ".join(f"{count[word]} {word}" for word in WORDS if count[word])
            for part in record.parts:
                link = f"[{name}]({kind.page.name}#{name}): {text}"
                told.setdefault(part, []).append(link)
    return {part: "; ".join(links) for part, links in told.items()}


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().strip("|").split(" | ")]


def _name(row: str) -> str:
    found = NAME.match(_cells(row)[0])
    assert found, row
    return found[1]


def _put(text: str, name: str, table: str) -> str:
    pattern = rf"<!-- {name} -->\n.*?<!-- end of {name} -->"
    new = f"<!-- {name} -->\n{table}\n<!-- end of {name} -->"
    return re.sub(pattern, lambda _: new, text, flags=re.DOTALL)


def main() -> None:
    """Write all pages that change."""
    files = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    pages = {str(file): file.read_text() for file in files}
    for name, text in rewritten(pages).items():
        if text != pages[name]:
            pathlib.Path(name).write_text(text)
            print(pathlib.Path(name).relative_to(ROOT))


if __name__ == "__main__":
    main()
