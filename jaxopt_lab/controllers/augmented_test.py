"""The inner-product and augmented tests: gradients of examples along their mean."""

from __future__ import annotations

import math
from typing import Annotated

from jaxopt_lab.controllers.batch_growth import examples_for, growing_batch, statistic
from jaxopt_lab.controllers.controller import Controller, Statistics
from jaxopt_lab.core.options import COUNT, POSITIVE_OR_INFINITE, STATIC, check_arguments


def augmented_test(
    theta: Annotated[float, POSITIVE_OR_INFINITE, STATIC] = 0.9,
    nu: Annotated[float, POSITIVE_OR_INFINITE, STATIC] = 5.84,
    *,
    micro_batch: Annotated[int, COUNT] = 1,
    start_batch: Annotated[int, COUNT] = 8,
    max_batch: Annotated[int, COUNT] = 1024,
    interval: Annotated[int, COUNT] = 1,
) -> Controller:
    r"""Grow the batch until it passes the inner-product and orthogonality tests.

    .. math::
        b' = \max\left(
            \frac{\mathrm{Var}_i \langle g_i, \bar g \rangle}{\theta^2 |\bar g|^4}, \;
            \frac{\sum \mathrm{Var}_i (g_i - \langle g_i, \bar g \rangle \bar g
                / |\bar g|^2)}{\nu^2 |\bar g|^2}\right),

    with the batch as in ``norm_test``, which asks for more: the first test wants a
    direction of descent with high probability, the second one bounds what is at right
    angles to it.

    Args:
      theta: the accepted standard error of the inner product, relative to
        :math:`|\bar g|^2`; above 0, ``math.inf`` leaves the test out.
      nu: the accepted standard error at right angles, relative to :math:`|\bar g|`;
        ``math.inf`` leaves the test out: the inner-product test alone.
      micro_batch: examples of one accumulation step, all devices together.
      start_batch: examples of the first batch; at least one micro-batch.
      max_batch: examples that no batch exceeds, at least ``start_batch``.
      interval: steps between two tests.

    Returns:
      A controller as ``norm_test``. It reads ``inner_variance``,
      ``orthogonal_variance`` and ``grad_norm_sq`` (``projected_variances``).

    Raises:
      InputError: an argument is out of range; at the call, a statistic is missing.

    Cost: none on the device beyond three scalars. 3 numbers of state.

    Decisions: the variance of the inner products of whole gradients, as published; the
    released code adds up those of single tensors. The defaults are those of the tests'
    first publication (Bollapragada et al., 2018).

    >>> control = augmented_test(0.5, math.inf, micro_batch=8)
    >>> stats = {"inner_variance": 24.0, "orthogonal_variance": 9.0,
    ...          "grad_norm_sq": 2.0}  # asks for 24 examples
    >>> control.decide(stats, control.init())[0]
    {'accumulation': 3}

    Source: Lau, Liu and Kolar, "AdAdaGrad: Adaptive Batch Size Schemes for Adaptive
    Gradient Methods", arXiv:2402.11215. Code read: timlautk/AdAdaGrad.
    """
    check_arguments(augmented_test, locals())

    def wanted(stats: Statistics) -> float:
        read = lambda name: statistic("augmented_test", stats, name)
        inner, apart = read("inner_variance"), read("orthogonal_variance")
        square = read("grad_norm_sq")
        found = []
        if not math.isinf(theta):
            found.append(examples_for(inner, theta * theta * square * square))
        if not math.isinf(nu):
            found.append(examples_for(apart, nu * nu * square))
        return max(found, default=0.0)

    return growing_batch(
        wanted,
        micro_batch=micro_batch,
        start_batch=start_batch,
        max_batch=max_batch,
        interval=interval,
    )
