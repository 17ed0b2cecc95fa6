"""The optimizers that are compared; Adam is behind all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import optax

import jaxopt_lab


class Row(NamedTuple):
    """An optimizer with everything fixed but the step size.

    Attributes:
      name: what it is called.
      make: ``make(learning_rate)``, a number, a traced scalar or a schedule.
      gradients: gradient evaluations of a step.
    """

    name: str
    make: Callable[[Any], optax.GradientTransformation]
    gradients: int = 1


def _sam(rho: float) -> Callable[[Any], optax.GradientTransformation]:
    return lambda rate: optax.chain(jaxopt_lab.sam(rho), optax.adam(rate))


def _cg(capacity: int, decay: float) -> Callable[[Any], optax.GradientTransformation]:
    return lambda rate: jaxopt_lab.adam_cg(
        rate, capacity=capacity, priority_decay=decay
    )


def _cm(capacity: int, decay: float) -> Callable[[Any], optax.GradientTransformation]:
    return lambda rate: jaxopt_lab.adam_cm(
        rate, capacity=capacity, priority_decay=decay
    )


ADAM = Row("adam", optax.adam)
LOOKAHEAD = Row(
    "adam + lookahead",
    lambda rate: jaxopt_lab.lookahead(optax.adam(rate), k=5, alpha=0.5),
)
SAM_SMALL, SAM = (
    Row(f"adam + sam({rho})", _sam(rho), gradients=2) for rho in (0.05, 0.2)
)
CG, CG_LARGE = (
    Row(f"adam + cg({c}, {d})", _cg(c, d)) for c, d in ((5, 0.7), (20, 0.99))
)
CM, CM_SLOW, CM_LARGE_FAST, CM_LARGE = (
    Row(f"adam + cm({c}, {d})", _cm(c, d))
    for c, d in ((5, 0.7), (5, 0.99), (20, 0.7), (20, 0.99))
)

ON_TOYS = (
    ADAM,
    LOOKAHEAD,
    SAM_SMALL,
    SAM,
    CG,
    CG_LARGE,
    CM,
    CM_SLOW,
    CM_LARGE_FAST,
    CM_LARGE,
)
ON_NETWORKS = (ADAM, SAM_SMALL, CG, CM, CM_SLOW)
