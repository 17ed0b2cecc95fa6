"""Which tests stay in one process: those of one ``xdist_group``, else of one file.

A pytest plugin. The tests of a file share compiled programs, so that they stay
together; a group takes a few tests out of a file, or joins those of several.
"""

from __future__ import annotations

from typing import Any

import pytest


def group_of(nodeid: str) -> str:
    """Name of the group in a node's name, ``file::test@group``, else its file."""
    # A parameter in brackets may hold an @ of its own.
    at = nodeid.rfind("@")
    return nodeid[at + 1 :] if at > nodeid.rfind("]") else nodeid.split("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return ByGroup(config, log)
