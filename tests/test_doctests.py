"""Every example in a docstring runs and prints what it says."""

import doctest
import importlib
import pathlib

import jax
import pytest

import jaxopt_lab

PACKAGE = pathlib.Path(jaxopt_lab.__file__).parent
ROOTS = (PACKAGE, PACKAGE.parent / "experiments")


def modules():
    """All modules whose text has an example, each a case that depends on it alone."""
    for root in ROOTS:
        for path in sorted(root.rglob("*.py")):
            if ">>>" in path.read_text():
                parts = path.relative_to(root.parent).with_suffix("").parts
                name = ".".join(parts).removesuffix(".__init__")
                yield pytest.param(name, marks=pytest.mark.reaches(name))


@pytest.mark.parametrize("name", list(modules()))
def test_examples(name):
    module = importlib.import_module(name)
    # As in a notebook: 32 bits, and no promise of strict ranks.
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        failed, tried = doctest.testmod(module)
    assert tried > 0 and failed == 0
