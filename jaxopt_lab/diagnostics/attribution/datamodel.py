"""Datamodels: outputs as linear functions of the training examples that were used."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, POSITIVE, check_arguments
from jaxopt_lab.core.shapes import refuse_empty
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Scalar


class Datamodel(NamedTuple):
    """A linear model of outputs.

    Attributes:
      weights: ``(n,)`` or ``(n, q)``, the change of each output by each example.
      bias: ``()`` or ``(q,)``, the outputs without examples.
    """

    weights: jax.Array
    bias: jax.Array


def fit_datamodel(
    data: Mapping[str, jax.Array],
    *,
    where: jax.Array | None = None,
    key: jax.Array | None = None,
    ridge: Annotated[Scalar, POSITIVE] = 1e-3,
    lasso: Annotated[Scalar, NON_NEGATIVE] = 0.0,
    sweeps: Annotated[int, COUNT] = 100,
) -> Datamodel:
    r"""Fit outputs of models to the subsets of the examples that they were trained on.

    .. math::
        \min_{\beta, b} \frac{1}{2 m} \sum_{s} \Big(f_s - b - \sum_{i \in S_s}
            \beta_i\Big)^2 + \frac{\rho}{2} \|\beta\|^2 + \lambda \|\beta\|_1

    Args:
      data: ``subset``, ``(m, n)``, 1 where example i was in the training set of model
        s, usually a random half; and ``outputs``, ``(m,)`` or ``(m, q)``, of each model
        such as margins or logits of the examples to be explained.
      where: ``(m,)``, weights of the models; 0 drops one.
      key: not used; every estimator takes one.
      ridge: :math:`\rho`, above 0, so that fewer models than examples do.
      lasso: :math:`\lambda`. The Python number 0 is ridge regression, solved exactly.
      sweeps: of coordinate descent over the examples, for a ``lasso``; each lowers the
        objective, and uncorrelated columns need one.

    Returns:
      The model, float32 or float64; zeros without data.

    Raises:
      InputError: the shapes do not fit, there is no model, or an option is out of
        range.

    Memory: n x n numbers, or m x m if that is less and there is no ``lasso``. Cost:
    n^3 / 3 (or m^3 / 3) once, and n^2 q a sweep.

    >>> subset = jnp.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> data = {"subset": subset, "outputs": subset @ jnp.array([2.0, -1.0]) + 3}
    >>> fit_datamodel(data, ridge=1e-9).weights.round(3).tolist()
    [2.0, -1.0]

    Source: Ilyas et al., "Datamodels", arXiv:2202.00622; Georgiev et al.,
    "Attribute-to-Delete: Machine Unlearning via Datamodel Matching", arXiv:2410.23232.
    """
    del key
    given = {"ridge": ridge, "lasso": lasso, "sweeps": sweeps}
    check_arguments(fit_datamodel, given)
    subset, outputs = data["subset"], data["outputs"]
    if subset.ndim != 2 or outputs.ndim not in (1, 2) or len(outputs) != len(subset):
        raise InputError(
            "subset must be (m, n) and outputs (m,) or (m, q); got shapes "
            f"{subset.shape} and {outputs.shape}"
        )
    refuse_empty("subset", subset)
    if jnp.iscomplexobj(subset):
        raise InputError(f"subset must be real; got {subset.dtype}")
    count, examples = subset.shape
    if where is not None and where.shape != (count,):
        raise InputError(f"where must have shape {(count,)}; got {where.shape}")
    dtype = accumulation_dtype(outputs.dtype)
    shares = jnp.ones(count, dtype) if where is None else where.astype(dtype)
    here = shares[:, None] > 0
    x = jnp.where(here, subset, 0).astype(dtype)
    y = jnp.where(here, outputs.reshape(count, -1), 0).astype(dtype)
    total = jnp.sum(shares)
    shares = shares / jnp.where(total > 0, total, 1)
    mean_x, mean_y = shares @ x, shares @ y
    root = jnp.sqrt(shares)[:, None]
    x, y = root * (x - mean_x[None]), root * (y - mean_y[None])
    rho = jnp.asarray(ridge, dtype)
    sparse = known_number(lasso) != 0
    if count < examples and not sparse:
        weights = x.T @ _solve(x @ x.T, rho, y)
    else:
        gram, target = x.T @ x, x.T @ y
        weights = _solve(gram, rho, target)
        if sparse:
            threshold = jnp.asarray(lasso, dtype)
            weights = _descend(gram, target, rho, threshold, weights, sweeps)
    bias = mean_y - mean_x @ weights
    if outputs.ndim == 1:
        return Datamodel(weights[:, 0], bias[0])
    return Datamodel(weights, bias)


def datamodel_change(fitted: Datamodel, forget: jax.Array) -> jax.Array:
    r"""Changes of the outputs by leaving examples out, :math:`-\sum_{i \in F} \beta_i`.

    Args:
      fitted: the result of ``fit_datamodel``.
      forget: ``(..., n)``, 1 for the examples of each forget set, floating.

    Returns:
      ``(...)`` or ``(..., q)``, of the type of ``forget``. Added to the outputs of the
      trained model they are those of one that has never seen the set: DM-direct, and
      the targets of oracle matching.

    Raises:
      InputError: another number of examples; or, where the values are known, a forget
        set that is everything: there is no model to compare with.

    >>> fitted = Datamodel(jnp.array([2.0, -1.0, 0.5]), jnp.array(3.0))
    >>> datamodel_change(fitted, jnp.array([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])).tolist()
    [-2.0, -1.0]
    """
    if forget.ndim < 1 or forget.shape[-1] != len(fitted.weights):
        raise InputError(
            f"forget must be (..., {len(fitted.weights)}), a number for each example; "
            f"got shape {forget.shape}"
        )
    if jnp.iscomplexobj(forget):
        raise InputError(f"forget must be real; got {forget.dtype}")
    values = known_values(forget)
    if values is not None and values.size and np.any(np.all(values != 0, axis=-1)):
        raise InputError("forget is every example; accepted: a set that leaves some")
    change = -(forget.astype(fitted.weights.dtype) @ fitted.weights)
    return change.astype(forget.dtype)


def no_change(forget: jax.Array) -> jax.Array:
    """Zeros for each forget set.

    Args:
      forget: ``(..., n)``.

    Returns:
      ``(...)``.

    >>> no_change(jnp.ones((2, 3))).tolist()
    [0.0, 0.0]
    """
    return jnp.zeros(forget.shape[:-1], forget.dtype)


def _solve(matrix: jax.Array, rho: jax.Array, right: jax.Array) -> jax.Array:
    shifted = matrix + rho * jnp.eye(len(matrix), dtype=matrix.dtype)
    return jax.scipy.linalg.solve(shifted, right, assume_a="pos")


def _descend(
    gram: jax.Array,
    target: jax.Array,
    rho: jax.Array,
    threshold: jax.Array,
    weights: jax.Array,
    sweeps: int,
) -> jax.Array:
    """Cyclic coordinate descent with soft thresholding."""

    def one(weights: jax.Array, j: jax.Array) -> tuple[jax.Array, None]:
        free = target[j] - gram[j] @ weights + gram[j, j] * weights[j]
        size = jnp.maximum(jnp.abs(free) - threshold, 0)
        return weights.at[j].set(jnp.sign(free) * size / (gram[j, j] + rho)), None

    def sweep(weights: jax.Array, _: None) -> tuple[jax.Array, None]:
        return jax.lax.scan(one, weights, jnp.arange(len(gram)))

    return jax.lax.scan(sweep, weights, None, length=sweeps)[0]
