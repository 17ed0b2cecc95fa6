"""POD: feature maps near those of a frozen teacher, up to pooling over positions."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import check_arguments
from jaxopt_lab.core.shapes import flattened
from jaxopt_lab.core.trees import accumulation_dtype, safe_sqrt
from jaxopt_lab.core.unit import unit_rows
from jaxopt_lab.core.where import or_zero
from jaxopt_lab.losses.targets import check_floats, check_shape, kept

Collapse = Literal["spatial", "width", "height", "channels", "none"]
Maps = jax.Array | Sequence[jax.Array]


def pooled_distillation(
    outputs: Maps,
    *,
    teacher: Maps,
    collapse: Collapse = "spatial",
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Distance of pooled, normalized feature maps, the mean over the maps.

    With the squares :math:`a = h^2` of a map h of height H, width W and C channels,

    .. math::
        p(h) = \Big[\sum_w a_{hwc} \;\Big|\; \sum_h a_{hwc}\Big], \qquad
        \ell = \operatorname{mean}_l \left\|
            \frac{p(h_l)}{\|p(h_l)\|} - \frac{p(g_l)}{\|p(g_l)\|} \right\|_2 .

    Rows and columns are kept, single positions are free to change. The teacher's maps g
    are constant.

    Args:
      outputs: maps ``(B, H, W, C)``, before the last rectifier of each stage; an array
        or a sequence of arrays.
      teacher: those of the teacher, of the same shapes.
      collapse: ``"spatial"``, both sums; ``"width"``, the sums over the height (an
        entry for each column and channel); ``"height"``, those over the width;
        ``"channels"``, over the channels; ``"none"``, no sum.
      where: ``(B,)``; 0 drops an example.

    Returns:
      ``(B,)``, float32 or float64, each from 0 to the root of 2. A map of zeros has no
      direction: its p is 0, with the derivative 0, as is that of maps equal to the
      teacher's.

    Raises:
      InputError: the maps and the teacher's do not fit, or an option is unknown.

    Deviations: a map is divided by its largest entry first, which changes nothing but
    that squares do not overflow; the code's division by at least 1e-12 becomes one by
    the norm.

    Source: Douillard et al., "PODNet: Pooled Outputs Distillation for Small-Tasks
    Incremental Learning", arXiv:2004.13513. Code read: arthurdouillard/incremental_
    learning.pytorch.

    >>> h = jnp.arange(8.0).reshape(1, 2, 2, 2)
    >>> pooled_distillation(2 * h, teacher=h).tolist()
    [0.0]
    """
    check_arguments(pooled_distillation, {"collapse": collapse})
    own, other = _listed(outputs), _listed(teacher)
    if len(own) != len(other) or not own:
        raise InputError(
            f"teacher has {len(other)} maps, the network {len(own)}; accepted: one for "
            "each of the network's, at least one"
        )
    total = jnp.zeros((own[0].shape[0],), accumulation_dtype(own[0].dtype))
    for h, g in zip(own, other, strict=True):
        check_floats("outputs", h, 4)
        check_shape("teacher", g, h.shape)
        h, g = (_kept(x, where) for x in (h, g))
        p, q = (pooled(x, collapse) for x in (h, jax.lax.stop_gradient(g)))
        square = jnp.sum((p - q.astype(p.dtype)) ** 2, axis=1)
        # Of vectors of length 1: below this it is rounding, which has no direction.
        noise = (8 * jnp.finfo(p.dtype).eps) ** 2
        square = jnp.where(square <= noise, 0, square)
        total = total + safe_sqrt(square).astype(total.dtype)
    return total / len(own)


def pooled(maps: jax.Array, collapse: Collapse = "spatial") -> jax.Array:
    """Sums of squares of feature maps, of length 1.

    Args:
      maps: ``(B, H, W, C)``.
      collapse: as of ``pooled_distillation``.

    Returns:
      ``(B, n)``, float32 or float64; zeros of zeros.

    >>> pooled(jnp.ones((1, 2, 2, 1)), "width").round(3).tolist()
    [[0.7070000171661377, 0.7070000171661377]]
    """
    x = maps.astype(accumulation_dtype(maps.dtype))
    size = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=(1, 2, 3), keepdims=True))
    squares = (x / jnp.where(size == 0, 1, size)) ** 2
    sums = {
        "width": (1,),
        "height": (2,),
        "spatial": (2, 1),
        "channels": (3,),
        "none": (),
    }[collapse]
    parts = [jnp.sum(squares, axis=axis) for axis in sums] or [squares]
    return unit_rows(jnp.concatenate([_flat(p) for p in parts], axis=1))


def cosine_distillation(
    outputs: jax.Array, *, teacher: jax.Array, where: jax.Array | None = None
) -> jax.Array:
    r"""One minus the cosine between features and a teacher's, POD-flat.

    Args:
      outputs: ``(B, D)``.
      teacher: ``(B, D)``, held constant.
      where: ``(B,)``; 0 drops an example.

    Returns:
      ``(B,)``, float32 or float64, from 0 to 2; 1 with the derivative 0 for features of
      zeros.

    Raises:
      InputError: the shapes do not fit.

    >>> x = jnp.array([[1.0, 0.0]])
    >>> cosine_distillation(x, teacher=-3 * x).tolist()
    [2.0]
    """
    check_floats("outputs", outputs, 2)
    check_shape("teacher", teacher, outputs.shape)
    own, other = (kept(x, where) for x in (outputs, jax.lax.stop_gradient(teacher)))
    own, other = (x.astype(accumulation_dtype(x.dtype)) for x in (own, other))
    apart = 1 - jnp.sum(unit_rows(own) * unit_rows(other).astype(own.dtype), axis=1)
    return or_zero(apart, where)


def normalized_distance(outputs: jax.Array, teacher: jax.Array) -> jax.Array:
    """Distance of squared, normalized maps without pooling, the simplest of the family.

    Args:
      outputs: ``(B, H, W, C)``.
      teacher: likewise.

    Returns:
      ``(B,)``.

    >>> h = jnp.ones((1, 2, 2, 1))
    >>> normalized_distance(h, 3 * h).tolist()
    [0.0]
    """
    p, q = (_flat(jnp.square(x)) for x in (outputs, teacher))
    p, q = (x / jnp.linalg.norm(x, axis=1, keepdims=True) for x in (p, q))
    return jnp.linalg.norm(p - q, axis=1)


def _flat(x: jax.Array) -> jax.Array:
    return flattened(x)


def _kept(x: jax.Array, where: jax.Array | None) -> jax.Array:
    if where is None:
        return x
    check_shape("where", where, x.shape[:1])
    return or_zero(x, where)


def _listed(maps: Maps) -> list[jax.Array]:
    return [jnp.asarray(maps)] if hasattr(maps, "shape") else [*map(jnp.asarray, maps)]
