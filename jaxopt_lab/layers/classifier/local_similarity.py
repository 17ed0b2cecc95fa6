"""Local similarity classifier: several proxies a class, by cosine."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Params, Scalar
from jaxopt_lab.core.unit import unit_rows
from jaxopt_lab.layers.masks import over_features, without_padding

Similarity = Literal["euclidean", "cosine"]


def local_similarity(
    features: jax.Array,
    proxies: jax.Array,
    *,
    similarity: Similarity = "euclidean",
    gamma: Scalar = 1.0,
) -> jax.Array:
    r"""Similarity of features to classes, each of several proxies.

    With :math:`s_{ck} = -\|\bar h - \bar w_{ck}\|^2` of features and proxies of length
    1, or their cosine,

    .. math:: s_c = \sum_k \operatorname{softmax}_k(\gamma s_{c})_k \, s_{ck}.

    Args:
      features: h, ``(..., D)``; their lengths do not matter.
      proxies: w, ``(C, K, D)``; nor theirs.
      similarity: ``"euclidean"``, twice the cosine minus 2; or ``"cosine"``.
      gamma: :math:`\gamma`; 0 is the mean of the proxies, a large one their maximum.

    Returns:
      ``(..., C)`` of the type of the features.

    Raises:
      InputError: the proxies are not ``(C, K, D)``, or of another D.

    Memory: cosines with all proxies, for the gradient too. Features or a proxy of zeros
    have the cosine 0 with all and no gradient.

    >>> proxies = jnp.eye(2)[:, None]
    >>> local_similarity(jnp.array([[0.0, 3.0]]), proxies).tolist()
    [[-2.0, 0.0]]

    Source: Douillard et al., "PODNet", arXiv:2004.13513, and its code, which has the
    softmax of the similarities themselves, :math:`\gamma = 1`.
    """
    if proxies.ndim != 3 or proxies.shape[-1] != features.shape[-1]:
        raise InputError(
            f"proxies must be (classes, proxies, {features.shape[-1]}) for features of "
            f"shape {features.shape}; got {proxies.shape}"
        )
    dtype = accumulation_dtype(features.dtype)
    classes, count, size = proxies.shape
    h = unit_rows(features.astype(dtype))
    w = unit_rows(proxies.astype(dtype)).reshape(classes * count, size)
    raw = jnp.matmul(h, w.T, precision=jax.lax.Precision.HIGHEST)
    raw = raw.reshape(*raw.shape[:-1], classes, count)
    if similarity == "euclidean":
        raw = 2 * raw - 2
    if count == 1:
        return raw[..., 0].astype(features.dtype)
    shares = jax.nn.softmax(jnp.asarray(gamma, dtype) * raw, axis=-1)
    return jnp.sum(shares * raw, axis=-1).astype(features.dtype)


def local_similarity_classifier(
    features: Annotated[int, COUNT],
    *,
    out: Annotated[int, COUNT] = 10,
    proxies: Annotated[int, COUNT] = 10,
    similarity: Similarity = "euclidean",
    gamma: Annotated[Scalar, NON_NEGATIVE] = 1.0,
    kernel_init: Callable[..., jax.Array] | None = None,
) -> Functional:
    r"""Logits by ``local_similarity`` to learned proxies.

    It grows: ``apply`` takes its number of classes from the parameters, so that
    ``grow_proxies`` adds classes and everything else stays.

    Args:
      features: size of the last axis of the input, D.
      out: classes in the beginning, C.
      proxies: of each class, K.
      similarity: as of ``local_similarity``.
      gamma: likewise.
      kernel_init: of the proxies, ``init(key, (C, K, D), dtype)``; ``None``: normal
        numbers, whose directions are uniform.

    Returns:
      ``init(key) -> ({"proxies": (C, K, D)}, {})`` and ``apply(params, state, x, *,
      train, key=None, axis_name=None, mask=None) -> (y, state)``, with ``y`` of shape
      ``(..., C)``. ``mask``, of the leading axes of ``x``, is 0 for padding, which
      gives 0.

    Raises:
      InputError: an argument is out of range, or an input has other features.

    Memory: for the gradient the features of length 1, and cosines and shares of all
    proxies.

    >>> head = local_similarity_classifier(4, out=3, proxies=2)
    >>> params, state = head.init(jax.random.key(0))
    >>> head.apply(params, state, jnp.ones((5, 4)), train=True)[0].shape
    (5, 3)

    Source: Douillard et al., "PODNet: Pooled Outputs Distillation for Small-Tasks
    Incremental Learning", arXiv:2004.13513.
    """
    check_arguments(local_similarity_classifier, locals())

    def init(key: jax.Array) -> tuple[Any, Any]:
        make = kernel_init or jax.nn.initializers.normal(1.0)
        shape = (out, proxies, features)
        return {"proxies": make(key, shape, jnp.result_type(float))}, {}

    def apply(params: Params, x: jax.Array, mask: jax.Array | None) -> jax.Array:
        valid = over_features("local_similarity_classifier", x, features, mask)
        y = local_similarity(
            without_padding(x, valid),
            params["proxies"],
            similarity=similarity,
            gamma=gamma,
        )
        return without_padding(y, valid)

    return stateless_layer(init, apply)


def cosine_logits(params: Any, x: jax.Array) -> jax.Array:
    """Cosines of inputs with the first proxy of each class.

    Args:
      params: ``{"proxies": (C, K, D)}``.
      x: ``(..., D)``, none of them zeros.

    Returns:
      ``(..., C)``.

    >>> cosine_logits({"proxies": jnp.eye(2)[:, None]}, jnp.array([0.0, 3.0])).tolist()
    [0.0, 1.0]
    """
    w = params["proxies"][:, 0].astype(x.dtype)
    w = w / jnp.linalg.norm(w, axis=-1, keepdims=True)
    return (x / jnp.linalg.norm(x, axis=-1, keepdims=True)) @ w.T
