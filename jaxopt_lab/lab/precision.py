"""The type in which the model of a run computes."""

from __future__ import annotations

from collections.abc import Callable

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.models import Adapt
from jaxopt_lab.lab.run_options import RunOptions
from jaxopt_lab.training.mixed_precision import computing_in, mixed_precision


def computed(
    run: RunOptions, functional: Functional, made: Callable[[Adapt], Functional]
) -> Functional:
    """The model as it is trained and tested.

    Args:
      run: says in which type it computes.
      functional: the model in float32.
      made: ``made(adapt)``, the model with what makes its flax nnx module adapted.

    Returns:
      ``functional`` itself in float32; else the same parameters and state, computed
      in bfloat16.
    """
    if run.precision == "float32":
        return functional
    return mixed_precision(made(computing_in))


def check(configuration: Configuration) -> None:
    """Refuse two types at once.

    Args:
      configuration: the run.

    Raises:
      InputError: the model has a type of its own.
    """
    precision = configuration.run.precision
    own = getattr(configuration.model, "dtype", "float32")
    if precision != "float32" and own != "float32":
        raise InputError(
            f"precision={precision} computes in bfloat16, model.dtype={own} otherwise; "
            "accepted: one of the two"
        )
