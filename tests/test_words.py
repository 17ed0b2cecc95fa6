"""The words of the package: titles are noun phrases or verbs, terms are usual ones."""

import ast
import io
import pathlib
import re
import tokenize

import pytest

import jaxopt_lab

PACKAGE = pathlib.Path(jaxopt_lab.__file__).parent
QUESTION = re.compile(r"(What|Where|How|When|Which)\b")
PRIVATE = re.compile(r"\b(lies|anew|handed on|given away|in the place of)\b")
# Rooms and files that still wait for their words; nothing may be added.
PENDING = (
    "core/typing.py",
    "training/fused_apply.py",
)
FILES = sorted(str(p.relative_to(PACKAGE)) for p in PACKAGE.rglob("*.py"))
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def docstrings(text):
    nodes = [n for n in ast.walk(ast.parse(text)) if isinstance(n, DOCUMENTED)]
    return [doc for doc in map(ast.get_docstring, nodes) if doc]


def comments(text):
    """Runs of comment lines, each as one text."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    lines = {t.start[0]: t.string for t in tokens if t.type == tokenize.COMMENT}
    spread = [lines.get(i, "\0") for i in range(max(lines, default=0) + 1)]
    return "".join(spread).split("\0")


def complaints(text):
    documents = docstrings(text)
    found = [
        f"a title asks: {d.splitlines()[0]}" for d in documents if QUESTION.match(d)
    ]
    plain = [re.sub(r"[\s#]+", " ", t) for t in (*documents, *comments(text))]
    return found + [f"private word: {m[0]}" for t in plain for m in PRIVATE.finditer(t)]


@pytest.mark.parametrize("path", [f for f in FILES if not f.startswith(PENDING)])
def test_titles_and_words(path):
    assert complaints((PACKAGE / path).read_text()) == []


def test_the_guard_sees_titles_and_words():
    text = '"""Which way."""\n# handed\n# on\n'
    text += 'def f():\n    """Whether it is in the\n    place of."""\n'
    assert [c.split(":")[0] for c in complaints(text)] == [
        "a title asks",
        "private word",
        "private word",
    ]
