"""Self-contained HTML pages with tables and figures."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2330; max-width: 62rem;
       margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; margin: .6rem 0; }
td, th { padding: .2rem .9rem .2rem 0; text-align: left;
         border-bottom: 1px solid #dde1e7; font-variant-numeric: tabular-nums; }
img { max-width: 100%; } p { max-width: 46rem; }
"""


class Section(NamedTuple):
    """A part of a page.

    Attributes:
      heading: its title.
      text: a paragraph below the title; plain text.
      table: rows of cells, the first row being the head; empty: no table.
      figures: figures by their description, used as alternative text.
    """

    heading: str
    text: str = ""
    table: Sequence[Sequence[str]] = ()
    figures: Mapping[str, Figure] = {}


def html_page(title: str, sections: Sequence[Section]) -> str:
    """A page without links to other files: styles and pictures are embedded.

    Args:
      title: title of the page.
      sections: its parts, in order.

    Returns:
      The text of an HTML file. All texts are escaped.

    >>> "<h2>a &lt; b</h2>" in html_page("t", [Section("a < b")])
    True
    """
    body = "\n".join(_section(section) for section in sections)
    name = html.escape(title)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f"<title>{name}</title>\n<style>{_STYLE}</style></head>\n"
        f"<body><h1>{name}</h1>\n{body}\n</body></html>\n"
    )


def _section(section: Section) -> str:
    parts = [f"<h2>{html.escape(section.heading)}</h2>"]
    if section.text:
        parts.append(f"<p>{html.escape(section.text)}</p>")
    if section.table:
        parts.append(_table(section.table))
    parts += [_image(figure, text) for text, figure in section.figures.items()]
    return "\n".join(parts)


def _table(rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        inside = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
        return f"<tr>{inside}</tr>"

    head, *others = rows
    lines = [line(head, "th"), *(line(cells, "td") for cells in others)]
    return "<table>" + "\n".join(lines) + "</table>"


def _image(figure: Figure, text: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img alt="{html.escape(text)}" src="data:image/png;base64,{data}">'
