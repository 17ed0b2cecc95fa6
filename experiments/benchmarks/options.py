"""Command lines of the benchmarks."""

from __future__ import annotations

import argparse
from collections.abc import Iterable


def parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser that shows the first line of a module's docstring and all defaults.

    Args:
      doc: the docstring.

    Returns:
      The parser, without arguments.
    """
    return argparse.ArgumentParser(
        description=(doc or "").partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )


def meta_parser(
    doc: str | None, methods: Iterable[str], steps: int
) -> argparse.ArgumentParser:
    """A parser for meta-training: methods, outer steps and a seed.

    Args:
      doc: the docstring of the benchmark.
      methods: the accepted names.
      steps: default of the outer steps.

    Returns:
      The parser.
    """
    made = argparse.ArgumentParser(description=doc)
    listed = ", ".join(methods)
    made.add_argument("methods", nargs="*", default=["maml"], help=f"of {listed}")
    made.add_argument("--steps", type=int, default=steps, help="outer steps")
    made.add_argument("--seed", type=int, default=0, help="of weights and tasks")
    return made
