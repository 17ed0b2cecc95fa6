"""A self-contained page as a file: sections with tables and figures, one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jaxopt_lab.plotting.page import Pictures, Section, html_page
from jaxopt_lab.runtime.atomic_files import write_text

REPORT = "report.html"

__all__ = ["REPORT", "Section", "write"]


def write(
    folder: Path,
    title: str,
    sections: Sequence[Section],
    *,
    name: str = REPORT,
    pictures: Pictures = "svg",
) -> Path:
    """Write a page into a folder, whole or not at all.

    Args:
      folder: an existing folder.
      title: title of the page.
      sections: its parts, in order.
      name: of the file.
      pictures: kind of the embedded figures; see ``plotting.html_page``.

    Returns:
      The path of the file.

    Raises:
      InputError: it cannot be written.
    """
    text = html_page(title, sections, contents=len(sections) > 3, pictures=pictures)
    path = folder / name
    write_text(path, text)
    return path
