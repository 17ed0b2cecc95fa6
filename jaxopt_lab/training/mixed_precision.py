"""A model computed in a narrow type, with its parameters kept in a wide one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.typing import ModelState, Params

if TYPE_CHECKING:
    from flax import nnx


def mixed_precision(
    functional: Functional, dtype: DTypeLike = jnp.bfloat16
) -> Functional:
    r"""A model that computes in a narrow type from parameters of a wide one.

    With :math:`c` the rounding to the type, the output is :math:`f(c(w), c(x))`,
    brought back to the parameters' type. Its gradient with respect to w is of w's type:
    the cast's own derivative brings each product back, so that the optimizer, its state
    and every perturbation see the wide parameters alone. Losses and means of the
    outputs are then of the wide type too.

    Layers that were given a type of their own (``nnx.Linear(..., dtype=...)``) keep
    it; ``computing_in`` sets that of a module.

    Args:
      functional: the model.
      dtype: floating type of the computation.

    Returns:
      The model; its ``init`` and its state are those of ``functional``. Integers,
      keys and complex numbers are left alone. Memory: a narrow copy of the parameters
      during a call.

    Raises:
      InputError: ``dtype`` is no floating type.

    >>> model = mixed_precision(Functional(
    ...     lambda key: ({"w": jnp.ones(2, jnp.float32)}, {}),
    ...     lambda p, s, x, *, train, key=None: (p["w"] * x, s)))
    >>> params, state = model.init(jax.random.key(0))
    >>> outputs, _ = model.apply(params, state, jnp.float32(1.001), train=True)
    >>> str(outputs.dtype), outputs.tolist()
    ('float32', [1.0, 1.0])

    Source: Micikevicius et al. 2018, "Mixed Precision Training", arXiv:1710.03740;
    bfloat16 needs no scaling of the loss.
    """
    if not jnp.issubdtype(dtype, jnp.floating):
        raise InputError(f"dtype={dtype} is no floating type; accepted: bfloat16, ...")

    def apply(
        params: Params,
        model_state: ModelState,
        inputs: Any,
        *,
        train: bool,
        key: jax.Array | None = None,
    ) -> tuple[Any, ModelState]:
        wide = jnp.result_type(
            *{p.dtype for p in jax.tree.leaves(params) if _is_real(p)} or {"float32"}
        )
        outputs, new = functional.apply(
            _cast(params, dtype),
            model_state,
            _cast(inputs, dtype),
            train=train,
            key=key,
        )
        return _cast(outputs, wide), new

    return Functional(functional.init, apply)


def computing_in(
    build: Callable[[nnx.Rngs], nnx.Module], dtype: DTypeLike = jnp.bfloat16
) -> Callable[[nnx.Rngs], nnx.Module]:
    """A flax module whose layers compute in a type.

    Args:
      build: makes the module.
      dtype: floating type of the computation.

    Returns:
      A function that makes it and sets the attribute ``dtype`` of every layer that
      has one and computes in a floating type or in that of its inputs. Layers whose
      statistics are sums (flax's norms) take them in float32 all the same.
    """

    def built(rngs: nnx.Rngs) -> nnx.Module:
        from flax import nnx

        module = build(rngs)
        for _, node in nnx.iter_graph(module):
            own = getattr(node, "dtype", None)
            named = isinstance(node, nnx.Module) and "dtype" in vars(node)
            if named and (own is None or jnp.issubdtype(own, jnp.floating)):
                node.dtype = dtype  # pyright: ignore[reportAttributeAccessIssue]
        return module

    return built


def _cast(tree: Any, dtype: DTypeLike) -> Any:
    return jax.tree.map(lambda x: jnp.asarray(x, dtype) if _is_real(x) else x, tree)


def _is_real(x: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(x), jnp.floating)
