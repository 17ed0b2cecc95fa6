"""Parameters of which a few run with the plain suite, the others with the full one."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def plain(values: Iterable[Any], names: Collection[str]) -> list[Any]:
    """Values for ``parametrize``: those of these names plain, the others ``full``.

    Args:
      values: names, or objects that have a ``name``; both give the tests' names.
      names: of those that stay in the plain run; each must be there.
    """
    by_name = {getattr(value, "name", str(value)): value for value in values}
    unknown = set(names) - set(by_name)
    if unknown:
        raise ValueError(f"no such cases: {sorted(unknown)}")
    return [
        pytest.param(value, id=name, marks=() if name in names else pytest.mark.full)
        for name, value in by_name.items()
    ]
