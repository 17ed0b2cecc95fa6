"""Small wrong changes of a source file, one line each, and finding them again.

A mutant is stored by what it is and not by where it stands: the file, the qualified
name of the function, the text of the line, and the line in its place. After a file has
moved or grown the same mutant is found by function and line.
"""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterator

_OPERATORS = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.Pow: ("**", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
    ast.And: ("and", "or"),
    ast.Or: ("or", "and"),
}


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One wrong line.

    Attributes:
      path: file, relative to the repository.
      function: qualified name, ``Class.method`` or ``outer.inner``.
      line: text of the line, without what stands around it.
      mutated: the line in its place.
      occurrence: which of the equal lines of that function, from 0.
      kind: what was done: operator, comparison, constant or term.
    """

    path: str
    function: str
    line: str
    mutated: str
    occurrence: int
    kind: str


def mutants_of(path: str, text: str) -> list[Mutant]:
    """All mutants of the functions of a file, in the order of its lines."""
    lines = text.splitlines()
    found: dict[tuple[int, str], Mutant] = {}
    for function, node in functions(ast.parse(text)):
        for kind, place, new in _changes(node, lines):
            row, begin, end = place
            old = lines[row]
            mutated = old[:begin] + new + old[end:]
            if mutated.strip() == old.strip() or not _parses(lines, row, mutated):
                continue
            mutant = Mutant(
                path,
                function,
                old.strip(),
                mutated.strip(),
                _rows(lines, node, old.strip()).index(row),
                kind,
            )
            found[row, mutant.mutated] = mutant
    return [found[key] for key in sorted(found)]


def applied(text: str, mutant: Mutant) -> str | None:
    """A file's text with the mutant in it; nothing where its line is not found."""
    lines = text.splitlines()
    for function, node in functions(ast.parse(text)):
        if function == mutant.function:
            rows = _rows(lines, node, mutant.line)
            if len(rows) > mutant.occurrence:
                row = rows[mutant.occurrence]
                indent = lines[row][: len(lines[row]) - len(lines[row].lstrip())]
                lines[row] = indent + mutant.mutated
                return "\n".join(lines) + "\n"
    return None


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Qualified names and nodes of all functions; an inner one follows its outer."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            name = f"{prefix}{node.name}"
            if not isinstance(node, ast.ClassDef):
                yield name, node
            yield from functions(node, f"{name}.")
        else:
            yield from functions(node, prefix)


def _rows(lines: list[str], node: ast.AST, line: str) -> list[int]:
    """Rows of a function whose text is that line."""
    first, last = node.lineno - 1, node.end_lineno  # type: ignore[attr-defined]
    return [row for row in range(first, last) if lines[row].strip() == line]


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes of a function's body, without annotations, errors and inner functions."""
    waiting = list(getattr(node, "body", []))
    while waiting:
        step = waiting.pop()
        if isinstance(step, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        if isinstance(step, (ast.Raise, ast.Assert, ast.JoinedStr)):
            continue
        yield step
        for name, value in ast.iter_fields(step):
            if name in ("annotation", "returns"):
                continue
            values = value if isinstance(value, list) else [value]
            waiting += [part for part in values if isinstance(part, ast.AST)]


Place = tuple[int, int, int]


def _changes(node: ast.AST, lines: list[str]) -> Iterator[tuple[str, Place, str]]:
    for step in _own(node):
        if isinstance(step, ast.BinOp):
            yield from _swap("operator", step.op, step.left, step.right, lines)
            yield from _drop(step, lines)
        elif isinstance(step, ast.Compare):
            ends = [step.left, *step.comparators]
            for op, left, right in zip(step.ops, ends, ends[1:], strict=False):
                yield from _swap("comparison", op, left, right, lines)
        elif isinstance(step, ast.BoolOp):
            for left, right in zip(step.values, step.values[1:], strict=False):
                yield from _swap("comparison", step.op, left, right, lines)
        elif isinstance(step, ast.UnaryOp) and isinstance(step.op, ast.USub | ast.Not):
            if step.lineno == step.operand.lineno:
                place = (step.lineno - 1, step.col_offset, step.operand.col_offset)
                text = lines[place[0]][place[1] : place[2]]
                yield "operator", _bytes(place, lines), "(" * text.count("(")
        elif isinstance(step, ast.Constant):
            new = _other(step.value)
            if new is not None and step.lineno == step.end_lineno:
                place = (step.lineno - 1, step.col_offset, step.end_col_offset or 0)
                yield "constant", _bytes(place, lines), new


def _other(value: object) -> str | None:
    """Text of another constant; none for what is no number."""
    if isinstance(value, bool):
        return str(not value)
    if isinstance(value, int):
        return str(value + 1)
    if isinstance(value, float):
        return repr(2 * value) if value else "1.0"
    return None


def _swap(
    kind: str, op: ast.AST, left: ast.expr, right: ast.expr, lines: list[str]
) -> Iterator[tuple[str, Place, str]]:
    if type(op) not in _OPERATORS or left.end_lineno != right.lineno:
        return
    old, new = _OPERATORS[type(op)]
    row, begin, end = _between(left, right, lines)
    pattern = re.escape(old).replace(r"\ ", r"\s+")
    if old[0].isalpha():
        pattern = rf"\b{pattern}\b"
    match = re.search(pattern, lines[row][begin:end])
    if match:
        yield kind, (row, begin + match.start(), begin + match.end()), new


def _drop(step: ast.BinOp, lines: list[str]) -> Iterator[tuple[str, Place, str]]:
    """A sum or product without its second term."""
    right = step.right
    if not isinstance(step.op, ast.Add | ast.Sub | ast.Mult | ast.Div):
        return
    if step.left.end_lineno != right.lineno or right.end_lineno != right.lineno:
        return
    row, begin, _ = _between(step.left, right, lines)
    end = _bytes((row, 0, right.end_col_offset or 0), lines)[2]
    text = lines[row][begin:end]
    if text.count("(") == text.count(")"):
        yield "term", (row, begin, end), ""


def _between(left: ast.expr, right: ast.expr, lines: list[str]) -> Place:
    place = (right.lineno - 1, left.end_col_offset or 0, right.col_offset)
    return _bytes(place, lines)


def _bytes(place: Place, lines: list[str]) -> Place:
    """Columns in characters; the tree counts the bytes of UTF-8."""
    row, begin, end = place
    text = lines[row].encode()
    return row, len(text[:begin].decode()), len(text[:end].decode())


def _parses(lines: list[str], row: int, mutated: str) -> bool:
    try:
        ast.parse("\n".join([*lines[:row], mutated, *lines[row + 1 :]]))
    except SyntaxError:
        return False
    return True
