"""Self-contained HTML pages with tables and figures."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Greys alone beside black, so that a print in grey loses nothing.
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2330; background: #fff;
       max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; margin: .6rem 0; }
td, th { padding: .2rem .9rem .2rem 0; text-align: left; vertical-align: top;
         border-bottom: 1px solid #dde1e7; font-variant-numeric: tabular-nums; }
td.n, th.n { text-align: right; }
caption { text-align: left; color: #555; padding: .3rem 0; }
img { max-width: 100%; } p, figcaption { max-width: 46rem; }
figure { margin: 1rem 0; break-inside: avoid; } figcaption { color: #555; }
pre { background: #f4f5f7; padding: .6rem .8rem; white-space: pre-wrap;
      overflow-wrap: anywhere; }
.wide { overflow-x: auto; } nav a { color: inherit; margin-right: 1rem; }
summary { cursor: pointer; }
@media print { body { max-width: none; margin: 0; } nav { display: none; }
               tr, pre { break-inside: avoid; } h2 { break-after: avoid; } }
"""

Rows = Sequence[Sequence[str]]
Pictures = Literal["png", "svg"]


class Section(NamedTuple):
    """A part of a page.

    Attributes:
      heading: its title; empty: none.
      text: a paragraph below the title, or several; plain text.
      table: rows of cells, the first row being the head; empty: no table.
      figures: figures by their description, used as alternative text.
      captions: of figures, by the same description: shown below them.
      code: shown as it is, such as the command that makes the page again.
      folded: heading and content are one closed element that the reader opens.
    """

    heading: str
    text: str | Sequence[str] = ""
    table: Rows = ()
    figures: Mapping[str, Figure] = {}
    captions: Mapping[str, str] = {}
    code: str = ""
    folded: bool = False


def html_page(
    title: str,
    sections: Sequence[Section],
    *,
    contents: bool = False,
    pictures: Pictures = "png",
) -> str:
    """A page without links to other files: styles and pictures are embedded.

    Args:
      title: title of the page.
      sections: its parts, in order.
      contents: a line of links to the sections below the title.
      pictures: kind of the figures: SVG is sharp at every size, and smaller for lines
        of few points; PNG is smaller for surfaces.

    Returns:
      The text of an HTML file. All texts are escaped. Equal figures give equal text.

    >>> "<h2>a &lt; b</h2>" in html_page("t", [Section("a < b")])
    True
    """
    named = contents and len(sections) > 1
    names = [f"part{i}" if named else "" for i in range(len(sections))]
    parts = [
        _section(section, name, pictures)
        for section, name in zip(sections, names, strict=True)
    ]
    if named:
        pairs = zip(names, sections, strict=True)
        links = (f'<a href="#{n}">{html.escape(s.heading)}</a>' for n, s in pairs)
        parts.insert(0, "<nav>" + "\n".join(links) + "</nav>")
    name = html.escape(title)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name}</title>\n<style>{_STYLE}</style></head>\n"
        f"<body><h1>{name}</h1>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _section(section: Section, name: str, pictures: Pictures) -> str:
    texts = [section.text] if isinstance(section.text, str) else section.text
    parts = [f"<p>{html.escape(text)}</p>" for text in texts if text]
    if section.table:
        parts.append(_table(section.table))
    for key, figure in section.figures.items():
        picture = _image(figure, key, pictures)
        if key in section.captions:
            caption = html.escape(section.captions[key])
            picture += f"<figcaption>{caption}</figcaption>"
        parts.append(f"<figure>{picture}</figure>")
    if section.code:
        parts.append(f"<pre>{html.escape(section.code)}</pre>")
    own = f' id="{name}"' if name else ""
    heading = html.escape(section.heading)
    if section.folded:
        inside = "\n".join([f"<summary>{heading}</summary>", *parts])
        return f"<details{own}>{inside}</details>"
    return "\n".join([f"<h2{own}>{heading}</h2>" if heading else "", *parts])


_NUMBER = re.compile(r"[+-]?(\d[\d,.]*(e[+-]?\d+)?)( ?[±(].*)?( ?\S{1,3})?|-|nan", re.A)


def _table(rows: Rows) -> str:
    head, *others = rows
    columns = zip(*others, strict=True) if others else ()
    # A column of numbers ends flush right.
    right = [all(_NUMBER.fullmatch(c) for c in column) for column in columns]
    right = right or [False] * len(head)

    kinds = [' class="n"' if r else "" for r in right]

    def line(cells: Sequence[str], tag: str) -> str:
        inside = "".join(
            f"<{tag}{kind}>{html.escape(cell)}</{tag}>"
            for cell, kind in zip(cells, kinds, strict=False)
        )
        return f"<tr>{inside}</tr>"

    lines = [line(head, "th"), *(line(cells, "td") for cells in others)]
    return '<div class="wide"><table>' + "\n".join(lines) + "</table></div>"


def _image(figure: Figure, text: str, pictures: Pictures) -> str:
    import matplotlib as mpl

    buffer = io.BytesIO()
    if pictures == "svg":
        # No date, and no identifiers that differ from one run to the next.
        with mpl.rc_context({"svg.hashsalt": "jaxopt_lab"}):
            figure.savefig(buffer, format="svg", metadata={"Date": None})
    else:
        figure.savefig(buffer, format="png", dpi=130)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    kind = {"svg": "image/svg+xml", "png": "image/png"}[pictures]
    return f'<img alt="{html.escape(text)}" src="data:{kind};base64,{data}">'
