"""T3: parameters between two models, by how far their predictions disagree."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import (
    COUNT,
    NON_NEGATIVE,
    STATIC,
    UNIT,
    check_arguments,
    takes,
)
from jaxopt_lab.core.statistics import batch_mean
from jaxopt_lab.core.typing import Params
from jaxopt_lab.inference.agreement import jensen_shannon
from jaxopt_lab.inference.soups import checked, interpolate


class FittedT3(NamedTuple):
    """A merging coefficient.

    Attributes:
      coefficient: scalar, the share of the pretrained model; float32 or float64.
      divergence: scalar, the mean Jensen-Shannon divergence, in nats.
    """

    coefficient: jax.Array
    divergence: jax.Array


def t3_coefficient(
    divergence: jax.Array,
    *,
    least: Annotated[float, UNIT] = 0.1,
    most: Annotated[float, UNIT] = 0.9,
    gamma: Annotated[float, NON_NEGATIVE] = 0.5,
    center: Annotated[float, NON_NEGATIVE] = 0.0,
) -> jax.Array:
    r"""The share of the pretrained model, by the divergence of two predictions.

    .. math:: \lambda = \lambda_0 + (\lambda_1 - \lambda_0)\,
        \sigma(\gamma (D - c)).

    As :math:`0 \le D \le \log 2`, with :math:`\gamma = 0.5` and :math:`c = 0` the
    sigmoid is within [0.5, 0.586]: the coefficient hardly moves. A larger ``gamma``
    with ``center`` at :math:`\frac12 \log 2` uses the range.

    Args:
      divergence: :math:`D`, in nats, any shape.
      least: :math:`\lambda_0`.
      most: :math:`\lambda_1`.
      gamma: steepness, per nat.
      center: :math:`c`, the divergence, in nats, of the coefficient in the middle; 0
        in the paper.

    Returns:
      :math:`\lambda`, shape and type of ``divergence``.

    Raises:
      InputError: an option is out of its range.

    >>> t3_coefficient(jnp.zeros(2)).tolist()
    [0.5, 0.5]
    """
    check_arguments(t3_coefficient, locals())
    divergence = jnp.asarray(divergence)
    low, high, steep, middle = (
        jnp.asarray(x).astype(divergence.dtype) for x in (least, most, gamma, center)
    )
    share = jax.nn.sigmoid(steep * (divergence - middle))
    return (1 - share) * low + share * high


@takes(t3_coefficient, omit=("divergence",))
def fit_t3(
    data: Mapping[str, jax.Array],
    *,
    where: jax.Array | None = None,
    key: jax.Array | None = None,
    **options: Any,
) -> FittedT3:
    r"""The merging coefficient of a batch, from the mean divergence of two models.

    Args:
      data: ``{"pretrained": (B, C), "finetuned": (B, C)}``, the logits of both.
      where: shape ``(B,)``, weight of each example; 0 drops one, whatever it holds.
        None: ones.
      key: not used; every estimator takes one.
      **options: those of ``t3_coefficient``.

    Returns:
      The coefficient and the divergence; that of equal predictions where there is no
      example. Differentiable; memory: a few arrays of the size of the logits.

    Raises:
      InputError: an option is out of its range, or the shapes do not fit.

    Source: T3, "Test-Time Model Merging in VLMs", 2025. The coefficient and its
    constants are those of the published model card; ``center`` is ours.

    >>> data = {"pretrained": jnp.zeros((2, 3)), "finetuned": jnp.eye(3)[:2]}
    >>> fitted = fit_t3(data, least=0.0, most=1.0, gamma=0.0)
    >>> apply_t3(fitted, {"pretrained": jnp.ones(1), "finetuned": jnp.zeros(1)})
    Array([0.5], dtype=float32)
    """
    del key
    each = jensen_shannon(data["pretrained"], data["finetuned"])
    if each.ndim != 1:
        raise InputError(
            "logits must have the shape (examples, classes); got "
            f"{jnp.shape(data['pretrained'])}"
        )
    if where is not None and jnp.shape(where) != each.shape:
        raise InputError(
            f"where must have the shape {each.shape}; got {jnp.shape(where)}"
        )
    mean = batch_mean(each, 0, weights=where)[0][0]
    return FittedT3(t3_coefficient(mean, **options), mean)


def apply_t3(fitted: FittedT3, inputs: Mapping[str, Params]) -> Params:
    r"""The merged parameters :math:`\lambda \theta_p + (1 - \lambda) \theta_f`.

    Args:
      fitted: the result of ``fit_t3``.
      inputs: ``{"pretrained": ..., "finetuned": ...}``, two trees that match.

    Returns:
      A tree as these.

    Raises:
      InputError: the trees do not match, or a leaf is no floating or complex array.

    >>> models = {"pretrained": jnp.ones(1), "finetuned": jnp.zeros(1)}
    >>> apply_t3(FittedT3(jnp.array(0.75), jnp.array(0.1)), models).tolist()
    [0.75]
    """
    return interpolate(inputs["pretrained"], inputs["finetuned"], fitted.coefficient)


@takes(t3_coefficient, omit=("divergence",))
def t3_predict(
    apply: Callable[[Params, Any], jax.Array],
    pretrained: Params,
    finetuned: Params,
    inputs: Any,
    *,
    chunk: Annotated[int, COUNT, STATIC] = 1,
    **options: Any,
) -> tuple[jax.Array, jax.Array]:
    """Predictions of parameters that are merged for each example.

    Args:
      apply: ``apply(params, inputs) -> logits (B, C)``; an example's logits must not
        depend on the others.
      pretrained: parameters of the general model.
      finetuned: those of the special one, a tree that matches.
      inputs: a tree of arrays with a leading axis of examples.
      chunk: examples whose merged parameters are in memory at once.
      **options: those of ``t3_coefficient``.

    Returns:
      ``(logits (B, C), coefficients (B,))``.

    Raises:
      InputError: an option is out of its range, the trees do not match, or ``apply``
        gives no logits of shape ``(B, C)``.

    Cost: two passes over the batch and one for each example; ``chunk`` merged trees.

    >>> apply = lambda params, x: x @ params
    >>> one, two = jnp.eye(2), -jnp.eye(2)
    >>> t3_predict(apply, one, two, jnp.ones((3, 2)))[0].shape
    (3, 2)
    """
    check_arguments(t3_predict, {"chunk": chunk})
    pretrained, finetuned = checked([pretrained, finetuned])
    divergence = jensen_shannon(apply(pretrained, inputs), apply(finetuned, inputs))
    if divergence.ndim != 1:
        raise InputError(
            "apply must give logits of shape (examples, classes); it gives "
            f"{divergence.ndim + 1} axes"
        )
    coefficients = t3_coefficient(divergence, **options)

    def one(given: Any) -> jax.Array:
        coefficient, example = given
        merged = interpolate(pretrained, finetuned, coefficient)
        return apply(merged, jax.tree.map(lambda x: x[None], example))[0]

    logits = jax.lax.map(one, (coefficients, inputs), batch_size=chunk)
    return logits, coefficients
