"""Hypernetwork with magnitude invariant parametrization."""
# Its examples wait for pytest --full.

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.hypernetwork.encoding import magnitude_invariant_encoding
from jaxopt_lab.layers.masks import over_features, without_padding
from jaxopt_lab.layers.norm.last_axis import along

SLOPE = 0.01
KAIMING = jax.nn.initializers.variance_scaling(
    2 / (1 + SLOPE**2), mode="fan_out", distribution="normal"
)


def hypernetwork(
    features: Annotated[int, COUNT],
    *,
    target: Any = None,
    hidden: tuple[int, ...] = (16, 64, 128),
    encoding: Literal["cos_sin", "complement", "none"] = "cos_sin",
    additive: bool = True,
    frozen: bool = False,
    kernel_init: Callable[..., jax.Array] = KAIMING,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Perceptron that predicts the parameters of another network.

    .. math:: \theta(z) = \theta_0 + W h(e(z))

    with leaky ReLUs (slope .01) in h. Without encoding e and :math:`\theta_0` the
    prediction is proportional to the magnitude of z, :math:`\theta(a z) = a \theta(z)`
    at the start; with both it is not.

    :math:`\theta_0` begins as an ordinary set of parameters, kernels by
    ``kernel_init`` and vectors 0. So does the row of W of each hidden unit, with the
    fans of each target array by itself. With the default :math:`|h(e)|^2 = |e|^2` on
    average: for one input in [0, 1] the second part of a kernel has the variance of
    its initializer, for d inputs d times that.

    Args:
      features: number of inputs, d.
      target: a tree of arrays or ``jax.ShapeDtypeStruct``, the parameters to predict,
        kernels ``(..., inputs, outputs)``; ``None``: ``kernel`` and ``bias`` of a dense
        layer from and to ``features``.
      hidden: sizes of the hidden layers.
      encoding: of ``magnitude_invariant_encoding``, or ``"none"``.
      additive: have :math:`\theta_0`.
      frozen: :math:`\theta_0` gets no gradient.
      kernel_init: initializer of the hidden kernels, of :math:`\theta_0`'s and of W's
        rows.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> (params, {})`` with ``kernel_i``, ``bias_i``, ``head``
      ``(hidden[-1], numbers predicted)`` and ``base``; and ``apply(params, state, x, *,
      train, key=None, axis_name=None, mask=None) -> (tree, state)`` for ``x`` of
      ``(..., features)``: the tree of ``target``, leaves ``(..., *shape)`` of the type
      of ``x``. ``mask``, of the leading axes of ``x``, is 0 for padding, which gives 0.
      Training and evaluation are the same.

    Raises:
      InputError: an argument is out of range, or ``target`` holds no array; at the
        call, the input does not fit.

    The head has ``hidden[-1]`` numbers for each one predicted, and its product is most
    of the cost. Hidden activations are kept for the gradient, and 16 bytes for each
    input of float32. The code drops the axis of a batch of one and sets
    :math:`\theta_0` by the order of a dictionary; here leading axes stay and names
    decide. Vectors' rows of W have their size as the fan, which the paper does not say.

    Source: Gonzalez Ortiz et al., "Magnitude Invariant Parametrizations Improve
    Hypernetwork Learning", 2023 (https://arxiv.org/abs/2304.07645).

    >>> net = hypernetwork(1, target={"w": jnp.zeros((2, 3))}, hidden=(4,))
    >>> start = jax.jit(net.init)(jax.random.key(0))
    >>> net.apply(*start, jnp.array([[0.0], [0.5]]), train=True)[0]["w"].shape
    (2, 2, 3)
    """
    given = {n: v for n, v in locals().items() if n not in ("kernel_init", "target")}
    check_arguments(hypernetwork, given)
    if any(not isinstance(n, int) or n < 1 for n in hidden):
        raise InputError(f"hidden must be whole numbers of at least 1; got {hidden}")
    if target is None:
        shape = jax.ShapeDtypeStruct
        target = {
            "kernel": shape((features, features), param_dtype),
            "bias": shape((features,), param_dtype),
        }
    leaves, tree = jax.tree.flatten(target)
    if not leaves or not all(hasattr(leaf, "shape") for leaf in leaves):
        raise InputError("target must be a tree of at least one array; got another")
    shapes = [tuple(leaf.shape) for leaf in leaves]
    sizes = [math.prod(shape) for shape in shapes]
    widths = (features if encoding == "none" else 2 * features, *hidden)

    def init(key: jax.Array) -> tuple[dict[str, jax.Array], Any]:
        params = {}
        for i, shape in enumerate(itertools.pairwise(widths)):
            own = jax.random.fold_in(key, i)
            params[f"kernel_{i}"] = kernel_init(own, shape, param_dtype)
            params[f"bias_{i}"] = jnp.zeros(shape[1], param_dtype)
        rows, base = [], []
        for j, shape in enumerate(shapes):
            own = jax.random.fold_in(key, len(hidden) + j)
            wide = shape if len(shape) > 1 else (1, math.prod(shape))
            draw = lambda k, wide=wide: kernel_init(k, wide, param_dtype).ravel()
            keys = jax.random.split(own, widths[-1] + 1)
            rows.append(jax.vmap(draw)(keys[1:]))
            kernel = len(shape) > 1
            base.append(draw(keys[0]) if kernel else jnp.zeros(wide[1], param_dtype))
        params["head"] = jnp.concatenate(rows, axis=1)
        if additive:
            params["base"] = jnp.concatenate(base)
        return params, {}

    def apply(params: Params, x: jax.Array, mask: jax.Array | None) -> Any:
        valid = over_features("hypernetwork", x, features, mask)
        h = without_padding(x, valid)
        if encoding != "none":
            h = magnitude_invariant_encoding(h, kind=encoding)
        for i in range(len(hidden)):
            h = h @ params[f"kernel_{i}"].astype(h.dtype) + along(
                params[f"bias_{i}"], h
            )
            h = jnp.where(h >= 0, h, jnp.asarray(SLOPE, h.dtype) * h)
        flat = h @ params["head"].astype(h.dtype)
        if additive:
            base = params["base"]
            flat = flat + along(jax.lax.stop_gradient(base) if frozen else base, flat)
        if valid is not None:
            flat = jnp.where(valid, flat, 0)
        parts = jnp.split(flat, _ends(sizes), axis=-1)
        lead = x.shape[:-1]
        shaped = [p.reshape(lead + s) for p, s in zip(parts, shapes, strict=True)]
        return jax.tree.unflatten(tree, shaped)

    return stateless_layer(init, apply)


def _ends(sizes: list[int]) -> list[int]:
    return [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)]


def affine_prediction(params: dict[str, jax.Array], x: jax.Array) -> Any:
    """An affine map to the parameters, what is left without hidden layers and encoding.

    Args:
      params: of ``hypernetwork``.
      x: ``(..., features)``.

    Returns:
      ``kernel`` and ``bias`` for every position.
    """
    n = x.shape[-1]
    flat = x @ params["head"] + along(params["base"], x)
    kernel = flat[..., n:].reshape(*x.shape[:-1], n, n)
    return {"bias": flat[..., :n], "kernel": kernel}
