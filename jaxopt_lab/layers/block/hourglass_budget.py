"""Numbers of parameters of hourglass networks, and bottlenecks that meet a budget."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, COUNT_OR_ZERO, check_arguments


class ParameterCount(NamedTuple):
    """Parameters of an hourglass network.

    Attributes:
      trained: those of the optimizer.
      total: those and the numbers of a constant lift.
    """

    trained: int
    total: int


def hourglass_size(
    features: Annotated[int, COUNT],
    *,
    skip: Annotated[int | None, COUNT] = None,
    bottleneck: Annotated[int, COUNT] = 16,
    out: Annotated[int | None, COUNT] = None,
    depth: Annotated[int, COUNT_OR_ZERO] = 4,
    lift: str = "normal",
) -> ParameterCount:
    r"""The number of parameters of ``hourglass``.

    .. math:: 2 K d_z h + d_z d_y \; (+\, d_x d_z)

    the last term trained or constant, and absent where the lift is the identity.

    Args:
      features: :math:`d_x`.
      skip: :math:`d_z`.
      bottleneck: h.
      out: :math:`d_y`.
      depth: K.
      lift: of ``hourglass``.

    Returns:
      The ``ParameterCount``.

    Raises:
      InputError: a size is out of range.

    >>> hourglass_size(2, skip=8, bottleneck=3, depth=1)
    ParameterCount(trained=64, total=80)
    """
    check_arguments(hourglass_size, locals())
    width = skip or 4 * features
    own = 2 * depth * width * bottleneck + width * (out or features)
    first = 0 if lift == "identity" else features * width
    return ParameterCount(own + first * (lift == "trained"), own + first)


def match_bottleneck(
    budget: Annotated[int, COUNT],
    features: Annotated[int, COUNT],
    *,
    skip: Annotated[int | None, COUNT] = None,
    out: Annotated[int | None, COUNT] = None,
    depth: Annotated[int, COUNT] = 4,
    lift: str = "normal",
    total: bool = False,
) -> int:
    """The widest bottleneck with which ``hourglass`` stays within a budget.

    Args:
      budget: largest number of parameters.
      features: of ``hourglass_size``.
      skip: of ``hourglass_size``; the skip of the features and ``lift="identity"`` give
        the inner size of a conventional perceptron.
      out: of ``hourglass_size``.
      depth: of ``hourglass_size``, at least 1.
      lift: of ``hourglass_size``.
      total: count a constant lift too.

    Returns:
      The bottleneck: one more unit would exceed the budget.

    Raises:
      InputError: a size is out of range, or a bottleneck of 1 exceeds the budget.

    >>> match_bottleneck(100, 2, skip=8, depth=2)
    2
    """
    check_arguments(match_bottleneck, locals())

    def used(bottleneck: int) -> int:
        count = hourglass_size(
            features,
            skip=skip,
            bottleneck=bottleneck,
            out=out,
            depth=depth,
            lift=lift,
        )
        return count.total if total else count.trained

    least, unit = used(1), used(2) - used(1)
    if least > budget:
        raise InputError(
            f"budget must be at least {least}, for a bottleneck of 1; got {budget}"
        )
    return 1 + (budget - least) // unit
