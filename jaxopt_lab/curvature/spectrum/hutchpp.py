"""Hutch++: trace by a sketch of the large eigenvalues and probes of the rest."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxopt_lab.core import checks as arguments
from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import PyTree
from jaxopt_lab.curvature.operators import vector_trees as vt
from jaxopt_lab.curvature.operators.operator import (
    Operator,
    Shapes,
    check_operator,
    draw,
)
from jaxopt_lab.curvature.spectrum.quadrature import standard_error
from jaxopt_lab.curvature.spectrum.trace import TraceEstimate, quadratic_form


def hutchpp_trace(
    operator: Operator, key: Array, *, num_matvecs: int = 99
) -> TraceEstimate:
    r"""Trace whose error falls as 1/m where Hutchinson's falls as its root.

    .. math::
        \operatorname{tr} H \approx \operatorname{tr}(Q^\top H Q)
        + \frac{1}{s} \sum_{p=1}^{s} g_p^\top H g_p, \quad
        Q = \operatorname{orth}(H S), \; g_p = (I - Q Q^\top) z_p

    with s Rademacher columns in S and s Rademacher probes z. The first part is exact;
    only the remainder outside of the sketch is estimated.

    Args:
      operator: H, symmetric. The gain is for matrices with few large eigenvalues.
      key: typed PRNG key.
      num_matvecs: products in all, 3 s; a multiple of 3. Fewer are spent where the
        sketch finds that the rank is below s, and the result is then exact.

    Returns:
      A ``TraceEstimate``. ``samples`` are the second part's with the first added, so
      that their mean is ``value``; the standard error is that of the second part.

    Raises:
      InputError: ``num_matvecs`` is no positive multiple of 3.

    Memory: (s + 2) P.

    >>> import jax, jax.numpy as jnp
    >>> from jaxopt_lab import curvature
    >>> diagonal = jnp.array([100.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    >>> h = curvature.linear_operator(lambda v: diagonal * v, diagonal)
    >>> found = hutchpp_trace(h, jax.random.key(0), num_matvecs=9)
    >>> round(found.value, 3), found.matvecs  # rank 2 < s = 3: exact
    (101.0, 8)

    Reference: Meyer, Musco, Musco and Woodruff, "Hutch++: optimal stochastic trace
    estimation", arXiv:2010.09649.
    """
    arguments.check_positive_count("num_matvecs", num_matvecs)
    if num_matvecs % 3:
        raise InputError(f"num_matvecs must be a multiple of 3; got {num_matvecs}")
    columns = num_matvecs // 3
    sketch_key, probe_key = jax.random.split(key)

    def probes(which: Array) -> Iterable[PyTree]:
        for p in range(columns):
            yield draw(operator, jax.random.fold_in(which, p), "rademacher")

    return hutchpp_of(operator, probes(sketch_key), probes(probe_key), columns)


def hutchpp_of(
    operator: Operator, sketch: Iterable[PyTree], probes: Iterable[PyTree], columns: int
) -> TraceEstimate:
    """The same with given random vectors.

    Args:
      operator: H, symmetric.
      sketch: ``columns`` vectors, the columns of S.
      probes: the vectors z.
      columns: s.

    Returns:
      A ``TraceEstimate``.
    """
    check_operator(operator)
    basis = _empty(Shapes.of(operator.like), min(columns, operator.size))
    matvecs, kept, inside, scale = 0, 0, 0.0, 0.0
    for z in sketch:
        if kept == operator.size:
            break
        image = operator.matvec(z)
        matvecs += 1
        rest, left, norm = _new_direction(basis, image)
        scale = max(scale, float(norm))
        # A column in the span of the others leaves only rounding error: drop it.
        if float(left) > _eps(operator.like) * operator.size**0.5 * 10 * scale:
            basis = _keep(basis, kept, rest)
            kept += 1
    for i in range(kept):
        q = _row(basis, i)
        inside += float(quadratic_form(q, operator.matvec(q)))
        matvecs += 1
    rests = []
    for z in probes:
        g = _outside(z, basis)
        rests.append(quadratic_form(g, operator.matvec(g)))
        matvecs += 1
    samples = inside + np.array([float(x) for x in rests])
    return TraceEstimate(
        float(np.mean(samples)), float(standard_error(samples)), samples, matvecs
    )


@partial(jax.jit, static_argnums=(0, 1))
def _empty(like: Shapes, rows: int) -> PyTree:
    return vt.empty_stack(like.tree(), rows)


@jax.jit
def _new_direction(basis: PyTree, image: PyTree) -> tuple[PyTree, Array, Array]:
    rest, left = vt.unit(vt.orthogonal_part(image, basis))
    return rest, left, trees.global_norm(image)


_outside = jax.jit(vt.orthogonal_part)
_keep = jax.jit(vt.set_row, donate_argnums=0)


@jax.jit
def _row(basis: PyTree, i: int) -> PyTree:
    return jax.tree.map(lambda rows: rows[i], basis)


def _eps(like: PyTree) -> float:
    return max(float(jnp.finfo(x.dtype).eps) for x in jax.tree.leaves(like))
