"""Every claim of a kind of experiments: on the screen, and on a page of the docs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from experiments.harness.experiment import STANDARD
from experiments.harness.records import Collection, Record
from experiments.harness.report import Table

WORDS = ("shown", "contradicted", "undecided")
NOT_RUN = "not run"
_HEADINGS = (
    "paper",
    "claim",
    "where",
    "expected",
    "measured (95 % interval)",
    "n",
    "could have shown",
    "verdict",
)
_RULE = """A claim is about the mean over seeds of a paired value; it is
*shown* where Student's interval lies within the expected range, *contradicted* where it
lies outside, else *undecided*, at 5 % for all claims of {one} together (Holm). "could
have shown" is the smallest distance from the end of the range that could have decided.
"""


def page(kind: Collection, records: Mapping[str, Record | None]) -> str:
    """The text of the page of a kind.

    Args:
      kind: of the experiments.
      records: standard runs by name; ``None``: not run.

    Returns:
      Markdown.
    """
    article = "an" if kind.one[0] in "aeiou" else "a"
    heading = f"{kind.introduction}\n{_RULE.format(one=f'{article} {kind.one}')}"
    last = f"{article.title()} {kind.one} without standard results is listed as "
    summary = [_summary(kind, name, record) for name, record in records.items()]
    parts = [
        f"{heading}{last}*{NOT_RUN}*.\n",
        _rows((kind.one, "about", "claims", *WORDS), summary),
    ]
    for name, record in records.items():
        parts.append(f"## {name}\n\n{_purpose(kind, name)}\n")
        if record is None:
            parts.append(f"`{command(kind, name)}`: {NOT_RUN}.\n")
            continue
        seconds = f"{record.processor_seconds:,.0f} s of processor time"
        used = f"jax {record.versions.get('jax', '?')}"
        parts.append(f"`{record.command}`: {_units(record)}, {seconds}, {used}.\n")
        if record.parts:
            names = ", ".join(f"`{part}`" for part in record.parts)
            parts.append(f"Parts: {names}.\n")
        parts.append(_rows(_HEADINGS, _claims(record)))
    return "\n".join(parts)


def table(kind: Collection, records: Mapping[str, Record | None]) -> Table:
    """The same as one table for the screen.

    Args:
      kind: of the experiments.
      records: see ``page``.

    Returns:
      The table; an experiment that is not run has one row.
    """
    rows = []
    for name, record in records.items():
        empty = [""] * (len(_HEADINGS) - 1)
        if record is None:
            rows.append([name, *empty, NOT_RUN])
            continue
        rows += [[name, *row] for row in _claims(record)]
    return Table(f"claims of the {kind.kind}", (kind.one, *_HEADINGS), rows)


def overview(kind: Collection, records: Mapping[str, Record | None]) -> Table:
    """A line for each experiment: its purpose and its last verdicts.

    Args:
      kind: of the experiments.
      records: see ``page``.

    Returns:
      The table.
    """
    rows = []
    for name, record in records.items():
        found = NOT_RUN
        if record is not None:
            count = Counter(verdict.word for verdict in record.verdicts)
            found = ", ".join(f"{count[word]} {word}" for word in WORDS if count[word])
        rows.append([name, _subject(kind, name), found])
    return Table(f"the {kind.kind}", ("name", "purpose", "last verdicts"), rows)


def command(kind: Collection, name: str, size: str = STANDARD) -> str:
    """The command that runs an experiment.

    Args:
      kind: of the experiment.
      name: of the experiment.
      size: of the run.

    Returns:
      One line.
    """
    return f"python -m experiments.{kind.kind} run {name} size={size}"


def _summary(kind: Collection, name: str, record: Record | None) -> list[str]:
    start = [f"[{name}](#{name})", _subject(kind, name)]
    if record is None:
        return [*start, NOT_RUN, "", "", ""]
    count = Counter(verdict.word for verdict in record.verdicts)
    return [*start, str(len(record.verdicts)), *(str(count[word]) for word in WORDS)]


def _subject(kind: Collection, name: str) -> str:
    """The first sentence of the purpose."""
    purpose = _purpose(kind, name)
    end = purpose.find(". ")
    return purpose[:end] if end > 0 else purpose.rstrip(".")


def _purpose(kind: Collection, name: str) -> str:
    """The purpose of an experiment, without the times of its sizes."""
    text = kind.experiment(name).purpose.partition("\n\n")[0]
    return text.partition(" quick: ")[0]


def _units(record: Record) -> str:
    counts = sorted({v.n for v in record.verdicts if v.kind == "mean"})
    if not counts:
        return "exact claims alone"
    span = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"means over {span} values"


def _claims(record: Record) -> list[list[str]]:
    return [
        [
            v.paper,
            v.claim,
            v.where,
            v.expected,
            v.measured,
            str(v.n) if v.n else "-",
            v.smallest_text,
            v.word,
        ]
        for v in record.verdicts
    ]


def _rows(headings: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    texts = [" | ".join(cell.replace("|", "\\|") for cell in line) for line in lines]
    return "".join(f"| {text} |\n" for text in texts)
