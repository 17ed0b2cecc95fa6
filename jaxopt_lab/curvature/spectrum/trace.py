"""Traces from random probes, with standard errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from jaxopt_lab.core import checks as arguments
from jaxopt_lab.core import trees
from jaxopt_lab.core.argument_checks import check_key
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import PyTree
from jaxopt_lab.curvature.operators import vector_trees as vt
from jaxopt_lab.curvature.operators.operator import (
    Operator,
    Shapes,
    check_operator,
    draw,
)
from jaxopt_lab.curvature.operators.vector_trees import Probe, check_probe
from jaxopt_lab.curvature.spectrum.quadrature import standard_error


class TraceEstimate(NamedTuple):
    """An estimate of a trace.

    Attributes:
      value: the estimate.
      standard_error: its standard error, from the spread of the samples; NaN with one.
      samples: estimate of each probe, ``(m,)``, float64.
      matvecs: products spent.
    """

    value: float
    standard_error: float
    samples: np.ndarray
    matvecs: int

    @property
    def error(self) -> float:
        """``standard_error``, under the name that all diagnostics share."""
        return self.standard_error


quadratic_form = jax.jit(trees.dot)


@partial(jax.jit, static_argnums=(0, 4, 5))
def _chunk(
    apply: Callable[..., Any],
    data: PyTree,
    key: Array,
    numbers: np.ndarray,
    like: Shapes,
    probe: Probe,
) -> Array:
    def one(number: Any) -> Array:
        z = vt.draw(jax.random.fold_in(key, number), like.tree(), probe)
        return trees.dot(z, apply(data, z))

    return jax.vmap(one)(numbers)


def hutchinson_trace(
    operator: Operator,
    key: Array,
    *,
    num_probes: int = 100,
    tol: float | None = None,
    min_probes: int = 10,
    probe: Probe = "rademacher",
    chunk: int = 1,
) -> TraceEstimate:
    r"""Trace by random probes.

    .. math::
        \operatorname{tr} H \approx \frac{1}{m} \sum_{p=1}^{m} z_p^\top H z_p, \quad
        \operatorname{Var} = \frac{2}{m} \Big(\|H\|_F^2 - \sum_i H_{ii}^2\Big)

    for Rademacher probes; normal ones keep the diagonal in the variance.

    Args:
      operator: H, symmetric.
      key: typed PRNG key; probe p uses ``jax.random.fold_in(key, p)``.
      num_probes: m, at most.
      tol: stop when the standard error is at most ``tol`` times the absolute
        estimate. Default: all probes.
      min_probes: probes before ``tol`` applies, at least 2: a few that agree by
        chance would stop it too early.
      probe: ``"rademacher"`` or ``"normal"``.
      chunk: probes that run together in one program (``vmap``), with as many times
        the memory of a product. 1: one by one, driven from the host, the only way for
        streamed batches, and the fast one for convolutions on CPU.

    Returns:
      A ``TraceEstimate``; the values do not depend on ``chunk`` but for rounding.

    Raises:
      InputError: an option is out of range or unknown, or the operator streams its
        batches and ``chunk`` is more than 1.

    Deviation: PyHessian stops when two successive means are close, which one lucky
    probe brings about.

    >>> import jax, jax.numpy as jnp
    >>> from jaxopt_lab import curvature
    >>> h = curvature.linear_operator(lambda v: jnp.arange(4.0) * v, jnp.zeros(4))
    >>> found = hutchinson_trace(h, jax.random.key(0), num_probes=5)
    >>> found.value, found.standard_error  # no variance off the diagonal
    (6.0, 0.0)

    Source: Hutchinson, Communications in Statistics 19 (1990).
    """
    arguments.check_positive_count("num_probes", num_probes)
    arguments.check_positive_count("chunk", chunk)
    arguments.check_positive_count("min_probes", min_probes)
    if min_probes < 2:
        raise InputError("min_probes must be at least 2; got 1")
    check_probe(probe)
    if chunk > 1 and operator.apply is None:
        raise InputError(
            f"chunk = {chunk} needs batches that are held: give them as a list"
        )
    samples: list[Any] = []
    for part in _samples(operator, key, num_probes, probe, chunk):
        samples.append(part)
        if tol is None:
            continue
        so_far = _gathered(samples)
        error, value = standard_error(so_far), np.mean(so_far)
        if len(so_far) >= min_probes and error <= tol * abs(value):
            break
    every = _gathered(samples)
    return TraceEstimate(
        float(np.mean(every)), float(standard_error(every)), every, len(every)
    )


def _samples(
    operator: Operator, key: Array, num_probes: int, probe: Probe, chunk: int
) -> Iterator[Array]:
    check_operator(operator)
    check_key("key", key)
    like = Shapes.of(operator.like)
    for begin in range(0, num_probes, chunk):
        if chunk > 1 and operator.apply is not None:
            some = np.arange(begin, min(begin + chunk, num_probes))
            yield _chunk(operator.apply, operator.data, key, some, like, probe)
        else:
            z = draw(operator, jax.random.fold_in(key, begin), probe)
            yield quadratic_form(z, operator.matvec(z))


def _gathered(samples: list[Any]) -> np.ndarray:
    parts = [np.atleast_1d(np.asarray(s, np.float64)) for s in samples]
    return np.concatenate(parts)
