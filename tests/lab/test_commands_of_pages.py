"""The commands on pages and in notebooks are ones that the lab takes."""

import pathlib
import re
import shlex

import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import command_line
from jaxopt_lab.lab.commands import COMMANDS, plan

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
PAGES += (ROOT / "notebooks").glob("*.py")
OPTION = r"""[\w.-]+=(?:"[^"]*"|'[^']*'|[^\s`|]+)"""
COMMAND = re.compile(
    rf"(?:jaxopt-lab |python -m experiments\.)(\w+)((?: +{OPTION}| +--\w+)*)"
)
# Files and names of the reader, and the mistake that the tutorial shows.
NOT_HERE = re.compile(r"my[._]|HOST|config=runs|method=samm|\.\.\.|--")


def commands():
    for page in PAGES:
        text = page.read_text().replace("\\\n", " ")
        text = re.sub(r"\n(?:# )? *(?=[\w.]+=[^\s=])", " ", text)  # wrapped lines
        yield from COMMAND.findall(text)


def test_every_command_exists():
    other = {"applications", "benchmarks", "studies", "train", *COMMANDS}
    named = {name for name, _ in commands()}
    assert len(named) > 10
    assert named - other == set()


def refused(name, words):
    try:
        (command_line.parse if name == "train" else plan.parse)(shlex.split(words))
    except (InputError, SystemExit) as error:
        return str(error)
    return ""


def test_training_and_planning_take_all_options():
    found = {c for c in commands() if c[0] in ("train", "plan")}
    found = {(name, words) for name, words in found if not NOT_HERE.search(words)}
    assert len(found) > 30
    wrong = {words: refused(name, words) for name, words in found}
    assert not {words: why for words, why in wrong.items() if why}


@pytest.mark.parametrize("words", ["metod=sam", "method=sgd rho=0.1", "steps=-1"])
def test_a_wrong_command_is_seen(words):
    assert refused("train", words)
