"""Residuals that a forward pass keeps for its backward pass, from the program."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core import jaxprs

# A compiler fuses these into their uses and recomputes them in the backward pass: a
# result of theirs need not be kept where its operands are.
_ARITHMETIC = "abs add add_any cos div erf exp exp2 expm1 integer_pow log log1p log2 \
logistic max min mul neg one_minus_square polynomial pow rsqrt sign sin sqrt square \
sub tanh"
_LOGIC = "and clamp eq ge gt is_finite le lt ne not or select_n xor"
_SHAPES = "broadcast_in_dim convert_element_type copy expand_dims iota \
reduce_precision reshape sharding_constraint squeeze"
_CHEAP = frozenset(f"{_ARITHMETIC} {_LOGIC} {_SHAPES}".split())
_CALLS = jaxprs.CALLS | {"custom_jvp_call"}


class Residual(NamedTuple):
    """Something that the forward pass keeps for the backward pass.

    Attributes:
      shape: on all devices together.
      dtype: its type.
      nbytes: bytes on one device.
    """

    shape: tuple[int, ...]
    dtype: str
    nbytes: float


def local_bytes(x: Any, sharding: Any) -> float:
    """Bytes of an array on one device."""
    shape = sharding.shard_shape(x.shape)
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        return math.prod(shape) * jax.random.key_data(jax.random.key(0)).nbytes
    return math.prod(shape) * jnp.dtype(x.dtype).itemsize


def kept(fn: Callable[..., Any], *arguments: Any) -> list[Residual]:
    """Residuals of a function's linearisation, under the compiler's shardings.

    The residuals of ``jax.vjp``, but for arguments, constants, and what elementwise
    operations make of others: where a residual is such, it is traced back to values
    that are in memory anyway, since a product or a loop made or read them.

    Args:
      fn: a function of arrays.
      *arguments: shapes with shardings; the derivative is to the first.

    Returns:
      The residuals, the largest on a device first.
    """
    leaves, tree = jax.tree.flatten(arguments)

    def held(*leaves: Any) -> list[Any]:
        first, *rest = jax.tree.unflatten(tree, leaves)
        return jax.tree.leaves(jax.vjp(lambda x: fn(x, *rest), first)[1])

    nested = jax.make_jaxpr(held)(*leaves)
    flat = jax.make_jaxpr(
        lambda *leaves: jaxprs.evaluated(
            nested.jaxpr, nested.consts, leaves, calls=_CALLS
        )
    )(*leaves)
    wanted = _needed(flat.jaxpr)

    def needed(*leaves: Any) -> list[Any]:
        return jaxprs.evaluated(
            flat.jaxpr, flat.consts, leaves, calls=_CALLS, wanted=wanted
        )

    # No code is run: the cheapest there is will do.
    options: dict[str, Any] = {"xla_backend_optimization_level": 0}
    compiled = jax.jit(needed).lower(*leaves).compile(compiler_options=options)
    found = [
        Residual(v.aval.shape, str(v.aval.dtype), local_bytes(v.aval, sharding))
        for v, sharding in zip(wanted, compiled.output_shardings, strict=True)
    ]
    return sorted(found, key=lambda r: -r.nbytes)


def _needed(jaxpr: Any) -> list[Any]:
    """The variables that have to be kept for a program's results to be had."""
    maker = {v: line for line in jaxpr.eqns for v in line.outvars}
    given = set(jaxpr.invars)
    varying = set(given)
    stored: set[Any] = set()
    for line in jaxpr.eqns:
        operands = [v for v in line.invars if not hasattr(v, "val")]
        if any(v in varying for v in operands):
            varying |= set(line.outvars)
        if line.primitive.name in _CHEAP:
            continue
        stored |= set(line.outvars)
        # A reduction reads its operand while it is made.
        if not line.primitive.name.startswith("reduce_"):
            stored |= set(operands)

    def sources(v: Any) -> Iterator[Any]:
        """The sources of ``v`` among the values that are in memory anyway."""
        if hasattr(v, "val") or v in given or v not in varying:
            return
        if v in stored:
            yield v
            return
        for operand in maker[v].invars:
            yield from sources(operand)

    results = dict.fromkeys(v for v in jaxpr.outvars if not hasattr(v, "val"))
    results = [v for v in results if v in varying - given]
    made_of = {v: dict.fromkeys(sources(v)) for v in results}
    return min(_one_by_one(made_of), _together(made_of), key=_sizes)


def _one_by_one(made_of: Mapping[Any, Mapping[Any, None]]) -> list[Any]:
    """Each value's sources, or itself where those it does not share are larger."""
    found = {v: None for v, made in made_of.items() if v in made}
    for v, made in made_of.items():
        more = [s for s in made if s not in found]
        found |= dict.fromkeys(more if _sizes(more) <= _size(v) else [v])
    return list(found)


def _together(made_of: Mapping[Any, Mapping[Any, None]]) -> list[Any]:
    """All sources, but values themselves where sources of their own are larger.

    What a norm needs for its backward pass is made of its operand and two numbers a
    row: more than any one of its values, and less than all of them.
    """
    users = Counter(s for made in made_of.values() for s in made)
    found: dict[Any, None] = {}
    for v, made in sorted(made_of.items(), key=lambda item: _size(item[0])):
        if _sizes([s for s in made if users[s] == 1]) > _size(v):
            users.subtract(made.keys())
            found[v] = None
    return list(found | {s: None for s, count in users.items() if count > 0})


def _sizes(values: Iterable[Any]) -> float:
    return sum(map(_size, values))


def _size(v: Any) -> float:
    return math.prod(v.aval.shape) * jnp.dtype(v.aval.dtype).itemsize
