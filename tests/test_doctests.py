"""Every example in a docstring runs and prints what it says."""

import doctest
import importlib
import pathlib

import jax
import pytest

import jaxopt_lab

PACKAGE = pathlib.Path(jaxopt_lab.__file__).parent
ROOTS = (PACKAGE, PACKAGE.parent / "experiments")
DEAR = "# Its examples wait for pytest --full."
"""Line of a module, under its docstring, whose examples take more than two thirds of a
second; its tests compile the same programs on other shapes, so that the examples wait
for ``--full``, or for a change that reaches few of them."""


def modules():
    """All modules whose text has an example, each a case that depends on it alone."""
    for root in ROOTS:
        for path in sorted(root.rglob("*.py")):
            text = path.read_text()
            if ">>>" in text or DEAR in text:
                parts = path.relative_to(root.parent).with_suffix("").parts
                name = ".".join(parts).removesuffix(".__init__")
                marks = [pytest.mark.reaches(name)]
                if f"\n{DEAR}\n" in text:
                    marks.append(pytest.mark.full(near=name))
                yield pytest.param(name, marks=marks)


@pytest.mark.parametrize("name", list(modules()))
def test_examples(name):
    module = importlib.import_module(name)
    # As in a notebook: 32 bits, and no promise of strict ranks.
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        failed, tried = doctest.testmod(module)
    assert tried > 0 and failed == 0
