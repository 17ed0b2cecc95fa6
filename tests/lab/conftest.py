"""Compilation of the lab in the full run."""

import pytest
from support import compiler


@pytest.fixture(autouse=True, scope="module")
def _compiled_quickly():
    # Runs of a few steps: nearly all of their time is the compiler's.
    with compiler.quickly():
        yield
