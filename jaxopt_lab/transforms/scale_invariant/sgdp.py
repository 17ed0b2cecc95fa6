"""SGDP: momentum that does not lengthen scale-invariant weights."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import moments
from jaxopt_lab.core.checks import value_at
from jaxopt_lab.core.finish import step_size
from jaxopt_lab.core.options import (
    DECAY,
    NON_NEGATIVE,
    UNIT,
    check_arguments,
    takes,
)
from jaxopt_lab.core.per_leaf import per_leaf
from jaxopt_lab.core.typing import MaskOrFn, Params, Scalar, ScalarOrSchedule
from jaxopt_lab.transforms.scale_invariant.projection import (
    ChannelAxis,
    channel_axes,
    finished,
    project,
)


class ScaleBySGDPState(NamedTuple):
    """State of ``scale_by_sgdp``; float32, or float64 for such parameters.

    Attributes:
      count: int32, number of updates so far.
      trace: the momentum, shaped like the parameters; 4 bytes a parameter.
    """

    count: jax.Array
    trace: Any


def scale_by_sgdp(
    momentum: Annotated[ScalarOrSchedule, DECAY] = 0.0,
    *,
    dampening: Annotated[ScalarOrSchedule, UNIT] = 0.0,
    nesterov: bool = False,
    weight_decay: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.0,
    delta: Annotated[Scalar, NON_NEGATIVE] = 0.1,
    wd_ratio: Annotated[Scalar, UNIT] = 0.1,
    eps: Annotated[Scalar, NON_NEGATIVE] = 1e-8,
    project_momentum: bool = False,
    channel_axis: ChannelAxis = -1,
    mask: MaskOrFn | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""The direction of SGDP with its decay, to be followed by a learning rate.

    With momentum :math:`\mu`, dampening :math:`\tau` and :math:`\Pi` the projection of
    ``project_radial``:

    .. math::
        b_t = \mu b_{t-1} + (1 - \tau) g_t, \qquad
        u_t = \Pi(b_t) + \frac{\lambda \, r_t}{1 - \mu} \, p_{t-1}

    Args:
      momentum: decay of the trace of gradients, in [0, 1); a number, a traced scalar or
        a schedule of the number of updates, as are ``dampening`` and ``weight_decay``.
      dampening: a new gradient enters times one minus this, the first one too (that of
        ``torch.optim.SGD`` enters whole).
      nesterov: take ``g + momentum * trace`` for the trace.
      weight_decay: decoupled decay, times the step size over ``1 - momentum``.
      delta: a tensor is projected where the cosines of its gradient and its weights
        are below this over the root of the number of elements; at 0 none is.
      wd_ratio: factor of the decay of a projected tensor.
      eps: floor of the norms in the test.
      project_momentum: keep the projected direction as the trace, as the official code
        does without Nesterov, where the direction is the trace itself, changed in
        place. Norms after 20 equal steps differ by 1.9 to 2.5 times.
      channel_axis: axis of the output channels, the last as in Flax (PyTorch: 0); or
        pairs ``(regular expression, axis)``, the first found in a leaf's path counts.
      mask: which parameters decay: a tree of booleans or a function of the parameters
        that gives one. Default: all.

    Returns:
      The link. Its ``update`` needs ``params``.

    Raises:
      InputError: an argument is out of range, an axis does not exist, or parameters are
        complex.

    Memory: 4 bytes a parameter. Gradient evaluations: 1 a step. Differentiable in
    everything, zero gradients included; the test has no derivative.

    Decisions: the published algorithm, which copies the trace before the projection, is
    the default; the official code's form is ``project_momentum=True``. With Nesterov or
    without momentum the two agree.

    >>> import jax.numpy as jnp
    >>> w, g = jnp.array([[3.0], [4.0]]), jnp.array([[4.0], [-3.0]])
    >>> tx = scale_by_sgdp(0.9)
    >>> u, state = tx.update(g, tx.init(w), w)
    >>> u, _ = tx.update(w + g, state, w)  # not at right angles: nothing is projected
    >>> [round(float(x), 2) for x in u[:, 0]]
    [10.6, -1.7]

    Reference: Heo, Chun, Oh, Han, Yun, Kim, Uh and Ha, "AdamP: Slowing Down the
    Slowdown for Momentum Optimizers on Scale-invariant Weights", ICLR 2021,
    arXiv:2006.08217; clovaai/AdamP.
    """
    check_arguments(scale_by_sgdp, locals())
    numbers = (momentum, dampening, weight_decay, delta, wd_ratio, eps)

    def scalars(state: Any) -> _StepScalars:
        return _StepScalars(*(jnp.asarray(value_at(x, state.count)) for x in numbers))

    @per_leaf(
        ScaleBySGDPState,
        _LeafState,
        scalars,
        optimizer="scale_by_sgdp",
        mask=mask,
        real="sgdp",
    )
    def link(params: Params) -> list[_Leaf]:
        axes = channel_axes(params, channel_axis)
        return [_Leaf(axis, nesterov, project_momentum) for axis in axes]

    return link


