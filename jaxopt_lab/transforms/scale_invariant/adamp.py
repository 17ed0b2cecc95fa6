"""AdamP: Adam whose steps do not lengthen scale-invariant weights."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import moments
from jaxopt_lab.core.checks import increment, value_at
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


class ScaleByAdamPState(NamedTuple):
    """State of ``scale_by_adamp``; float32, or float64 for such parameters.

    Attributes:
      count: int32, number of updates so far.
      mu: first moment, shaped like the parameters; 4 bytes a parameter.
      nu: second moment; 4 bytes a parameter.
    """

    count: jax.Array
    mu: Any
    nu: Any


def scale_by_adamp(
    b1: Annotated[ScalarOrSchedule, DECAY] = 0.9,
    b2: Annotated[ScalarOrSchedule, DECAY] = 0.999,
    eps: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 1e-8,
    *,
    weight_decay: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.0,
    delta: Annotated[Scalar, NON_NEGATIVE] = 0.1,
    wd_ratio: Annotated[Scalar, UNIT] = 0.1,
    nesterov: bool = False,
    channel_axis: ChannelAxis = -1,
    mask: MaskOrFn | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""The direction of AdamP with its decay, to be followed by a learning rate.

    After t steps, with :math:`\Pi` the projection of ``project_radial``:

    .. math::
        u_t = \Pi\Bigl(\frac{m_t / (1 - b_1^t)}
            {\sqrt{v_t / (1 - b_2^t)} + \epsilon}\Bigr) + \lambda \, r_t \, p_{t-1}

    A tensor whose direction was projected in this step decays by
    :math:`r_t` = ``wd_ratio``, any other one by :math:`r_t = 1`.

    Args:
      b1: decay of the first moment, in [0, 1); a number, a traced scalar or a schedule
        of the number of updates, as are ``b2``, ``eps`` and ``weight_decay``.
      b2: decay of the second, in [0, 1).
      eps: added to the root of the second moment after the bias correction, and floor
        of the norms in the test.
      weight_decay: decoupled decay, times the step size.
      delta: a tensor is projected where the cosines of its gradient and its weights
        are below this over the root of the number of elements; at 0 none is.
      wd_ratio: factor of the decay of a projected tensor.
      nesterov: take ``b1 m + (1 - b1) g`` for the first moment, both divided by
        ``1 - b1**t``; optax's Nesterov divides the two by different factors.
      channel_axis: axis of the output channels, the last as in Flax (PyTorch: 0); or
        pairs ``(regular expression, axis)``, the first found in a leaf's path counts.
      mask: which parameters decay: a tree of booleans or a function of the parameters
        that gives one. Default: all.

    Returns:
      The link. Its ``update`` needs ``params``.

    Raises:
      InputError: an argument is out of range, an axis does not exist, or parameters are
        complex.

    Memory: 8 bytes a parameter. Gradient evaluations: 1 a step. Two more passes over
    each matrix than Adam, for its cosines. Differentiable in everything, zero gradients
    included; the test has no derivative, so that values jump where it turns.

    Decisions: as the official code. The test reads the gradient as it comes, so that
    the projection cannot follow ``optax.scale_by_adam`` as a link; all channels must
    pass; a zero gradient passes and decays by ``wd_ratio``; tensors of less than two
    axes are never projected.

    >>> import jax.numpy as jnp
    >>> w, g = jnp.array([[3.0], [4.0]]), jnp.array([[4.0], [-3.0]])
    >>> tx = scale_by_adamp()
    >>> u, _ = tx.update(g, tx.init(w), w)
    >>> abs(round(float((u * w).sum()), 5))  # Adam's direction (1, -1) gives -1
    0.0

    Reference: Heo, Chun, Oh, Han, Yun, Kim, Uh and Ha, "AdamP: Slowing Down the
    Slowdown for Momentum Optimizers on Scale-invariant Weights", ICLR 2021,
    arXiv:2006.08217; clovaai/AdamP.
    """
    check_arguments(scale_by_adamp, locals())
    numbers = (b1, b2, eps, weight_decay, delta, wd_ratio)

    def scalars(state: Any) -> _StepScalars:
        values = (jnp.asarray(value_at(x, state.count)) for x in numbers)
        return _StepScalars(increment(state.count), *values)

    @per_leaf(
        ScaleByAdamPState,
        _LeafState,
        scalars,
        optimizer="scale_by_adamp",
        mask=mask,
        real="adamp",
    )
    def link(params: Params) -> list[_Leaf]:
        return [_Leaf(axis, nesterov) for axis in channel_axes(params, channel_axis)]

    return link


class _LeafState(NamedTuple):
    mu: jax.Array
    nu: jax.Array


class _StepScalars(NamedTuple):
    """The hyper-parameters at one step, and its number, from 1."""

    count: jax.Array
    b1: jax.Array
    b2: jax.Array
    eps: jax.Array
    weight_decay: jax.Array
    delta: jax.Array
    wd_ratio: jax.Array


class _Leaf(NamedTuple):
    """AdamP on one tensor. A ``LeafMethod``."""

    channel_axis: int
    nesterov: bool

    def init(self, leaf: jax.Array) -> _LeafState:
        return _LeafState(moments.zeros(leaf), moments.zeros(leaf))

    def update(
        self,
        g: jax.Array,
        state: _LeafState,
        p: jax.Array,
        scalars: _StepScalars,
        decays: jax.Array,
        writes: bool = False,
    ) -> tuple[Any, ...]:
        count, b1, b2, eps, weight_decay, delta, wd_ratio = scalars
        mu = moments.average(state.mu, g, b1)
        nu = moments.average_of_squares(state.nu, g, b2)
        first = moments.average(mu, g, b1) if self.nesterov else mu
        u = moments.corrected_direction(first, nu, count, b1, b2, eps)
        projected = project(
            g,
            p,
            u,
            channel_axis=self.channel_axis,
            delta=delta,
            wd_ratio=wd_ratio,
            eps=eps,
        )
        return finished(
            projected,
            _LeafState(mu, nu),
            g,
            p,
            decays=decays,
            weight_decay=weight_decay,
            writes=writes,
        )


@takes(scale_by_adamp)
def adamp(
    learning_rate: Annotated[ScalarOrSchedule, NON_NEGATIVE],
    **options: Any,
) -> optax.GradientTransformationExtraArgs:
    """AdamP: Adam whose steps do not lengthen scale-invariant weights.

    ``chain(scale_by_adamp, learning rate)``.

    Args:
      learning_rate: step size; a number, a traced scalar or a schedule.
      **options: arguments of ``scale_by_adamp``, the weight decay among them.

    Returns:
      The optimizer. Its ``update`` needs ``params``.

    Raises:
      InputError: an argument is out of range, or an axis does not exist.

    Gradient evaluations: 1 a step. Memory: 8 bytes a parameter.

    >>> import jax.numpy as jnp
    >>> w, g = jnp.array([[3.0], [4.0]]), jnp.array([[4.0], [-3.0]])
    >>> tx = adamp(0.1)
    >>> updates, _ = tx.update(g, tx.init(w), w)
    >>> round(float(jnp.linalg.norm(w + updates)), 4)
    5.002

    Reference: Heo et al. 2021, arXiv:2006.08217; see ``scale_by_adamp``.
    """
    return optax.chain(scale_by_adamp(**options), step_size(learning_rate))
