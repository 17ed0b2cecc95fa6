"""Gram matrices of the inputs of a model's matrix products, found in its program."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from typing import Any

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core import trees
from jaxopt_lab.core.typing import Batch, Params

# Operations whose inner program is one of the same arguments, run in its stead.
_CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "checkpoint": "jaxpr",
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
}
Grams = dict[str, jax.Array]


def gram_function(
    apply: Callable[[Params, Batch], Any], names: Collection[str]
) -> Callable[[Params, Batch], Grams]:
    r"""Make the function that gives :math:`X^\top X` for the kernels of a model.

    The program of the model is run operation by operation; in a product that contracts
    all axes of a kernel but its last, the other operand is X; in a convolution with a
    kernel of axes (..., in, out), X is the patches.

    Args:
      apply: ``apply(params, batch) -> outputs``.
      names: paths of the kernels (``"layer/kernel"``).

    Returns:
      ``(params, batch) -> {path: gram}``, jitted. Gram matrices are float32 or, for
      float64 inputs, float64, ``(inputs, inputs)``, and additive: over batches, and
      over the uses of a kernel. A kernel is left out where it is used in no such
      product (grouped convolutions, transposed kernels, products inside of ``scan`` and
      other loops). Memory: the patches of one batch.

    >>> model = lambda p, x: jax.nn.relu(x @ p["one"]) @ p["two"]
    >>> params = {"one": jnp.array([[1.0, -1.0]]), "two": jnp.ones((2, 1))}
    >>> grams = gram_function(model, ["two"])(params, jnp.array([[2.0], [-1.0]]))
    >>> grams["two"].tolist()
    [[4.0, 0.0], [0.0, 1.0]]
    """

    return jax.jit(functools.partial(_grams, apply, names))


def order_of_use(
    apply: Callable[[Params, Batch], Any],
    names: Collection[str],
    params: Params,
    batch: Batch,
) -> list[str]:
    """The kernels for which ``gram_function`` finds inputs, first used first.

    Args:
      apply: as of ``gram_function``; likewise ``names``.
      names: paths of the kernels.
      params: the parameters, or their shapes.
      batch: one batch, or its shapes.

    Returns:
      Their paths; nothing is computed.
    """
    found: list[str] = []

    def traced(params: Params, batch: Batch) -> None:
        found.extend(_grams(apply, names, params, batch))

    jax.eval_shape(traced, params, batch)
    return found


def _grams(
    apply: Callable[[Params, Batch], Any],
    names: Collection[str],
    params: Params,
    batch: Batch,
) -> Grams:
    closed = jax.make_jaxpr(apply)(params, batch)
    args = jax.tree.leaves((params, batch))
    origins = [
        name if (name := trees.path_name(path)) in names else None
        for path, _ in trees.leaves_with_path(params)
    ]
    origins += [None] * (len(args) - len(origins))
    found: Grams = {}
    _run(closed, args, origins, found)
    return found


def _run(
    closed: Any, args: Sequence[Any], origins: Sequence[str | None], found: Grams
) -> tuple[list[Any], list[str | None]]:
    """Results of a program, and which of them are kernels; ``found`` gets the grams."""
    jaxpr = closed.jaxpr
    env: dict[Any, Any] = dict(zip(jaxpr.constvars, closed.consts, strict=True))
    env.update(zip(jaxpr.invars, args, strict=True))
    origin: dict[Any, str | None] = dict(zip(jaxpr.invars, origins, strict=True))

    def read(v: Any) -> Any:
        return v.val if isinstance(v, jax.extend.core.Literal) else env[v]

    def name_of(v: Any) -> str | None:
        return None if isinstance(v, jax.extend.core.Literal) else origin.get(v)

    for eqn in jaxpr.eqns:
        values, names = list(map(read, eqn.invars)), list(map(name_of, eqn.invars))
        primitive = eqn.primitive
        outs: list[str | None] = [None] * len(eqn.outvars)
        if primitive.name in _CALLS:
            inner = eqn.params[_CALLS[primitive.name]]
            if not hasattr(inner, "consts"):
                inner = jax.extend.core.ClosedJaxpr(inner, ())
            results, outs = _run(inner, values, names, found)
        else:
            if primitive.name == "dot_general":
                _look(eqn.params["dimension_numbers"], values, names, found)
            elif primitive.name == "conv_general_dilated":
                _look_at_patches(eqn.params, values, names, found)
            results = _alone(jaxpr, eqn, values)
            if primitive.name == "convert_element_type":
                outs = names
        env.update(zip(eqn.outvars, results, strict=True))
        origin.update(zip(eqn.outvars, outs, strict=True))
    return [read(v) for v in jaxpr.outvars], [name_of(v) for v in jaxpr.outvars]


def _alone(jaxpr: Any, eqn: Any, values: Sequence[Any]) -> Sequence[Any]:
    """The results of one operation of a program."""
    literal = jax.extend.core.Literal
    names = [v for v in eqn.invars if not isinstance(v, literal)]
    given = [
        value
        for v, value in zip(eqn.invars, values, strict=True)
        if not isinstance(v, literal)
    ]
    unknown = jaxpr.debug_info.with_unknown_names()
    one = jaxpr.replace(
        constvars=[], invars=names, outvars=eqn.outvars, eqns=[eqn], debug_info=unknown
    )
    closed = jax.extend.core.ClosedJaxpr(one, ())
    return jax.extend.core.jaxpr_as_fun(closed)(*given)


def _look(
    dimensions: Any, values: Sequence[Any], names: Sequence[str | None], found: Grams
) -> None:
    """Add the gram matrix of one operand of a product if the other is a kernel."""
    contracted, batched = dimensions
    for kernel, other in ((0, 1), (1, 0)):
        name, weight = names[kernel], values[kernel]
        inputs = list(range(np.ndim(weight) - 1))
        if name is None or batched[kernel] or sorted(contracted[kernel]) != inputs:
            continue
        axes = [contracted[other][list(contracted[kernel]).index(i)] for i in inputs]
        x = jnp.moveaxis(values[other], axes, range(-len(axes), 0))
        _add(found, name, x.reshape(-1, weight.size // weight.shape[-1]))


def _look_at_patches(
    options: Any, values: Sequence[Any], names: Sequence[str | None], found: Grams
) -> None:
    """Add the gram matrix of the patches of a convolution by a kernel."""
    (images, weight), name = values, names[1]
    axes, spatial = options["dimension_numbers"], np.ndim(weight) - 2
    usual = (spatial + 1, spatial, *range(spatial))
    groups = options["feature_group_count"], options["batch_group_count"]
    if name is None or tuple(axes.rhs_spec) != usual or groups != (1, 1):
        return
    patches = jax.lax.conv_general_dilated_patches(
        images.astype(trees.accumulation_dtype(images.dtype)),
        weight.shape[:spatial],
        *(options[n] for n in ("window_strides", "padding")),
        *(options[n] for n in ("lhs_dilation", "rhs_dilation")),
        dimension_numbers=axes,
        precision=jax.lax.Precision.HIGHEST,
    )
    # Channels come before the places of the window; in the kernel they come after.
    x = jnp.moveaxis(patches, axes.out_spec[1], -1)
    x = x.reshape(-1, weight.shape[spatial], int(np.prod(weight.shape[:spatial])))
    _add(found, name, jnp.swapaxes(x, 1, 2).reshape(len(x), -1))


def _add(found: Grams, name: str, x: jax.Array) -> None:
    x = x.astype(trees.accumulation_dtype(x.dtype))
    gram = x.T @ x
    found[name] = found[name] + gram if name in found else gram
