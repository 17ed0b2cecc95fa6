"""Faults for the common checks, planted in a sound part of each kind."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from battery.faults import plant
from battery.parts.subject import floats, is_float

Change = Callable[[Any, Any], Any]
"""``change(results, given)``: ``given`` is the array that the kind varies."""


def _concrete(results: Any, given: Any) -> Any:
    leaves = jax.tree.leaves(results)
    concrete = not any(isinstance(x, jax.core.Tracer) for x in leaves)
    return floats(lambda x: x + 1e-3, results) if concrete else results


def _always_float32(results: Any, given: Any) -> Any:
    return floats(lambda x: x.astype(jnp.float32), results)


def _imprecise(dtype: Any, by: float) -> Change:
    def change(results: Any, given: Any) -> Any:
        return floats(lambda x: x + by if given.dtype == dtype else x, results)

    return change


def _counting() -> Change:
    count = itertools.count()

    def change(results: Any, given: Any) -> Any:
        by = next(count) * 1e-3
        return floats(lambda x: x + jnp.asarray(by, x.dtype), results)

    return change


def _promoting(results: Any, given: Any) -> Any:
    return floats(lambda x: (x * jnp.ones((), jnp.int32)).astype(x.dtype), results)


@jax.custom_batching.custom_vmap
def _one_more_under_vmap(x: Any) -> Any:
    return x * 1


@_one_more_under_vmap.def_vmap
def _(axis_size: int, in_batched: Any, x: Any) -> Any:
    return x + 1, in_batched[0]


def _for_vmap(results: Any, given: Any) -> Any:
    return floats(_one_more_under_vmap, results)


def _root_at_zero(results: Any, given: Any) -> Any:
    square = jnp.sum(given * given)
    by = square / jnp.sqrt(square) * 1e-3
    return floats(lambda x: x + by.astype(x.dtype), results)


def _half_constant(results: Any, given: Any) -> Any:
    half = lambda x: 0.5 * x + 0.5 * jax.lax.stop_gradient(x)
    return floats(half, results)


def _without_nan(results: Any, given: Any) -> Any:
    return floats(jnp.nan_to_num, results)


def _shifted(results: Any, given: Any) -> Any:
    return floats(lambda x: x + 1e-3, results)


def _on_a_mesh(results: Any, given: Any) -> Any:
    empty = jax.sharding.get_abstract_mesh().empty
    return results if empty else _shifted(results, given)


def plant_common(
    kind: str,
    broken: Callable[..., Any],
    *,
    documented: Callable[[str], Any],
    example: Callable[[], Any],
    without: tuple[str, ...] = (),
) -> None:
    """Plant a fault for every common check of a kind.

    Args:
      kind: the kind.
      broken: ``broken(change, **header)`` makes a row of the sound part whose results
        go through ``change``.
      documented: makes a sound row with another docstring.
      example: the sound part's example.
      without: names of the checks that the kind does not have.
    """
    changes = {
        "jit": (_concrete, "another function"),
        "dtypes": (_always_float32, "is float32 instead of"),
        "float32": (_imprecise(jnp.float32, 0.01), "far from float64"),
        "bfloat16": (_imprecise(jnp.bfloat16, 1), "far from float64"),
        "recompilation": (_counting(), "another program"),
        "strict_promotion": (_promoting, "promotion"),
        "vmap": (_for_vmap, "not a loop"),
        "finite": (_root_at_zero, "not finite"),
        "derivatives": (_half_constant, "finite differences"),
        "nan_visible": (_without_nan, "swallowed"),
        "neutral": (_shifted, "neutral setting"),
        "same_key": (_counting(), "same key"),
        "devices": (_on_a_mesh, "eight devices"),
    }
    rows = {name: (broken(change), words) for name, (change, words) in changes.items()}
    as_jax = lambda: jax.tree.map(
        lambda x: jnp.asarray(x) if is_float(x) else x, example()
    )
    as_jax = (
        as_jax
        if any(map(is_float, jax.tree.leaves(example())))
        else (lambda: {**example(), "extra": jnp.zeros(())})
    )
    unchanged = lambda results, given: results
    rows["example"] = broken(unchanged, example=as_jax), "example's"
    rows["docstring"] = documented("Something without arguments."), "no text for"
    text = documented("").load().__doc__
    rows["docstring_example"] = (
        documented(f"{text}\n\n    >>> 1 + 1\n    3\n    "),
        "Expected",
    )
    for name, (row, words) in rows.items():
        if name not in without:
            plant(kind, f"common: {name}", name, words, row)
