"""Formulas as MathML, which browsers draw by themselves: nothing is fetched."""

from __future__ import annotations

import html
import re
from typing import Any

import latex2mathml.converter
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

_LOGGER = logging.getLogger(__name__)
# Commands that the converter would show as they are written.
_SPELLED = {
    r"\\arg\b": r"\operatorname{arg}",
    r"\\[Bb]ig+[lr]?\s*(?=\\(?:lfloor|rfloor|lceil|rceil)\b)": "",
}


def converted(text: str, display: str) -> str:
    """A formula as MathML.

    Args:
      text: in LaTeX.
      display: ``"inline"`` or ``"block"``.

    Returns:
      The element ``math``. A command that is not understood is a warning, and with
      ``-W`` an error of the build.
    """
    known = text
    for pattern, spelled in _SPELLED.items():
        known = re.sub(pattern, lambda _, new=spelled: new, known)
    drawn = latex2mathml.converter.convert(known, display=display)
    left = re.findall(r"\\[A-Za-z]+", html.unescape(re.sub(r"<[^>]*>", " ", drawn)))
    if left:
        _LOGGER.warning("formula %r: not understood: %s", text, ", ".join(left))
    return drawn


def _visit(display: str) -> Any:
    def visit(translator: Any, node: nodes.Element) -> None:
        text = node.astext()
        drawn = converted(text, display)
        tag = "div" if display == "block" else "span"
        title = html.escape(text, quote=True)
        translator.body.append(f'<{tag} class="math" title="{title}">{drawn}</{tag}>')
        raise nodes.SkipNode

    return visit


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderers of both kinds of formulas."""
    app.add_html_math_renderer(
        "mathml", (_visit("inline"), None), (_visit("block"), None)
    )
    app.config.html_math_renderer = "mathml"  # type: ignore[attr-defined]
    return {"parallel_read_safe": True, "parallel_write_safe": True}
