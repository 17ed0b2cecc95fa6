"""Lookahead: k steps forward, one step back; extra arguments are passed on."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import placement, trees
from jaxopt_lab.core.checks import increment, value_at
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, UNIT, check_arguments
from jaxopt_lab.core.typing import Params, ScalarOrSchedule, Updates
from jaxopt_lab.transforms.sharpness.evaluation import refuse_inside

_BEHIND = "Put it inside: lookahead(optax.chain(..., it))"


class LookaheadState(NamedTuple):
    """State of ``lookahead``: 4 bytes per float32 parameter beyond the inner state.

    Attributes:
      count: int32 scalar, number of updates so far; the argument of schedules.
      slow: like the parameters, the slow weights.
      inner: state of the inner optimizer.
    """

    count: jax.Array
    slow: Params
    inner: Any

    def eval_params(self, params: Params) -> Params:
        """The slow weights; see ``eval_params``."""
        return jax.tree.map(lambda s, p: s.astype(p.dtype), self.slow, params)


def lookahead(
    inner: optax.GradientTransformation,
    *,
    k: Annotated[int, COUNT] = 5,
    alpha: Annotated[ScalarOrSchedule, UNIT] = 0.5,
) -> optax.GradientTransformationExtraArgs:
    r"""Let fast weights run ahead, and follow them part of the way.

    A wrapper that owns its inner optimizer. The PARAMETERS of the training are the fast
    weights f, which take the inner optimizer's steps. After every k of them, the slow
    weights s follow, and the fast ones start again from there:

    .. math::
        s \leftarrow s + \alpha (f - s), \quad f \leftarrow s.

    Unlike ``optax.lookahead`` it passes extra arguments on, so that the inner optimizer
    may be ``chain(sam(...), ...)``: with ``sam`` that is "Lookahead + SAM", a baseline
    of ``lookbehind``, which ascends k times from one batch instead. Nothing may stand
    behind it in a chain, where every k-th update leads back to the slow weights: what
    scales or clips updates belongs inside, as the end of ``inner``.

    Args:
      inner: the inner optimizer; its state runs through and is not reset.
      k: number of steps of the fast weights; 1 with ``alpha = 1`` is the inner
        optimizer.
      alpha: part of the way, in [0, 1]; number, traced scalar or schedule of the
        number of updates.

    Returns:
      An optimizer; its ``update`` takes ``params`` and passes every extra argument on,
      except ``fused_apply``.

    Raises:
      InputError: ``params`` is missing, ``k`` is no whole number of at least 1,
        ``alpha`` is out of [0, 1], a transform stands behind it, or ``inner`` keeps
        other parameters to evaluate.

    Gradient evaluations: the inner optimizer's. Memory: 4 bytes per float32 parameter,
    the slow weights. Differentiable in ``alpha``, the inner optimizer's
    hyper-parameters and the parameters.

    Decisions: one tree of parameters, as everywhere here (optax asks for pairs);
    evaluate at the slow weights, which ``eval_params(params, state)`` gives.

    >>> import jaxopt_lab
    >>> tx = jaxopt_lab.lookahead(optax.sgd(1.0), k=2, alpha=0.5)
    >>> w = jnp.array(0.0)
    >>> state, seen = tx.init(w), []
    >>> for _ in range(4):
    ...     updates, state = tx.update(jnp.array(-1.0), state, w)
    ...     w = optax.apply_updates(w, updates)
    ...     seen.append(float(w))
    >>> seen
    [1.0, 1.0, 2.0, 2.0]

    Reference: Zhang, Lucas, Ba and Hinton, "Lookahead Optimizer: k steps forward, 1
    step back", NeurIPS 2019, arXiv:1907.08610.
    """
    check_arguments(lookahead, locals())
    inner = optax.with_extra_args_support(inner)

    def init_fn(params: Params) -> LookaheadState:
        if any(isinstance(p, jax.ShapeDtypeStruct) for p in jax.tree.leaves(params)):
            raise InputError(
                "lookahead keeps a copy of the parameters and takes arrays; got "
                "shapes: call jax.eval_shape(tx.init, shapes)"
            )
        # Copied: state and parameters that share buffers cannot both be donated.
        slow = jax.tree.map(lambda p: jnp.array(p), params)
        inner_state = inner.init(params)
        refuse_inside("lookahead", inner_state)
        return LookaheadState(jnp.zeros((), jnp.int32), slow, inner_state)

    def update_fn(
        updates: Updates, state: Any, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, LookaheadState]:
        if params is None:
            raise InputError("lookahead needs params: call tx.update(grads, state, w)")
        placement.refuse_behind(
            "lookahead", "the way back to the slow weights", _BEHIND
        )
        extra.pop("fused_apply", None)
        params = trees.arrays(params)
        steps, inner_state = inner.update(updates, state.inner, params, **extra)
        fast = optax.apply_updates(cast(Any, params), steps)
        part = value_at(alpha, state.count)
        met = jax.tree.map(
            lambda s, f: s + jnp.asarray(part, s.dtype) * (f - s), state.slow, fast
        )
        count = increment(state.count)
        turn = count % k == 0
        slow = trees.select(turn, met, state.slow)
        # By the new slow weights, equal to those met: the old ones, read after the new
        # are written, would be copied.
        back = jax.tree.map(
            lambda u, s, p: (s - p).astype(u.dtype), steps, slow, params
        )
        return trees.select(turn, back, steps), LookaheadState(count, slow, inner_state)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)
