"""Two-way attention: two sets of vectors that enhance each other (MutDet)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError, described
from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.options import COUNT, POSITIVE, STATIC, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.attention.softmax_attention import softmax_attention
from jaxopt_lab.layers.heads import head_size
from jaxopt_lab.layers.levels import checked_levels
from jaxopt_lab.layers.masks import without_padding
from jaxopt_lab.layers.norm.last_axis import along, normalized

_GLOROT = jax.nn.initializers.glorot_uniform()
_ATTENTIONS = ("self", "cross", "back")

Pair = tuple[jax.Array, jax.Array]


def two_way_attention(
    features: Annotated[int, COUNT],
    *,
    depth: Annotated[int, COUNT] = 2,
    heads: Annotated[int, COUNT] = 8,
    hidden: Annotated[int | None, COUNT] = None,
    norm: bool = True,
    eps: Annotated[float, POSITIVE, STATIC] = 1e-5,
    kernel_init: Callable[..., jax.Array] = _GLOROT,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Queries and a memory that attend to each other, layer after layer.

    .. math::
        q &\gets \mathrm{norm}(q + \mathrm{attend}(q, q)), \quad
        q \gets \mathrm{norm}(q + \mathrm{attend}(q, m)), \\
        q &\gets \mathrm{norm}(q + W_2 \max(W_1 q + b_1, 0) + b_2), \\
        m &\gets \mathrm{norm}(m + \mathrm{attend}(m, q)),

    ``depth`` times, with layer normalization behind each sum and no encoding of
    positions: permuting queries or memory permutes their outputs and changes nothing
    else.

    Args:
      features: width of both.
      depth: number of layers.
      heads: divides the features.
      hidden: units of the perceptron; ``None``: 8 times the features, as in the code.
      norm: False: no normalization; with outputs of zeros it is then the identity.
      eps: added to the variance in the norms.
      kernel_init: of the kernels.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> (params, {})``, every parameter with a first axis of ``depth``; and
      ``apply(params, state, (queries, memory), *, train, key=None, axis_name=None,
      mask=None) -> ((queries, memory), state)`` for ``(B, n, features)`` and ``(B, m,
      features)``. ``mask``, ``(B,)`` or a pair of ``(B, n)`` and ``(B, m)``: padding is
      not attended to and gives zeros. No state, no dropout; training and evaluation are
      the same. Kept for the gradient: about fifteen arrays of the size of the queries,
      eight of that of the memory, and the weights of attention, ``heads n (n + 2 m)``
      of an example.

    Raises:
      InputError: ``heads`` does not divide the features, or an option is out of range;
        at the call, inputs that do not fit.

    Source: Huang et al., "MutDet: Mutually Optimizing Pre-training for Remote Sensing
    Object Detection", 2024 (https://arxiv.org/abs/2407.09920) and its code
    (floatingstarZ/MutDet): queries are embeddings of objects, memory is that of the
    detector's encoder.

    >>> layer = two_way_attention(4, heads=2, hidden=4)
    >>> params, state = jax.jit(layer.init)(jax.random.key(0))
    >>> both = jnp.ones((1, 3, 4)), jnp.ones((1, 5, 4))
    >>> run = jax.jit(lambda x: layer.apply(params, state, x, train=True)[0])
    >>> [x.shape for x in run(both)]
    [(1, 3, 4), (1, 5, 4)]
    """
    given = {n: v for n, v in locals().items() if n != "kernel_init"}
    check_arguments(two_way_attention, given)
    size = head_size(features, heads)
    units = 8 * features if hidden is None else hidden
    shapes = {
        f"{name}_{part}": (features, times * features)
        for name in _ATTENTIONS
        for part, times in (("in", 1), ("keys", 2), ("out", 1))
    }
    shapes |= {"mlp_in": (features, units), "mlp_out": (units, features)}
    norms = (*_ATTENTIONS, "mlp") if norm else ()

    def init(key: jax.Array) -> tuple[dict[str, jax.Array], Any]:
        params = {}
        for i, (name, shape) in enumerate(shapes.items()):
            keys = jax.random.split(jax.random.fold_in(key, i), depth)
            params[name] = jnp.stack([kernel_init(k, shape, param_dtype) for k in keys])
            params[f"{name}_bias"] = jnp.zeros((depth, shape[1]), param_dtype)
        for name in norms:
            params[f"{name}_norm_scale"] = jnp.ones((depth, features), param_dtype)
            params[f"{name}_norm_bias"] = jnp.zeros((depth, features), param_dtype)
        return params, {}

    def apply(params: Params, x: Pair, mask: Any) -> Pair:
        (q, m), valids = _checked(x, features, mask)
        seen = [_seen(*pair) for pair in zip((q, m), valids, strict=True)]
        q, m = (without_padding(*pair) for pair in zip((q, m), valids, strict=True))

        def layer(own: dict[str, jax.Array], q: jax.Array, m: jax.Array) -> Pair:
            def dense(name: str, h: jax.Array) -> jax.Array:
                return h @ own[name].astype(h.dtype) + along(own[f"{name}_bias"], h)

            def summed(name: str, h: jax.Array, more: jax.Array) -> jax.Array:
                if not norm:
                    return h + more
                wide = accumulation_dtype(h.dtype)
                z = normalized((h + more).astype(wide), eps, centred=True)
                z = z * along(own[f"{name}_norm_scale"], z)
                return (z + along(own[f"{name}_norm_bias"], z)).astype(h.dtype)

            def attended(name: str, h: jax.Array, to: jax.Array, by: Any) -> jax.Array:
                split = lambda z: z.reshape(*z.shape[:2], heads, size)
                keys, values = jnp.split(dense(f"{name}_keys", to), 2, axis=-1)
                y = softmax_attention(
                    split(dense(f"{name}_in", h)), split(keys), split(values), seen=by
                )
                return summed(name, h, dense(f"{name}_out", y.reshape(h.shape)))

            q = attended("self", q, q, seen[0])
            q = attended("cross", q, m, seen[1])
            q = summed("mlp", q, dense("mlp_out", jax.nn.relu(dense("mlp_in", q))))
            return q, attended("back", m, q, seen[0])

        for i in range(depth):
            q, m = layer({name: p[i] for name, p in params.items()}, q, m)
        q, m = (without_padding(*pair) for pair in zip((q, m), valids, strict=True))
        return q, m

    return stateless_layer(init, apply)


