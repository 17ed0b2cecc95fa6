"""Any optax transformation, safe to differentiate through."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import jax
import optax
from jax.core import eval_context
from jax.extend import core

from jaxopt_lab.bilevel.opaque_call import arrays_only, opaque_call
from jaxopt_lab.bilevel.program_call import ProgramCall
from jaxopt_lab.bilevel.rewrite_jaxpr import rewrite_jaxpr
from jaxopt_lab.bilevel.safe_primitives import Slopes
from jaxopt_lab.core import checks as arguments
from jaxopt_lab.core.argument_checks import check_transformation
from jaxopt_lab.core.errors import InputError

# Traced programs cached for one transformation; a training run needs two.
_CACHE_SIZE = 32
_SETTINGS = (
    "jax_enable_x64",
    "jax_numpy_dtype_promotion",
    "jax_default_matmul_precision",
)

with eval_context():
    _NOT_TRACING = core.get_opaque_trace_state()


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

        sqrt  rsqrt  log  log1p  cbrt  pow  integer_pow  div  svd  eigh  qr

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

    >>> import jax.numpy as jnp
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
    slopes = Slopes(float(eps_root), None if max_slope is None else float(max_slope))
    original = optax.with_extra_args_support(tx)
    safe_init = _Safe(original.init, slopes)
    safe_update = _Safe(original.update, slopes)

    def init(params: Any) -> Any:
        return safe_init(params)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        # The values offered to it would be tracers, which end with the trace.
        extra.pop("fused_apply", None)
        return safe_update(updates, state, params, **extra)

    return optax.GradientTransformationExtraArgs(init, update)


class _Safe:
    """A function of trees, traced once for each kind of arguments."""

    def __init__(self, fn: Callable[..., Any], slopes: Slopes):
        self._fn = fn
        self._slopes = slopes
        self._programs: OrderedDict[Any, tuple[Any, Callable[..., Any]]] = OrderedDict()

    def __call__(self, *args: Any, **extra: Any) -> Any:
        if not self._slopes.eps_root and core.get_opaque_trace_state() == _NOT_TRACING:
            # Nothing is differentiated here, and eager values keep their sharding.
            return self._fn(*args, **extra)
        opaque = jax.tree.map(
            lambda x: opaque_call(x) if callable(x) else x, extra, is_leaf=callable
        )
        run, arrays, rebuild = arrays_only(self._fn, args, opaque)
        # The closure of a callable may change from call to call.
        known = not any(map(callable, jax.tree.leaves(opaque, is_leaf=callable)))
        key = _key(args, opaque, arrays) if known else None
        if key in self._programs:
            self._programs.move_to_end(key)
            program, rebuild = self._programs[key]
        else:
            traced = jax.make_jaxpr(jax.jit(run))(arrays)
            program = ProgramCall(rewrite_jaxpr(traced, self._slopes))
            # Effects (of collectives) belong to the call, so they are not cached.
            if key is not None and not traced.effects:
                self._programs[key] = program, rebuild
                if len(self._programs) > _CACHE_SIZE:
                    self._programs.popitem(last=False)
        return rebuild(program(*arrays))


def _key(args: Any, extra: Any, arrays: list[Any]) -> Any:
    """Cache key: all that a trace depends on; ``None`` if it is not hashable."""
    leaves, treedef = jax.tree.flatten((args, extra))
    types = tuple(map(jax.typeof, arrays))
    places = {id(a) for a in arrays}
    static = tuple(None if id(x) in places else (type(x), x) for x in leaves)
    settings = tuple(getattr(jax.config, name) for name in _SETTINGS)
    mesh = jax.sharding.get_abstract_mesh()
    key = (treedef, static, types, settings, mesh)
    try:
        hash(key)
    except TypeError:
        return None
    return key
