"""One page for each public module, an index for each room, written before the build.

A public name is one that a room exports (``jaxopt_lab.losses.emo``); it stands on the
page of the module that defines it.
"""

from __future__ import annotations

import importlib
import pathlib
import re
import shutil
from collections import defaultdict
from typing import Any

from public_names import PACKAGE, ROOMS, Name, public_names
from sphinx.application import Sphinx


def write(folder: pathlib.Path) -> None:
    """Write all pages.

    Args:
      folder: of the pages; what is in it is removed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    seen: set[str] = set()
    for room in ROOMS:
        by_module: dict[str, list[Name]] = defaultdict(list)
        for name in public_names(room):
            by_module[name.module].append(name)
        rows = []
        for module, names in by_module.items():
            page = module.removeprefix(f"{PACKAGE}.")
            rows += [(name, page) for name in names]
            if module not in seen:
                seen.add(module)
                (folder / f"{page}.md").write_text(_page(room, module, names))
        (folder / f"{room}-room.md").write_text(_index(room, rows))
    entries = "\n".join(f"{room}-room" for room in ROOMS)
    (folder / "index.md").write_text(
        "# Reference\n\nEvery public name, by room.\n\n"
        f"```{{toctree}}\n{entries}\n```\n"
    )


def _page(room: str, module: str, names: list[Name]) -> str:
    title = ", ".join(name.exported.rpartition(".")[2] for name in names[:3])
    more = ", ..." if len(names) > 3 else ""
    # In no menu: one with all pages would be made again for each of them.
    parts = ["---\norphan: true\n---\n", f"# {title}{more}\n"]
    for name in names:
        package, _, own = name.exported.rpartition(".")
        value = getattr(importlib.import_module(package), own)
        flat = getattr(importlib.import_module(PACKAGE), own, None) is value
        shown = f"{PACKAGE}.{own}" if flat else name.exported
        parts.append(f"```{{eval-rst}}\n.. auto{name.kind}:: {shown}\n```\n")
    back = f"[{room}]({room}-room.md)"
    parts.append(f"Defined in `{module}`; exported by {back}.\n")
    return "\n".join(parts)


def _index(room: str, rows: list[tuple[Name, str]]) -> str:
    package = importlib.import_module(f"{PACKAGE}.{room}")
    doc = (package.__doc__ or "").split("\n\n")[0].replace("\n", " ")
    lines = [f"# {room}\n", _markdown(doc), "", "| name | |", "| --- | --- |"]
    for name, page in sorted(rows, key=lambda row: row[0].exported.lower()):
        own = name.exported.rpartition(".")[2]
        text = _markdown(name.line).replace("|", "\\|")
        lines.append(f"| [`{own}`]({page}.md) | {text} |")
    return "\n".join([*lines, ""])


def _markdown(text: str) -> str:
    text = re.sub(r":math:`([^`]*)`", r"$\1$", text)
    return text.replace("``", "`")


_LITERAL = re.compile(r"``[^`]+``|:\w+:`[^`]+`|`[^`]+`_")
_BULLET = re.compile(r"\s*[*-]\s")


def plain(app: Any, what: str, name: str, obj: Any, options: Any, lines: list) -> None:
    """Escape what is markup by accident: products, norms, trailing underscores.

    Docstrings use literals, lists, literal blocks and ``math`` alone.
    """
    kept: list[str] = []

    def keep(match: re.Match[str]) -> str:
        kept.append(match.group())
        return f"\0{len(kept) - 1}\0"

    text = _LITERAL.sub(keep, "\n".join(lines))
    done, block, example = [], None, False
    for line in text.split("\n"):
        depth = len(line) - len(line.lstrip())
        if block is not None and line.strip() and depth <= block:
            block = None
        inside = block is not None
        if not inside and (line.rstrip().endswith("::") or ".. math" in line):
            block = depth
        example = bool(line.strip()) and (example or line.lstrip().startswith(">>>"))
        exempt = inside or example or line.lstrip().startswith("..")
        done.append(line if exempt else _escaped(line))
    text = re.sub(r"\0(\d+)\0", lambda found: kept[int(found[1])], "\n".join(done))
    lines[:] = text.split("\n")


def _escaped(line: str) -> str:
    bullet = _BULLET.match(line)
    start = bullet.end() if bullet else 0
    text = re.sub(r"(?<!\\)([*|])", r"\\\1", line[start:])
    return line[:start] + re.sub(r"(?<=\w)_(?!\w)", r"\\_", text)


def documented(
    app: Any, what: str, name: str, obj: Any, skip: bool, options: Any
) -> Any:
    """Skip fields, which the class documents, and what NamedTuple brings along."""
    if type(obj).__name__ == "_tuplegetter" or name in {"count", "index"}:
        return True
    return None


def _build(app: Sphinx) -> None:
    write(pathlib.Path(app.srcdir) / "docs" / "api")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages when the build begins."""
    app.connect("builder-inited", _build)
    app.connect("autodoc-process-docstring", plain, priority=400)
    app.connect("autodoc-skip-member", documented)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