def _checked(x: Any, features: int, mask: Any) -> tuple[Any, list[jax.Array | None]]:
    if not isinstance(x, tuple | list) or len(x) != 2:
        raise InputError(
            "two_way_attention takes a pair of queries and memory, (B, n, "
            f"{features}) and (B, m, {features}); got {described(x)}"
        )
    both, valids = checked_levels("two_way_attention", x, features, mask)
    for name, array in zip(("queries", "memory"), both, strict=True):
        if array.ndim != 3:
            raise InputError(
                f"{name} of two_way_attention must be (B, n, {features}); got "
                f"{array.shape}"
            )
    return both, valids


def _seen(x: jax.Array, valid: jax.Array | None) -> jax.Array | None:
    """Mask of the vectors that may be attended to, ``(B, 1, 1, n)``."""
    if valid is None:
        return None
    here = jnp.broadcast_to(valid, (*x.shape[:2], 1))[:, None, None, :, 0]
    # Of nothing at all the softmax is NaN: then everything is seen, all of it zeros.
    return here | ~jnp.any(here, axis=-1, keepdims=True)


def plain_two_way(params: dict[str, jax.Array], x: Pair) -> Pair:
    """One layer of two-way attention with one head.

    Args:
      params: of ``two_way_attention`` of depth 1.
      x: queries and memory.

    Returns:
      Its output.
    """
    own = {name: p[0] for name, p in params.items()}
    q, m = x

    def dense(name: str, h: jax.Array) -> jax.Array:
        return h @ own[name] + along(own[f"{name}_bias"], h)

    def norm(name: str, h: jax.Array) -> jax.Array:
        z = normalized(h, 1e-5, centred=True) * along(own[f"{name}_norm_scale"], h)
        return z + along(own[f"{name}_norm_bias"], h)

    def attended(name: str, h: jax.Array, to: jax.Array) -> jax.Array:
        keys, values = jnp.split(dense(f"{name}_keys", to), 2, axis=-1)
        root = jnp.sqrt(jnp.asarray(h.shape[-1], h.dtype))
        scores = dense(f"{name}_in", h) @ jnp.swapaxes(keys, 1, 2) / root
        y = jax.nn.softmax(scores) @ values
        return norm(name, h + dense(f"{name}_out", y))

    q = attended("cross", attended("self", q, q), m)
    q = norm("mlp", q + dense("mlp_out", jax.nn.relu(dense("mlp_in", q))))
    return q, attended("back", m, q)
