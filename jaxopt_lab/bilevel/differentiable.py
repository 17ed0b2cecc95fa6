"""Any optax transformation, safe to differentiate through."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Any

import optax

from jaxopt_lab.core import checks as arguments
from jaxopt_lab.core.argument_checks import check_transformation
from jaxopt_lab.core.errors import InputError


def differentiable(
    tx: optax.GradientTransformation,
    *,
    eps_root: float = 0.0,
    max_slope: float | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The same transformation with derivatives that are finite wherever it is.

    Differentiating through optax's own updates gives NaN as soon as some gradient is
    exactly zero (Adam: the root of a second moment of zero), or parameters are (LAMB:
    a norm), or always (RAdam: the root of a negative number in a branch that is not
    taken). Here ``init`` and ``update`` are traced, and in their programs

        sqrt  rsqrt  log  log1p  log2  cbrt  pow  integer_pow  div  svd  eigh  qr

    are replaced by primitives with the same values and one principle for their
    derivatives: a partial derivative that does not exist or overflows is zero. So are
    those of multiplications whose result a ``where`` may discard. All other
    derivatives are the original's, to rounding. Derivatives of every order, forward
    and reverse, under ``jit``, ``vmap``, ``scan`` and ``checkpoint``.

    Unchanged are the values, to the last bit, since XLA compiles the same operations;
    the structure of the state, so that checkpoints are interchangeable; rules of
    ``custom_jvp`` and ``custom_vjp`` inside ``tx``; and the derivatives of every
    callable among the extra arguments (``grad_fn``, ``value_fn``), whose own NaN must
    stay visible. Complex numbers are left alone. Outside of all transformations of jax
    the original itself runs. Beside a gradient the last bit may differ: XLA fuses each
    with its own reverse pass, and outside of ``jit`` a trace drops the boundaries of
    what optax compiles as ``jit(inline=True)``.

    Finite is not small. At a gradient of zero Adam's direction has the slope
    ``1 / eps`` in truth, 1e8, in every step; three such steps make 1e21, and five
    overflow in float32. No safe rule can hide this, but two options change the
    question, openly:

    * ``eps_root`` is added below every square and cube root, so the values change:
      those of Adam become those of ``optax.adam(eps_root=...)``. Derivatives are true
      derivatives of these values. With 1e-8 the slope is 1e4 instead of 1e8.
    * ``max_slope`` clips the partial derivatives of every division, ``1 / y`` and
      ``-x / y^2``, to ``[-max_slope, max_slope]``. The values do not change, and the
      derivatives are no longer true where it acts.

    Args:
      tx: any transformation; hyper-parameters may be traced.
      eps_root: at least 0.
      max_slope: above 0; ``None`` does not clip.

    Returns:
      The safe one. As under ``jit``, ``update`` is traced once for all calls with the
      same structures, shapes and types, unless there are callables among the extra
      arguments. ``fused_apply`` is not passed on: the updates come back as a tree.

    Raises:
      InputError: ``tx`` is no transformation, or an option is out of range.

    Memory and time: no gradient evaluations, and no state, of its own. A forward pass
    costs the same, a reverse pass about 1.1 times that through the original, tracing
    about 1.3 times, and the gradient of a call inside of ``jit`` as much as without,
    where leaves share shapes (``python -m experiments.benchmarks.differentiable``).

    >>> import jax, jax.numpy as jnp
    >>> def after_a_step(w, wrap):
    ...     tx = wrap(optax.adam(0.1))
    ...     gradient = 2 * w * jnp.array([1.0, 0.0])
    ...     updates, _ = tx.update(gradient, tx.init(w), w)
    ...     return jnp.sum(w + updates)
    >>> w = jnp.array([1.0, 2.0])
    >>> jax.grad(after_a_step)(w, lambda tx: tx)
    Array([ 1., nan], dtype=float32)
    >>> jax.grad(after_a_step)(w, differentiable)
    Array([1., 1.], dtype=float32)
    """
    if hasattr(tx, "gradient_transformation"):  # optax.MultiSteps is none itself
        tx = tx.gradient_transformation()  # type: ignore[attr-defined]
    check_transformation("tx", tx)
    arguments.check_non_negative("eps_root", eps_root)
    if max_slope is not None and not max_slope > 0:
        raise InputError(f"max_slope must be above 0, or None; got {max_slope}")
    # Here: jax.extend loads Pallas, which takes longer than all of this room.
    from jaxopt_lab.bilevel.safe_function import SafeFunction

    slopes = float(eps_root), None if max_slope is None else float(max_slope)
    original = optax.with_extra_args_support(tx)
    safe_init = SafeFunction(original.init, *slopes)
    safe_update = SafeFunction(original.update, *slopes)

    def init(params: Any) -> Any:
        return safe_init(params)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        # The values offered to it would be tracers, which end with the trace.
        extra.pop("fused_apply", None)
        return safe_update(updates, state, params, **extra)

    return optax.GradientTransformationExtraArgs(init, update)
