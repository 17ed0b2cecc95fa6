"""Errors about names: which of the others are told."""

import pytest

from jaxopt_lab.core.errors import unknown


@pytest.mark.parametrize("count, whole", [(60, True), (61, False)])
def test_of_more_than_sixty_names_the_near_ones_alone_are_told(count, whole):
    names = ["nearby", *(f"{i:04}" for i in range(count - 1))]
    text = str(unknown("method", "nearbi", names))
    assert text.startswith("unknown method 'nearbi'; perhaps you meant 'nearby'? (")
    assert ("accepted: 0000, 0001," in text) == whole
    assert (f"({count - 1} other names are accepted)" in text) != whole
    # Where none is near, all of them.
    text = str(unknown("method", "zzz", names))
    assert text.startswith("unknown method 'zzz'; accepted: 0000, ")
    assert text.endswith(", nearby")
