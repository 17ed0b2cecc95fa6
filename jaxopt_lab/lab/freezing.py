"""Parameters of a run that stay as they are."""

from __future__ import annotations

import re
from typing import Any

import optax

from jaxopt_lab.core import masking, trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Params
from jaxopt_lab.lab.run_options import RunOptions


def frozen(
    run: RunOptions, tx: optax.GradientTransformation
) -> optax.GradientTransformationExtraArgs:
    """An optimizer that leaves the parameters alone that a run freezes.

    Args:
      run: names them.
      tx: the optimizer of the others; a sharpness method moves none but these.

    Returns:
      The optimizer.

    Raises:
      InputError: the expression cannot be read, or it matches none or all parameters.
    """
    check_pattern("freeze", run.freeze)

    def labels(params: Params) -> Any:
        names = [trees.path_name(path) for path, _ in trees.leaves_with_path(params)]
        matched = [name for name in names if re.search(run.freeze, name)]
        if len(matched) in (0, len(names)):
            what = "none" if not matched else "all"
            raise InputError(
                f"freeze={run.freeze} matches {what} of the parameters: "
                + ", ".join(names[:6])
                + (", ..." if len(names) > 6 else "")
            )
        return trees.label_by_path([(run.freeze, "frozen")], "trained")(params)

    return masking.partition({"trained": tx, "frozen": optax.set_to_zero()}, labels)


def check_pattern(option: str, pattern: str) -> None:
    """Refuse what is no regular expression.

    Args:
      option: its name, for the message.
      pattern: the expression.

    Raises:
      InputError: it cannot be read.
    """
    try:
        re.compile(pattern)
    except re.error as error:
        raise InputError(
            f"{option}={pattern} is no regular expression: {error}"
        ) from None
