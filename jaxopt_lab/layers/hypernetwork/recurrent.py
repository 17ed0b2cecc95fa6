"""Hypernetwork that emits parameters chunk by chunk, each after the ones before."""
# Its examples wait for pytest --full.

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.shapes import flattened
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.masks import over_features, without_padding
from jaxopt_lab.layers.norm.last_axis import along


def recurrent_hypernetwork(
    features: Annotated[int, COUNT],
    *,
    target: Any = None,
    hidden: Annotated[int, COUNT] = 64,
    chunk: Annotated[int | None, COUNT] = None,
    chunk_features: Annotated[int, COUNT] = 8,
    independent: bool = False,
    kernel_init: Callable[..., jax.Array] | None = None,
) -> Functional:
    r"""Parameters of a network from the embedding of a task, by an LSTM.

    With the embedding e of a task and a learned one :math:`u_l` of each chunk,

    .. math:: (h_l, c_l) = \mathrm{LSTM}([e, u_l], (h_{l-1}, c_{l-1})), \qquad
        w_l = h_l V + b,

    from zeros; the chunks one behind the other, cut to their number, are the parameters
    of the target. A chunk so depends on all before it.

    Args:
      features: size of an embedding, E.
      target: a tree of arrays or ``jax.ShapeDtypeStruct``, the parameters to predict;
        ``None``: a ``kernel`` from and to ``features``.
      hidden: size of the LSTM, H. ``apply`` takes it from the parameters, so that
        ``grow_hypernetwork`` adds units.
      chunk: numbers of a chunk, q; ``None``: a twentieth of all, rounded up.
      chunk_features: size of :math:`u_l`.
      independent: each chunk begins from zeros: a chunked hypernetwork without
        recurrence.
      kernel_init: of the kernels of the LSTM; ``None``: LeCun's normal one.

    Returns:
      ``init(key) -> (params, {})`` with ``chunks`` (L, E_c), ``kernel``
      (E + E_c + H, 4 H), ``bias``, ``head`` (H, q) and ``head_bias``; and
      ``apply(params, state, x, *, train, key=None, axis_name=None, mask=None) -> (tree,
      state)`` for ``x`` of ``(..., E)``: the tree of ``target``, leaves ``(...,
      *shape)`` of the type of ``x``. ``mask``, of the leading axes of ``x``, is 0 for
      padding, which gives 0. Training and evaluation are the same.

    Raises:
      InputError: an argument is out of range, or ``target`` holds no array; at the
        call, the input does not fit.

    The head begins with the variance that gives predicted numbers, at hidden units of
    size 1/2, the variance 1 / r, r the rows of the largest kernel of the target.
    Memory: for the gradient, the gates of every chunk.

    >>> net = recurrent_hypernetwork(2, target={"w": jnp.zeros((2, 3))}, chunk=4)
    >>> start = jax.jit(net.init)(jax.random.key(0))
    >>> net.apply(*start, jnp.ones((5, 2)), train=True)[0]["w"].shape
    (5, 2, 3)

    Source: Chandra et al., "Continual Learning with Dependency Preserving
    Hypernetworks", 2022, from the abstract; sizes and growth are ours.
    """
    given = {n: v for n, v in locals().items() if n not in ("kernel_init", "target")}
    check_arguments(recurrent_hypernetwork, given)
    if target is None:
        target = {"kernel": jax.ShapeDtypeStruct((features, features), jnp.float32)}
    leaves, tree = jax.tree.flatten(target)
    if not leaves or not all(hasattr(leaf, "shape") for leaf in leaves):
        raise InputError("target must be a tree of at least one array; got another")
    shapes = [tuple(leaf.shape) for leaf in leaves]
    total = sum(math.prod(shape) for shape in shapes)
    size = chunk or -(-total // 20)
    count = -(-total // size)
    rows = max((math.prod(s[:-1]) for s in shapes if len(s) > 1), default=1)

    def init(key: jax.Array) -> tuple[dict[str, jax.Array], Any]:
        keys = jax.random.split(key, 3)
        make = kernel_init or jax.nn.initializers.lecun_normal()
        dtype = jnp.result_type(float)
        inputs = features + chunk_features + hidden
        scale = 2 / math.sqrt(hidden * rows)
        # A forget gate that begins open.
        gates = jnp.zeros((4, hidden), dtype).at[1].set(1)
        return {
            "chunks": jax.random.normal(keys[0], (count, chunk_features), dtype),
            "kernel": make(keys[1], (inputs, 4 * hidden), dtype),
            "bias": gates.reshape(-1),
            "head": scale * jax.random.normal(keys[2], (hidden, size), dtype),
            "head_bias": jnp.zeros((size,), dtype),
        }, {}

    def apply(params: Params, x: jax.Array, mask: jax.Array | None) -> Any:
        valid = over_features("recurrent_hypernetwork", x, features, mask)
        own = {name: p.astype(x.dtype) for name, p in params.items()}
        e = without_padding(x, valid)
        given = of_embedding(own, e)
        zero = jnp.zeros((*x.shape[:-1], own["head"].shape[0]), x.dtype)

        def step(carry: Any, u: jax.Array) -> tuple[Any, jax.Array]:
            h, c = lstm_cell(own, given, u, *((zero, zero) if independent else carry))
            return (h, c), h @ own["head"] + along(own["head_bias"], h)

        _, chunks = jax.lax.scan(step, (zero, zero), own["chunks"])
        flat = flattened(jnp.moveaxis(chunks, 0, -2), x.ndim - 1)[..., :total]
        if valid is not None:
            flat = jnp.where(valid, flat, 0)
        return jax.tree.unflatten(tree, _parts(flat, shapes))

    return stateless_layer(init, apply)


def of_embedding(params: dict[str, jax.Array], e: jax.Array) -> jax.Array:
    """The part of the gates that every chunk of a task shares.

    Args:
      params: of ``recurrent_hypernetwork``.
      e: ``(..., E)``.

    Returns:
      ``(..., 4 H)``.

    >>> params = {"kernel": jnp.ones((4, 4)), "bias": jnp.ones(4)}
    >>> of_embedding(params, jnp.ones((1, 2))).tolist()
    [[3.0, 3.0, 3.0, 3.0]]
    """
    gates = e @ params["kernel"][: e.shape[-1]]
    return gates + along(params["bias"], gates)


def lstm_cell(
    params: dict[str, jax.Array],
    given: jax.Array,
    u: jax.Array,
    h: jax.Array,
    c: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """One step of the LSTM of a hypernetwork.

    Args:
      params: its ``kernel``, with the gates input, forget, cell and output.
      given: of ``of_embedding``.
      u: ``(E_c,)``.
      h: hidden state, ``(..., H)``.
      c: cell state, ``(..., H)``.

    Returns:
      The next ones.

    >>> params, zero = {"kernel": jnp.zeros((4, 4))}, jnp.zeros((1, 1))
    >>> lstm_cell(params, jnp.zeros((1, 4)), jnp.ones(1), zero, zero)[0].tolist()
    [[0.0]]
    """
    kernel, units = params["kernel"], h.shape[-1]
    outer = kernel.shape[0] - units
    own = u @ kernel[outer - u.shape[-1] : outer]
    gates = given + along(own, given) + h @ kernel[outer:]
    parts = gates.reshape(*h.shape[:-1], 4, units)
    i, f, g, o = (parts[..., n, :] for n in range(4))
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def independent_chunks(params: dict[str, jax.Array], x: jax.Array) -> Any:
    """The ``kernel`` from and to the embedding by chunks that do not depend on others.

    Args:
      params: of ``recurrent_hypernetwork``.
      x: ``(..., E)``.

    Returns:
      ``{"kernel": (..., E, E)}``.
    """
    size = x.shape[-1]
    zero = jnp.zeros((*x.shape[:-1], params["head"].shape[0]), x.dtype)
    given = of_embedding(params, x)
    cells = [lstm_cell(params, given, u, zero, zero)[0] for u in params["chunks"]]
    parts = [h @ params["head"] + along(params["head_bias"], h) for h in cells]
    flat = jnp.concatenate(parts, axis=-1)[..., : size * size]
    return {"kernel": flat.reshape(*x.shape, size)}


def _parts(flat: jax.Array, shapes: list[tuple[int, ...]]) -> list[jax.Array]:
    lead, found, at = flat.shape[:-1], [], 0
    for shape in shapes:
        size = math.prod(shape)
        found.append(flat[..., at : at + size].reshape(lead + shape))
        at += size
    return found
