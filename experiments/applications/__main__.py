"""``python -m experiments.applications``: the list, runs, and the page of verdicts."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.harness import collection, page
from experiments.harness.records import Collection

APPLICATIONS = Collection(
    kind="applications",
    one="application",
    folder=Path(__file__).parent,
    page=Path(__file__).parents[2] / "docs" / "applications.md",
    introduction="""# Applications

Systems of the literature at a size that a laptop runs in two minutes, each with its
own idea in it: `experiments/applications/NAME.py`. Written by `python -m
experiments.applications page` from the standard results that are kept beside them.""",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """See ``experiments.harness.collection.main``."""
    return collection.main(APPLICATIONS, page.overview, arguments)


if __name__ == "__main__":
    sys.exit(main())
