"""Refresh of the TempBalance exponents between steps."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.sharding import NamedSharding

from jaxopt_lab.core import trees
from jaxopt_lab.core.checks import check_positive_count
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.layer_exponents import TempBalanceState
from jaxopt_lab.core.masking import is_masked
from jaxopt_lab.core.typing import MaskOrFn, Params, PyTree
from jaxopt_lab.diagnostics.weights.heavy_tails import (
    Sampling,
    gathered,
    layer_spectrum,
)
from jaxopt_lab.diagnostics.weights.power_law import Fit


def refresh_temp_balance(
    opt_state: PyTree,
    params: Params,
    *,
    mask: MaskOrFn | None = None,
    sampling: Sampling = "farms",
    fit: Fit = "median",
    min_eigenvalues: int = 5,
    **windows: Any,
) -> PyTree:
    """The optimizer state with exponents recomputed from the parameters.

    To be called between steps, once an epoch. Costs the singular values of every
    window of every balanced kernel; kernels are taken (and, where sharded,
    gathered) one at a time. It can be traced
    as well: ``jax.vmap`` of it refreshes the stacked states of several seeds.

    Args:
      opt_state: state of any chain with a ``scale_by_temp_balance`` in it.
      params: the parameters, the whole tree.
      mask: kernels to balance (leaves with at least two axes). Default: all but the
        first and the last in the order of their paths, numbers in them read as
        numbers. jax sorts dictionaries by name, so where the names do not follow the
        network, pass the mask.
      sampling: ``"farms"``, or ``"full"`` for the exponents of TempBalance itself.
      fit: see ``heavy_tails.spectrum_metrics``.
      min_eigenvalues: layers with fewer eigenvalues (zeros not counted) keep the base
        rate. One with a weight that is not finite gets the exponent NaN.
      **windows: options of ``heavy_tails.layer_spectrum``.

    Returns:
      The same state otherwise: structure, shapes, dtypes and shardings are kept, so
      that nothing is compiled again. A leaf with fewer than two axes (a bias) follows
      the only balanced kernel beside it in its dictionary, as parameters of one
      module do in the official code; there a batch normalisation may follow the
      convolution of its name, here it keeps the base rate.

    Raises:
      InputError: there is no such state, ``params`` are not its parameters, or an
        option is refused.
    """
    check_positive_count("min_eigenvalues", min_eigenvalues)
    found = False

    def one(part: Any) -> Any:
        nonlocal found
        if not isinstance(part, TempBalanceState):
            return part
        found = True
        old = _on_leaves(part.exponents, params)
        leaves = trees.leaves_with_path(params)
        chosen = _chosen(leaves, [not is_masked(o) for o in old], params, mask)
        own = {
            i: _exponent(
                gathered(leaves[i][1]),
                sampling,
                fit,
                min_eigenvalues,
                tuple(windows.items()),
            )
            for i, is_it in enumerate(chosen)
            if is_it
        }
        new = [
            o if is_masked(o) else _in_place_of(o, _of_layer(i, leaves, own))
            for i, o in enumerate(old)
        ]
        exponents = jax.tree.map(
            lambda o, sub: o if is_masked(o) else sub,
            part.exponents,
            jax.tree.structure(params).unflatten(new),
            is_leaf=is_masked,
        )
        return part._replace(exponents=exponents)

    fresh = jax.tree.map(
        one, opt_state, is_leaf=lambda part: isinstance(part, TempBalanceState)
    )
    if not found:
        raise InputError(
            "opt_state has no scale_by_temp_balance in it: nothing to refresh"
        )
    return fresh


@functools.partial(jax.jit, static_argnums=(1, 2, 3, 4))
def _exponent(
    kernel: jax.Array,
    sampling: Sampling,
    fit: Fit,
    min_eigenvalues: int,
    windows: tuple[tuple[str, Any], ...],
) -> jax.Array:
    """One program for each kernel shape, cached between epochs."""
    metrics = layer_spectrum(kernel, sampling=sampling, fit=fit, **dict(windows))
    counts = (metrics.count >= min_eigenvalues) & jnp.isfinite(metrics.alpha)
    # A weight that is not finite is no layer with few eigenvalues.
    return jnp.where(counts | jnp.isnan(metrics.total), metrics.alpha, 0)


def _on_leaves(exponents: PyTree, params: Params) -> list[Any]:
    """The state's entry for each leaf: a scalar, or the masked node around it."""
    try:
        full = jax.tree.map(
            lambda o, sub: jax.tree.map(lambda _: o, sub),
            exponents,
            params,
            is_leaf=is_masked,
        )
    except ValueError as error:
        lines = trees.differences(exponents, params, shapes=False)
        raise InputError(
            f"params are not those of the optimizer state: {trees.summary(lines)}"
        ) from error
    return jax.tree.leaves(full, is_leaf=is_masked)


def _natural(name: str) -> list[tuple[int, str]]:
    pieces = re.split(r"(\d+)", name)
    return [(int(p), "") if p.isdigit() else (-1, p) for p in pieces]


def _chosen(
    leaves: Sequence[tuple[Any, Any]],
    present: Sequence[bool],
    params: Params,
    mask: MaskOrFn | None,
) -> list[bool]:
    """Select the leaves that are kernels to balance."""
    kernel = [
        there and np.ndim(leaf) >= 2 and np.size(leaf) > 0
        for (_, leaf), there in zip(leaves, present, strict=True)
    ]
    if mask is not None:
        wanted = jax.tree.leaves(trees.resolve_mask(mask, params))
        return [k and bool(w) for k, w in zip(kernel, wanted, strict=True)]
    names = [trees.path_name(path) for path, _ in leaves]
    order = sorted(
        (i for i, is_it in enumerate(kernel) if is_it), key=lambda i: _natural(names[i])
    )
    inner = set(order[1:-1])
    return [i in inner for i in range(len(leaves))]


def _of_layer(
    i: int, leaves: Sequence[tuple[Any, Any]], own: Mapping[int, jax.Array]
) -> jax.Array | None:
    """The exponent of leaf ``i``: its own, or that of the kernel beside it."""
    path, leaf = leaves[i]
    if np.ndim(leaf) >= 2:
        return own.get(i)
    kernels = [
        j
        for j, (other, x) in enumerate(leaves)
        if other[:-1] == path[:-1] and np.ndim(x) >= 2
    ]
    return own.get(kernels[0]) if len(kernels) == 1 else None


def _in_place_of(old: jax.Array, value: jax.Array | None) -> jax.Array:
    new = jnp.zeros((), old.dtype) if value is None else value.astype(old.dtype)
    if isinstance(old, Tracer) or isinstance(new, Tracer):
        return new
    if isinstance(old.sharding, NamedSharding):
        return jax.device_put(new, old.sharding)
    # Via the host: a scalar committed to one device cannot be combined with others.
    return jnp.asarray(np.asarray(new))
