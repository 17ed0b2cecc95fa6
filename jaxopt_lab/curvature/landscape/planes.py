"""The loss along lines, between two nets, and on planes through a point."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from jaxopt_lab.core.checks import check_positive_count
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Batch, Params
from jaxopt_lab.curvature.landscape.direction_algebra import check_like
from jaxopt_lab.curvature.landscape.directions import cosine
from jaxopt_lab.curvature.landscape.points import (
    Evaluation,
    Mode,
    Progress,
    StateAt,
    evaluate,
)
from jaxopt_lab.curvature.operators.products import Weights

Steps = Any
"""One-dimensional coordinates: an array, a list."""


class Line(NamedTuple):
    """The loss along a line.

    Attributes:
      steps: coordinates, float64, shape ``(n,)``.
      losses: the loss at each, float64, shape ``(n,)``.
    """

    steps: np.ndarray
    losses: np.ndarray


class Surface(NamedTuple):
    """The loss on a plane.

    Attributes:
      first: coordinates along the first direction, float64, shape ``(n,)``.
      second: coordinates along the second, float64, shape ``(m,)``.
      losses: ``losses[i, j]`` at ``w + first[i] d_0 + second[j] d_1``, float64.
      cosine: of the angle between the two directions: the axes of a picture look
        perpendicular whatever they are.
    """

    first: np.ndarray
    second: np.ndarray
    losses: np.ndarray
    cosine: float


def grid(reach: float = 1.0, points: int = 21) -> np.ndarray:
    """Evenly spaced coordinates around zero, zero itself among them.

    Args:
      reach: the largest coordinate, above 0.
      points: their number, odd, so that the middle one is exactly 0.

    Returns:
      float64, shape ``(points,)``, symmetric.

    Raises:
      InputError: ``reach`` is not above 0, or ``points`` is even.

    >>> grid(0.5, 5).tolist()
    [-0.5, -0.25, 0.0, 0.25, 0.5]
    """
    check_positive_count("points", points)
    if points % 2 == 0:
        raise InputError(f"points must be odd, so that 0 is among them; got {points}")
    if not 0 < reach < np.inf:
        raise InputError(f"reach must be a finite number above 0; got {reach}")
    half = points // 2
    return np.arange(-half, half + 1) * (reach / max(half, 1))


def line(
    loss_fn: Callable[..., Any],
    params: Params,
    direction: Params,
    batches: Iterable[Batch],
    *,
    steps: Steps | None = None,
    mode: Mode = "auto",
    chunk_size: int = 16,
    state_at: StateAt | None = None,
    progress: Progress | None = None,
    example_weights: Weights = None,
) -> Line:
    """The loss at ``params + step * direction``.

    Args:
      loss_fn: see ``plane``.
      params: the point through which the line goes.
      direction: a tree like ``params``.
      batches: see ``plane``.
      steps: coordinates, an odd number, 0 among them; in units of the direction.
        Default: ``grid()``, 21 from -1 to 1.
      mode, chunk_size, state_at, progress, example_weights: see ``plane``.

    Returns:
      Coordinates and losses.

    Raises:
      InputError: see ``plane``.

    >>> import jax.numpy as jnp
    >>> loss = lambda w, x: jnp.mean((w - x) ** 2)
    >>> at = line(loss, jnp.float32(1), jnp.float32(2), [jnp.ones(4)],
    ...           steps=[-1.0, 0.0, 1.0])
    >>> at.losses.tolist()
    [4.0, 0.0, 4.0]
    """
    check_like(direction, params, "direction")
    along = _around_zero("steps", steps)
    coefficients = np.stack([np.ones_like(along), along], axis=1)
    how = Evaluation(mode, chunk_size, state_at, progress, example_weights)
    losses = evaluate(loss_fn, (params, direction), coefficients, batches, how)
    return Line(along, losses)


def interpolation(
    loss_fn: Callable[..., Any],
    start: Params,
    end: Params,
    batches: Iterable[Batch],
    *,
    steps: Steps | None = None,
    mode: Mode = "auto",
    chunk_size: int = 16,
    state_at: StateAt | None = None,
    progress: Progress | None = None,
    example_weights: Weights = None,
) -> Line:
    r"""The loss on the straight line between two trained nets.

    At :math:`(1 - a)\,w_0 + a\,w_1`, which is exactly each net at its end.

    Args:
      loss_fn: see ``plane``.
      start: parameters of the net at 0.
      end: parameters of the net at 1, a tree like ``start``.
      batches: see ``plane``.
      steps: coordinates, 0 and 1 among them; they may go beyond. Default: 21 from 0
        to 1.
      mode, chunk_size, state_at, progress, example_weights: see ``plane``.

    Returns:
      Coordinates and losses. The barrier between the nets is
      ``max(losses - ((1 - steps) * losses_at_0 + steps * losses_at_1))``.

    Raises:
      InputError: see ``plane``.

    >>> import jax.numpy as jnp
    >>> loss = lambda w, x: jnp.mean((w - x) ** 2)
    >>> between = interpolation(loss, jnp.float32(0), jnp.float32(2), [jnp.ones(4)],
    ...                         steps=[0.0, 0.5, 1.0])
    >>> between.losses.tolist()
    [1.0, 0.0, 1.0]

    Reference: Goodfellow, Vinyals and Saxe, "Qualitatively characterizing neural
    network optimization problems", ICLR 2015, arXiv:1412.6544.
    """
    check_like(end, start, "end")
    along = np.arange(21) / 20 if steps is None else _coordinates("steps", steps)
    if not (np.any(along == 0) and np.any(along == 1)):
        raise InputError("steps must hold 0 and 1, the two nets themselves")
    coefficients = np.stack([1 - along, along], axis=1)
    how = Evaluation(mode, chunk_size, state_at, progress, example_weights)
    losses = evaluate(loss_fn, (start, end), coefficients, batches, how)
    return Line(along, losses)


def plane(
    loss_fn: Callable[..., Any],
    params: Params,
    first: Params,
    second: Params,
    batches: Iterable[Batch],
    *,
    first_steps: Steps | None = None,
    second_steps: Steps | None = None,
    mode: Mode = "auto",
    chunk_size: int = 16,
    state_at: StateAt | None = None,
    progress: Progress | None = None,
    example_weights: Weights = None,
) -> Surface:
    r"""The loss at :math:`w + a\,d_0 + b\,d_1`, on every pair of coordinates.

    Args:
      loss_fn: ``loss_fn(params, batch)``, the mean over the examples of the batch.
        With ``state_at`` it is called as ``loss_fn(params, batch, state)``. It is
        compiled once for each function object: pass the same one again, not a new
        lambda.
      params: the point w. Parameters below float32 are cast up, and ``loss_fn`` sees
        them so: a step along a direction is finer than bfloat16.
      first: the direction d_0, a tree like ``params``.
      second: the direction d_1.
      batches: a list, or anything that can be iterated repeatedly. A batch is
        weighted by its number of examples.
      first_steps: coordinates along ``first``, an odd number, 0 among them. Default:
        ``grid()``, 21 from -1 to 1.
      second_steps: the same along ``second``. Default: those along ``first``.
      mode: ``"vmap"``, the points of a chunk side by side in one program; ``"scan"``,
        one after the other in one program, which holds one point's activations at a
        time; ``"unroll"``, a call of the compiled loss for each point; or ``"auto"``:
        ``"unroll"`` for convolutions on CPU, where XLA runs them 20 to 40 times slower
        inside a loop and 3 to 10 times slower side by side, else ``"vmap"``.
      chunk_size: points in one program.
      state_at: ``state_at(params) -> state``, computed once at each point and passed
        to ``loss_fn`` as its third argument, for instance batch statistics
        re-estimated on fixed data. Default: ``loss_fn`` takes two arguments. Like
        ``loss_fn``, pass the same function object again.
      progress: called as ``progress(done, total)`` after each chunk, in points.
      example_weights: ``example_weights(batch)``, the weight of every example, such as
        0 for padding; ``loss_fn`` must be the mean under the same weights. Default: 1
        each.

    Returns:
      Coordinates, losses, and the cosine between the directions.

    Raises:
      InputError: a direction does not fit the parameters, coordinates are even in
        number or do not hold 0, there are no batches or they are not a list of
        batches, the loss is no scalar, or an option is out of range.

    Cost: one loss for each point and batch; no gradients. Memory: ``chunk_size``
    points at a time, each with its parameters and activations. Runs on the host
    around a compiled program: not to be called inside ``jit``.

    Decisions: loss-landscapes and LLA walk a zig-zag grid, whose rows differ by one
    cell and may miss the trained point; here every row has the same coordinates and
    the middle is exactly w. Running statistics of normalisations are no parameters
    and never move along a direction: freeze them in ``loss_fn``, or re-estimate them
    at each point with ``state_at``.

    >>> import jax.numpy as jnp
    >>> loss = lambda w, x: jnp.mean((w[0] - x) ** 2) + w[1] ** 2
    >>> w, axes = jnp.zeros(2), jnp.eye(2)
    >>> surface = plane(loss, w, axes[0], axes[1], [jnp.zeros(4)],
    ...                 first_steps=[-1.0, 0.0, 1.0])
    >>> surface.losses.tolist()
    [[2.0, 1.0, 2.0], [1.0, 0.0, 1.0], [2.0, 1.0, 2.0]]

    Reference: Li, Xu, Taylor, Studer and Goldstein, "Visualizing the Loss Landscape of
    Neural Nets", NeurIPS 2018, arXiv:1712.09913.
    """
    check_like(first, params, "first")
    check_like(second, params, "second")
    rows = _around_zero("first_steps", first_steps)
    columns = (
        rows if second_steps is None else _around_zero("second_steps", second_steps)
    )
    a, b = (x.ravel() for x in np.meshgrid(rows, columns, indexing="ij"))
    coefficients = np.stack([np.ones_like(a), a, b], axis=1)
    corners = (params, first, second)
    how = Evaluation(mode, chunk_size, state_at, progress, example_weights)
    losses = evaluate(loss_fn, corners, coefficients, batches, how)
    shape = (len(rows), len(columns))
    return Surface(rows, columns, losses.reshape(shape), float(cosine(first, second)))


def _coordinates(name: str, values: Steps) -> np.ndarray:
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or array.size == 0 or not np.all(np.isfinite(array)):
        raise InputError(
            f"{name} must be a list of finite numbers; got shape {array.shape}"
        )
    return array


def _around_zero(name: str, values: Steps | None) -> np.ndarray:
    if values is None:
        return grid()
    array = _coordinates(name, values)
    if array.size % 2 == 0 or not np.any(array == 0):
        raise InputError(
            f"{name} must be an odd number of coordinates with 0 among them, the point "
            f"itself; got {array.size} from {array.min():g} to {array.max():g}"
        )
    return array
