"""``python -m experiments.studies``: every claim, its run, and the page of all."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.harness import collection, page
from experiments.harness.records import Collection

STUDIES = Collection(
    kind="studies",
    one="study",
    folder=Path(__file__).parent,
    page=Path(__file__).parents[2] / "docs" / "claims.md",
    introduction="""# The claims of the studies

Written by `python -m experiments.studies page` from the standard results that are kept
beside the studies.""",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """See ``experiments.harness.collection.main``."""
    return collection.main(STUDIES, page.table, arguments)


if __name__ == "__main__":
    sys.exit(main())
