"""Every claim of every study: the list, and the page ``docs/claims.md``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from experiments.harness.report import Table
from experiments.studies.records import Record, study
from experiments.studies.study import STANDARD

PAGE = Path(__file__).parents[2] / "docs" / "claims.md"
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
_TITLE = f"""# The claims of the studies

Written by `python -m experiments.studies page` from the standard results that are kept
beside the studies. A claim is about the mean over seeds of a paired value; it is
*shown* where Student's interval lies within the expected range, *contradicted* where it
lies outside, else *undecided*, at 5 % for all claims of a study together (Holm). "could
have shown" is the smallest distance from the end of the range that could have decided.
A study without standard results is listed as *{NOT_RUN}*.
"""


def page(records: Mapping[str, Record | None]) -> str:
    """The text of ``docs/claims.md``.

    Args:
      records: standard runs by study; ``None``: not run.

    Returns:
      Markdown.
    """
    parts = [_TITLE, _rows(_SUMMARY, [_summary(n, r) for n, r in records.items()])]
    for name, record in records.items():
        parts.append(f"## {name}\n\n{_purpose(name)}\n")
        if record is None:
            parts.append(f"`{command(name)}`: {NOT_RUN}.\n")
            continue
        seconds = f"{record.processor_seconds:,.0f} s of processor time"
        used = f"jax {record.versions.get('jax', '?')}"
        parts.append(f"`{record.command}`: {_units(record)}, {seconds}, {used}.\n")
        parts.append(_rows(_HEADINGS, _claims(record)))
    return "\n".join(parts)


def table(records: Mapping[str, Record | None]) -> Table:
    """The same as one table for the screen.

    Args:
      records: see ``page``.

    Returns:
      The table; a study that is not run has one row.
    """
    rows = []
    for name, record in records.items():
        empty = [""] * (len(_HEADINGS) - 1)
        if record is None:
            rows.append([name, *empty, NOT_RUN])
            continue
        rows += [[name, *row] for row in _claims(record)]
    return Table("claims of the studies", ("study", *_HEADINGS), rows)


def command(name: str, size: str = STANDARD) -> str:
    """The command that runs a study.

    Args:
      name: of the study.
      size: of the run.

    Returns:
      One line.
    """
    return f"python -m experiments.studies run {name} size={size}"


_SUMMARY = ("study", "claims", *WORDS)


def _summary(name: str, record: Record | None) -> list[str]:
    link = f"[{name}](#{name})"
    if record is None:
        return [link, NOT_RUN, "", "", ""]
    count = Counter(verdict.word for verdict in record.verdicts)
    return [link, str(len(record.verdicts)), *(str(count[word]) for word in WORDS)]


def _purpose(name: str) -> str:
    """The purpose of a study, without the times of its sizes."""
    text = study(name).purpose.partition("\n\n")[0]
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
