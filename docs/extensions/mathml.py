"""Formulas as MathML, which browsers draw by themselves: nothing is fetched."""

from __future__ import annotations

import html
from typing import Any

import latex2mathml.converter
from docutils import nodes
from sphinx.application import Sphinx


def _visit(display: str) -> Any:
    def visit(translator: Any, node: nodes.Element) -> None:
        text = node.astext()
        drawn = latex2mathml.converter.convert(text, display=display)
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
