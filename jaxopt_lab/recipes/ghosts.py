"""Ghosts: features of classes that are yet to come, from their attributes."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.options import COUNT, POSITIVE, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Batch, Metrics, ModelState, Params, TrainLossFn
from jaxopt_lab.core.unit import unit_rows
from jaxopt_lab.losses.mmd import mmd


class Ghosts(NamedTuple):
    """Proxies and hyperplanes of the classes to come.

    Attributes:
      proxies: ``(G, K, D)``; G may be 0.
      normals: ``(S, D)`` of hyperplanes between real features, on their negative side,
        and ghosts, in the space of features of length 1; S may be 0.
      offsets: ``(S,)``.
    """

    proxies: jax.Array
    normals: jax.Array
    offsets: jax.Array


def ghost_generator_loss(
    generator: Functional,
    attributes: jax.Array,
    *,
    noise: Annotated[int, COUNT] = 50,
    inputs: str = "feature",
    label: str = "label",
) -> TrainLossFn:
    """The loss of a generator of features, for ``make_train_step``.

    Of each class in the batch as many features are generated as it has examples; the
    loss is the mean over these classes of ``losses.mmd`` between them and the real
    ones.

    Args:
      generator: its ``apply`` makes features ``(B, D)`` of ``(B, A + noise)``,
        attributes beside normal numbers.
      attributes: ``(C, A)``, of all classes.
      noise: normal numbers of an example.
      inputs: entry of the batch with features ``(B, D)`` of a frozen network.
      label: entry of the integer labels.

    Returns:
      ``loss_fn(params, model_state, batch, key)``. It couples the examples of a batch.

    Cost: for each class matrices of B x B.

    Source: Douillard et al., "Insights from the Future for Continual Learning", 2020,
    one of its configurations.

    >>> def apply(params, state, x, *, train, key=None):
    ...     return x @ params, state
    >>> generator = Functional(lambda key: (jnp.zeros((4, 2)), {}), apply)
    >>> loss = ghost_generator_loss(generator, jnp.eye(3), noise=1)
    >>> batch = {"feature": jnp.zeros((2, 2)), "label": jnp.array([0, 1])}
    >>> value, _ = loss(jnp.zeros((4, 2)), {}, batch, jax.random.key(0))
    >>> f"{value:.4f}"
    '0.0001'
    """
    check_arguments(ghost_generator_loss, {"noise": noise})
    count = len(attributes)

    def loss_fn(
        params: Params, model_state: ModelState, batch: Batch, key: jax.Array, /
    ) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
        real, labels = batch[inputs], batch[label]
        drawn = _conditions(key, attributes[labels], noise).astype(real.dtype)
        made, model_state = generator.apply(params, model_state, drawn, train=True)

        def of_class(number: jax.Array) -> tuple[jax.Array, jax.Array]:
            here = jnp.asarray(labels).astype(number.dtype) == number
            apart = mmd(made, reference=real, where=here, where_reference=here)
            return jnp.where(jnp.any(here), apart, 0), jnp.any(here)

        each, there = jax.vmap(of_class)(jnp.arange(count))
        total = jnp.maximum(jnp.sum(there), 1).astype(each.dtype)
        return jnp.sum(each) / total, (model_state, {})

    return loss_fn


def draw_ghosts(
    key: jax.Array,
    generator: Functional,
    params: Params,
    model_state: ModelState,
    attributes: jax.Array,
    *,
    noise: Annotated[int, COUNT] = 50,
    count: Annotated[int, COUNT] = 100,
) -> jax.Array:
    """Features of classes from their attributes.

    Args:
      key: of the noise.
      generator: as of ``ghost_generator_loss``.
      params: its parameters.
      model_state: its state.
      attributes: ``(G, A)``.
      noise: normal numbers of an example, as in its training.
      count: features of each class.

    Returns:
      ``(G, count, D)``. Their means, ``[:, None]``, or ``layers.imprint_proxies`` of
      them are proxies.

    >>> def apply(params, state, x, *, train, key=None):
    ...     return x[:, :2], state
    >>> generator = Functional(lambda key: ((), {}), apply)
    >>> draw_ghosts(jax.random.key(0), generator, (), {}, jnp.eye(2), count=3).shape
    (2, 3, 2)
    """
    check_arguments(draw_ghosts, {"noise": noise, "count": count})
    given = jnp.repeat(attributes, count, axis=0)
    drawn = _conditions(key, given, noise)
    made, _ = generator.apply(params, model_state, drawn, train=False)
    return made.reshape(len(attributes), count, -1)


def fit_separator(
    real: jax.Array,
    ghosts: jax.Array,
    *,
    ridge: Annotated[float, POSITIVE] = 1e-2,
    steps: Annotated[int, COUNT] = 30,
) -> tuple[jax.Array, jax.Array]:
    r"""A hyperplane between two sets of features of length 1, a linear SVM.

    .. math::
        \min_{w, b} \frac{\rho}{2} (\|w\|^2 + b^2) + \frac{1}{2 n} \sum_i
            [1 - t_i (w \cdot \bar h_i + b)]_+^2

    with t = -1 for real features and 1 for ghosts; strictly convex, by Newton's method,
    its step halved until the objective falls.

    Args:
      real: ``(n, D)``.
      ghosts: ``(m, D)``.
      ridge: :math:`\rho`.
      steps: of Newton's method; it stands still at the minimum.

    Returns:
      ``(w (D,), b ())``, float32 or float64.

    Raises:
      InputError: a set is empty, or the features do not fit.

    Cost: for each step a D x D matrix and its solution.

    >>> w, b = fit_separator(jnp.array([[1.0, 0.0]]), jnp.array([[0.0, 1.0]]))
    >>> bool(w[0] < 0 < w[1])
    True
    """
    check_arguments(fit_separator, {"ridge": ridge, "steps": steps})
    shapes = real.shape, ghosts.shape
    fit = real.ndim == ghosts.ndim == 2 and shapes[0][1] == shapes[1][1]
    if not fit or not shapes[0][0] or not shapes[1][0]:
        raise InputError(
            "real and ghosts must be features (n, D), at least one each; got shapes "
            f"{shapes[0]} and {shapes[1]}"
        )
    dtype = accumulation_dtype(real.dtype)
    h = jnp.concatenate([unit_rows(x.astype(dtype)) for x in (real, ghosts)])
    h = jnp.concatenate([h, jnp.ones((len(h), 1), dtype)], axis=1)
    t = jnp.concatenate([-jnp.ones(len(real), dtype), jnp.ones(len(ghosts), dtype)])
    rho, count = jnp.asarray(ridge, dtype), len(h)

    def objective(w: jax.Array) -> jax.Array:
        short = jax.nn.relu(1 - t * (h @ w))
        return rho / 2 * (w @ w) + jnp.sum(short**2) / (2 * count)

    def newton(w: jax.Array, _: None) -> tuple[jax.Array, None]:
        short = 1 - t * (h @ w)
        active = (short > 0).astype(dtype)
        slope = rho * w - h.T @ (active * t * short) / count
        bend = rho * jnp.eye(len(w), dtype=dtype)
        bend = bend + (h * active[:, None]).T @ h / count
        way = jnp.linalg.solve(bend, slope)
        sizes = 0.5 ** jnp.arange(12, dtype=dtype)
        found = w[None] - sizes[:, None] * way[None]
        values = jax.vmap(objective)(found)
        best = jnp.argmin(values)
        return jnp.where(values[best] < objective(w), found[best], w), None

    w, _ = jax.lax.scan(newton, jnp.zeros(h.shape[1], dtype), None, length=steps)
    return w[:-1], w[-1]


def latent_margin(features: jax.Array, ghosts: Ghosts) -> jax.Array:
    r"""Distance by which features are on the ghosts' side of the hyperplanes.

    .. math:: \operatorname{mean}_s [w_s \cdot \bar h + b_s]_+

    Args:
      features: ``(B, D)``.
      ghosts: their hyperplanes.

    Returns:
      ``(B,)``; zeros without hyperplanes.

    >>> ghosts = Ghosts(jnp.zeros((0, 1, 2)), jnp.eye(2)[:1], jnp.zeros(1))
    >>> latent_margin(jnp.array([[2.0, 0.0], [0.0, 3.0]]), ghosts).tolist()
    [1.0, 0.0]
    """
    h = unit_rows(features.astype(accumulation_dtype(features.dtype)))
    normals, offsets = (x.astype(h.dtype) for x in ghosts[1:])
    if not len(normals):
        return jnp.zeros(len(h), h.dtype)
    sides = jax.nn.relu(h @ normals.T + offsets[None])
    return jnp.mean(sides, axis=1)


def _conditions(key: jax.Array, attributes: jax.Array, noise: int) -> jax.Array:
    drawn = jax.random.normal(key, (len(attributes), noise), attributes.dtype)
    return jnp.concatenate([attributes, drawn], axis=1)
