"""BatchFormer: a transformer's encoder over the examples of a batch, in training."""
# Its examples wait for pytest --full.

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Call, Functional, stateful_layer
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import COUNT, DECAY, POSITIVE, STATIC, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.layers.heads import head_size
from jaxopt_lab.layers.masks import needed_key, over_features, without_padding
from jaxopt_lab.layers.norm.last_axis import along, normalized

_GLOROT = jax.nn.initializers.glorot_uniform()
_NORMS = ("attention_norm", "mlp_norm")


def batch_former(
    features: Annotated[int, COUNT],
    *,
    heads: Annotated[int, COUNT] = 4,
    dropout: Annotated[float, DECAY] = 0.5,
    eps: Annotated[float, POSITIVE, STATIC] = 1e-5,
    kernel_init: Callable[..., jax.Array] = _GLOROT,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Features of the examples of a batch after attention to one another, in training.

    A post-norm encoder of a transformer, its sequence the batch (at each position of
    the examples alone, where they have positions), and a perceptron as wide as the
    features:

    .. math::
        h = \mathrm{norm}(x + \mathrm{attention}(x)), \qquad
        x' = \mathrm{norm}(h + W_2 \max(W_1 h + b_1, 0) + b_2).

    In evaluation it is the identity and reads no parameter. The head and the loss are
    shared by both: ``with_originals`` gives :math:`[x, x']` and the labels twice.

    Args:
      features: width.
      heads: divides the features.
      dropout: share of attention weights, outputs of both modules and hidden units
        that is dropped; above 0 the training call needs a key.
      eps: added to the variance in the norms.
      kernel_init: of the kernels.
      param_dtype: type of the parameters.

    Returns:
      The core, for ``(B, ..., features)``; output of the shape of the input, :math:`x'`
      in training. ``axis_name``: the keys of all devices are gathered, so that a
      divided batch is the whole one. ``mask``: padding is not attended to and gives
      zeros. Kept for the gradient, without dropout: about ten arrays of the size of the
      input, and the attention weights, ``heads x B x B`` at each position.

    Raises:
      InputError: ``heads`` does not divide the features, or an option is out of range;
        at the call, an input of other features, or no key for dropout.

    Gradients of single examples (micro-batches, per-example sharpness) are those of
    smaller batches, not of this one: examples are coupled.

    Source: Hou, Yu and Tao, "BatchFormer: Learning to Explore Sample Relationships for
    Robust Representation Learning", 2022 (https://arxiv.org/abs/2203.01522) and its
    code; over tokens, "BatchFormerV2" (https://arxiv.org/abs/2204.01254).

    >>> layer = batch_former(4, heads=2, dropout=0.0)
    >>> params, state = layer.init(jax.random.key(0))
    >>> x = jnp.eye(3, 4)
    >>> evaluated = layer.apply(params, state, x, train=False)[0]
    >>> bool((evaluated == x).all()), layer.apply(params, {}, x, train=True)[0].shape
    (True, (3, 4))
    """
    check_arguments(
        batch_former,
        {"features": features, "heads": heads, "dropout": dropout, "eps": eps},
    )
    size = head_size(features, heads)
    shapes = {"qkv": 3, "attention_out": 1, "mlp_in": 1, "mlp_out": 1}

    def init(key: jax.Array) -> tuple[dict[str, jax.Array], Any]:
        params = {}
        for i, (name, times) in enumerate(shapes.items()):
            shape = (features, times * features)
            own = jax.random.fold_in(key, i)
            params[name] = kernel_init(own, shape, param_dtype)
            params[f"{name}_bias"] = jnp.zeros(shape[1], param_dtype)
        for name in _NORMS:
            params[f"{name}_scale"] = jnp.ones(features, param_dtype)
            params[f"{name}_bias"] = jnp.zeros(features, param_dtype)
        return params, {}

    def apply(
        params: Params, state: ModelState, x: jax.Array, call: Call
    ) -> tuple[jax.Array, ModelState]:
        valid = over_features("batch_former", x, features, call.mask)
        if not call.train:
            return without_padding(x, valid), state
        drop = _dropping(dropout, call.key)
        shape = x.shape
        x = without_padding(x, valid)
        x = x.reshape(shape[0], math.prod(shape[1:-1]), features)
        counts = jnp.ones(x.shape[:2], bool)
        if valid is not None:
            counts = jnp.broadcast_to(valid, (*shape[:-1], 1)).reshape(counts.shape)

        def dense(name: str, h: jax.Array) -> jax.Array:
            return h @ params[name].astype(h.dtype) + along(params[f"{name}_bias"], h)

        def norm(name: str, h: jax.Array) -> jax.Array:
            z = normalized(h.astype(accumulation_dtype(h.dtype)), eps, centred=True)
            z = z * along(params[f"{name}_scale"], z)
            return (z + along(params[f"{name}_bias"], z)).astype(h.dtype)

        split = (*x.shape[:2], heads, size)
        q, k, v = (
            part.reshape(split) for part in jnp.split(dense("qkv", x), 3, axis=-1)
        )
        seen = counts
        if call.axis_name is not None:
            k, v, seen = (
                jax.lax.all_gather(part, call.axis_name, tiled=True)
                for part in (k, v, seen)
            )
        y = _attend(q, k, v, seen, lambda weights: drop(weights, 0))
        y = dense("attention_out", y.reshape(x.shape))
        x = norm("attention_norm", x + drop(y, 1))
        hidden = drop(jax.nn.relu(dense("mlp_in", x)), 2)
        x = norm("mlp_norm", x + drop(dense("mlp_out", hidden), 3)).reshape(shape)
        return without_padding(x, valid), state

    return stateful_layer(init, apply)


def with_originals(
    x: jax.Array, transformed: jax.Array, labels: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Features before and after ``batch_former``, and the labels of both.

    Args:
      x: ``(B, ...)``.
      transformed: the output of the layer, of the same shape.
      labels: ``(B, ...)``.

    Returns:
      ``(2 B, ...)`` each; the loss of a shared head is their mean.

    Raises:
      InputError: the features differ in their shapes, or there are not B labels.

    >>> x = jnp.zeros((2, 3))
    >>> both, labels = with_originals(x, x + 1, jnp.arange(2))
    >>> both.shape, labels.tolist()
    ((4, 3), [0, 1, 0, 1])
    """
    if x.shape != transformed.shape or labels.shape[:1] != x.shape[:1]:
        raise InputError(
            "features before and after, and their labels, must belong together; got "
            f"shapes {x.shape}, {transformed.shape} and {labels.shape}"
        )
    both = jnp.concatenate([x, transformed])
    return both, jnp.concatenate([labels, labels])


def plain_batch_former(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """A BatchFormer of one head without dropout.

    Args:
      params: of ``batch_former``.
      x: ``(B, N, features)``.

    Returns:
      The output in training.
    """

    def dense(name: str, h: jax.Array) -> jax.Array:
        return h @ params[name] + along(params[f"{name}_bias"], h)

    def norm(name: str, h: jax.Array) -> jax.Array:
        z = normalized(h, 1e-5, centred=True) * along(params[f"{name}_scale"], h)
        return z + along(params[f"{name}_bias"], h)

    q, k, v = jnp.split(dense("qkv", x), 3, axis=-1)
    scores = jnp.einsum("bnd,cnd->nbc", q, k) / jnp.sqrt(
        jnp.asarray(q.shape[-1], x.dtype)
    )
    y = jnp.einsum("nbc,cnd->bnd", jax.nn.softmax(scores), v)
    x = norm("attention_norm", x + dense("attention_out", y))
    return norm("mlp_norm", x + dense("mlp_out", jax.nn.relu(dense("mlp_in", x))))


def _dropping(
    rate: float, key: jax.Array | None
) -> Callable[[jax.Array, int], jax.Array]:
    """``drop(x, place)``, the identity at rate 0."""
    if known_number(rate) == 0:
        return lambda x, place: x
    key = needed_key("batch_former", f"dropout={rate}", key)

    def drop(x: jax.Array, place: int) -> jax.Array:
        kept = 1 - jnp.asarray(rate, x.dtype)
        draws = jax.random.bernoulli(jax.random.fold_in(key, place), kept, x.shape)
        return jnp.where(draws, x / kept, 0)

    return drop


def _attend(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    counts: jax.Array,
    drop: Callable[[jax.Array], jax.Array],
) -> jax.Array:
    """Attention over the batch at each position, its softmax in the type of sums."""
    wide = accumulation_dtype(q.dtype)
    scores = jnp.einsum("bnhd,cnhd->nhbc", q, k).astype(wide)
    scores = scores * jnp.asarray(1 / math.sqrt(q.shape[-1]), wide)
    here = counts.T[:, None, None]
    # Of nothing at all the softmax is NaN: then everything is seen, all of it zeros.
    here = here | ~jnp.any(here, axis=-1, keepdims=True)
    weights = jax.nn.softmax(jnp.where(here, scores, -jnp.inf)).astype(v.dtype)
    return jnp.einsum("nhbc,cnhd->bnhd", drop(weights), v)