class _LeafState(NamedTuple):
    trace: jax.Array


class _StepScalars(NamedTuple):
    """The hyper-parameters at one step."""

    momentum: jax.Array
    dampening: jax.Array
    weight_decay: jax.Array
    delta: jax.Array
    wd_ratio: jax.Array
    eps: jax.Array


class _Leaf(NamedTuple):
    """SGDP on one tensor. A ``LeafMethod``."""

    channel_axis: int
    nesterov: bool
    project_momentum: bool

    def init(self, leaf: jax.Array) -> _LeafState:
        return _LeafState(moments.zeros(leaf))

    def update(
        self,
        g: jax.Array,
        state: _LeafState,
        p: jax.Array,
        scalars: _StepScalars,
        decays: jax.Array,
        writes: bool = False,
    ) -> tuple[Any, ...]:
        dtype = state.trace.dtype
        momentum, dampening, weight_decay, delta, wd_ratio, eps = (
            x.astype(dtype) for x in scalars
        )
        wide = g.astype(dtype)
        trace = momentum * state.trace + (1 - dampening) * wide
        u = wide + momentum * trace if self.nesterov else trace
        projected = project(
            g,
            p,
            u,
            channel_axis=self.channel_axis,
            delta=delta,
            wd_ratio=wd_ratio,
            eps=eps,
        )
        if self.project_momentum and not self.nesterov:
            trace = projected.direction
        return finished(
            projected,
            _LeafState(trace),
            g,
            p,
            decays=decays,
            weight_decay=weight_decay / (1 - momentum),
            writes=writes,
        )


@takes(scale_by_sgdp)
def sgdp(
    learning_rate: Annotated[ScalarOrSchedule, NON_NEGATIVE],
    **options: Any,
) -> optax.GradientTransformationExtraArgs:
    """SGDP: gradient descent that does not lengthen scale-invariant weights.

    ``chain(scale_by_sgdp, learning rate)``.

    Args:
      learning_rate: step size; a number, a traced scalar or a schedule.
      **options: arguments of ``scale_by_sgdp``, momentum and weight decay among them.

    Returns:
      The optimizer. Its ``update`` needs ``params``.

    Raises:
      InputError: an argument is out of range, or an axis does not exist.

    Gradient evaluations: 1 a step. Memory: 4 bytes a parameter.

    >>> import jax.numpy as jnp
    >>> tx, w = sgdp(0.1, momentum=0.9, nesterov=True), jnp.ones(2)
    >>> updates, _ = tx.update(jnp.ones(2), tx.init(w), w)
    >>> [round(float(u), 2) for u in updates]  # vectors are never projected
    [-0.19, -0.19]

    Reference: Heo et al. 2021, arXiv:2006.08217; see ``scale_by_sgdp``.
    """
    return optax.chain(scale_by_sgdp(**options), step_size(learning_rate))
