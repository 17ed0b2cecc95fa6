"""How the programs of the studies' tests are compiled, in the full run too."""

import pytest
from support import compiler


@pytest.fixture(autouse=True)
def _compiled_quickly():
    # A tiny run takes few steps: nearly all of its time is the compiler's.
    with compiler.quickly():
        yield
