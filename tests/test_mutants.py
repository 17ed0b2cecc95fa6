"""Mutants: one wrong line each, found again wherever the function stands."""

from support.mutants import applied, mutants_of

TEXT = '''"""A file."""
LIMIT = 3


def scale(x: int = 3, *, big: bool = False) -> float:
    """Twice x + 1."""
    if x < 0 and not big:
        raise ValueError(f"{x + 1} is small")

    def inner(y):
        return 2.0 * y + 1

    return inner(x) - LIMIT


class Part:
    def size(self):
        return 1
'''
CHANGES = {
    ("scale", "if x <= 0 and not big:"),
    ("scale", "if x < 1 and not big:"),
    ("scale", "if x < 0 or not big:"),
    ("scale", "if x < 0 and big:"),
    ("scale", "return inner(x) + LIMIT"),
    ("scale", "return inner(x)"),
    ("scale.inner", "return 4.0 * y + 1"),
    ("scale.inner", "return 2.0 / y + 1"),
    ("scale.inner", "return 2.0 + 1"),
    ("scale.inner", "return 2.0 * y - 1"),
    ("scale.inner", "return 2.0 * y"),
    ("scale.inner", "return 2.0 * y + 2"),
    ("Part.size", "return 2"),
}


def test_all_of_a_file():
    found = mutants_of("a.py", TEXT)
    assert {(one.function, one.mutated) for one in found} == CHANGES
    assert len(found) == len(CHANGES)


def test_one_line_changes_and_is_found_in_a_file_that_grew():
    longer = TEXT.replace("LIMIT = 3\n", "LIMIT = 3\n\n\ndef first():\n    pass\n")
    for mutant in mutants_of("a.py", TEXT):
        wrong = applied(longer, mutant)
        assert wrong is not None
        pairs = zip(longer.splitlines(), wrong.splitlines(), strict=True)
        ((old, new),) = [(a.strip(), b.strip()) for a, b in pairs if a != b]
        assert (old, new) == (mutant.line, mutant.mutated)


def test_a_line_that_is_gone_is_not_found():
    last = mutants_of("a.py", TEXT)[-1]
    assert applied(TEXT.replace(last.line, "pass"), last) is None


def test_equal_lines_are_told_apart():
    text = "def f(x):\n    x += 1\n    x += 1\n    return x\n"
    wrong = [applied(text, one) for one in mutants_of("a.py", text)]
    assert wrong == [text.replace("1", "2", 1), text[::-1].replace("1", "2", 1)[::-1]]
