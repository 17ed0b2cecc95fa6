"""APOLLO: the gradient, scaled as Adam scales it in a random subspace."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import trees
from jaxopt_lab.core.checks import increment, value_at
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.finish import finished
from jaxopt_lab.core.options import (
    COUNT,
    DECAY,
    NON_NEGATIVE,
    POSITIVE_OR_INFINITE,
    check_arguments,
    takes,
)
from jaxopt_lab.core.per_leaf import per_leaf
from jaxopt_lab.core.typing import MaskOrFn, Params, ScalarOrSchedule
from jaxopt_lab.transforms.compressed.apollo.kernel import (
    Dense,
    LeafState,
    Matrix,
    ScaleGranularity,
    StepScalars,
)
from jaxopt_lab.transforms.compressed.columns import (
    static_mask,
)
from jaxopt_lab.transforms.compressed.low_rank import Layout


class ScaleByApolloState(NamedTuple):
    """State of ``scale_by_apollo``; float32, or float64 for such parameters.

    The moments and norms are trees like the parameters. Of a matrix with the smaller
    side p and the larger side q; a stack of matrices has one more axis in front.

    Attributes:
      count: int32, number of updates so far.
      key: typed key that every projection is drawn from.
      mu: ``(rank, q)``, first moment of the projected gradient; of any other leaf its
        own. 4 rank / p bytes a parameter, or 4.
      nu: likewise the second moment.
      norm: scalar, or ``(layers,)``: norm of the last direction, before ``scale``.
    """

    count: jax.Array
    key: jax.Array
    mu: Any
    nu: Any
    norm: Any


def scale_by_apollo(
    *,
    rank: Annotated[int, COUNT] = 16,
    gap: Annotated[int, COUNT] = 200,
    scale: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 1.0,
    granularity: ScaleGranularity = "channel",
    b1: Annotated[ScalarOrSchedule, DECAY] = 0.9,
    b2: Annotated[ScalarOrSchedule, DECAY] = 0.999,
    eps: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 1e-8,
    growth: Annotated[ScalarOrSchedule, POSITIVE_OR_INFINITE] = 1.01,
    seed: int = 0,
    low_rank: MaskOrFn | None = None,
    stacked: MaskOrFn | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""The direction of APOLLO, to be followed by a decay and a learning rate.

    For a matrix with the gradient G (p, q), p <= q, and a random P (rank, p):

    .. math::
        R_t = P G_t, \quad
        \tilde R_t = \mathrm{Adam}(R_t), \quad
        s_j = \frac{\|\tilde R_t[:, j]\|}{\|R_t[:, j]\|}, \quad
        D_t = G_t \, \mathrm{diag}(s) \, \min\!\Big(1,
            \frac{\gamma \|D_{t-1}\|}{\|G_t \, \mathrm{diag}(s)\|}\Big), \quad
        u_t = \alpha D_t

    with one s from the norms of the whole matrices for ``granularity="tensor"``.
    APOLLO-Mini is ``rank=1, granularity="tensor", scale=128 ** 0.5``.

    Args:
      rank: rows of P. One above the smaller side is cut to that, so that the state is
        never more than Adam's; the direction is still APOLLO's. The paper takes a
        quarter of the width, and 1 for APOLLO-Mini.
      gap: steps that a projection is kept for. The moments go on from one to the next.
      scale: alpha; a number, a traced scalar or a schedule of the number of updates,
        as are ``b1``, ``b2``, ``eps`` and ``growth``.
      granularity: ``"channel"``, an s for each entry of the larger side; ``"tensor"``.
      b1: decay of the first moment, in [0, 1).
      b2: decay of the second, in [0, 1).
      eps: added to the root of the second moment, after the bias correction.
      growth: gamma, how much longer a direction may be than the one before it;
        ``float("inf")``: as long as it likes.
      seed: of the projections. P depends on it, on the number of the matrix among
        those that are projected and on the number of updates alone, and is drawn again
        in every step: it is never stored.
      low_rank: which leaves are projected: a tree of booleans or a function of the
        parameters that gives one. Default: all of two axes and more. The others are
        dense: Adam with the same decays, without ``scale`` and ``growth``.
      stacked: leaves whose first axis counts equal layers (``nn.scan``), each a matrix
        with a projection and a norm of its own. Default: none.

    Returns:
      The link.

    Raises:
      InputError: an argument is out of range or unknown, or a mask does not fit.

    A kernel of more than two axes is the matrix of its last axis against all others,
    for a convolution (H W I, O). Of a square matrix the rows are projected.

    Memory: 8 rank / p bytes a parameter of a matrix with the smaller side p; 8 for
    dense leaves. Gradient evaluations: 1 a step, and about 2 rank operations a
    parameter. Differentiable in all numbers, also at zero gradients; where G or
    R is zero s is 0.

    Decisions, all by the paper: the moments are corrected for their bias before the
    norms are taken; ``scale`` is alpha itself (the authors' code is remembered, not
    read here, to take its square root, 128 for APOLLO-Mini, to add 1e-8 to norms, and
    to correct the bias behind the limiter). A last direction of zero limits nothing,
    or the leaf would stand still ever after.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> tx = jaxopt_lab.scale_by_apollo(rank=2)
    >>> state = tx.init({"kernel": jnp.ones((8, 32)), "bias": jnp.ones(32)})
    >>> state.mu["kernel"].shape, state.mu["bias"].shape
    ((2, 32), (32,))

    Reference: Zhu, Zhang, Cong, Liu, Park, Chandra, Long, Pan, Wang and Lee, "APOLLO:
    SGD-like Memory, AdamW-level Performance", MLSys 2025, arXiv:2412.05270.
    """
    check_arguments(scale_by_apollo, locals())

    def scalars(state: Any) -> StepScalars:
        now = (value_at(x, state.count) for x in (b1, b2, eps, scale, growth))
        count = increment(state.count)
        refresh = state.count // gap
        return StepScalars(
            count, *map(jnp.asarray, now), key=state.key, refresh=refresh
        )

    constants = lambda: {"key": jax.random.key(seed)}

    @per_leaf(
        ScaleByApolloState, LeafState, scalars, constants=constants, real="apollo"
    )
    def link(params: Params) -> list[Dense | Matrix]:
        leaves = trees.leaves_with_path(params)
        layers = static_mask(stacked, params, "stacked", default=False)
        chosen = static_mask(low_rank, params, "low_rank", default=None)
        made: list[Dense | Matrix] = []
        index = 0
        for (path, leaf), stack, low in zip(leaves, layers, chosen, strict=True):
            layout = Layout.of(leaf.shape, stack, "smaller")
            if low and not layout.is_matrix:
                raise InputError(
                    f"low_rank chose {trees.path_name(path)}, of shape {leaf.shape}, "
                    "which is no matrix"
                )
            if low is False or not layout.is_matrix:
                made.append(Dense())
                continue
            made.append(Matrix(layout, rank, granularity, index))
            index += 1
        return made

    return link


@takes(scale_by_apollo)
def apollo(
    learning_rate: Annotated[ScalarOrSchedule, NON_NEGATIVE],
    *,
    weight_decay: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.0,
    mask: MaskOrFn | None = None,
    **options: Any,
) -> optax.GradientTransformationExtraArgs:
    """APOLLO, and APOLLO-Mini.

    ``chain(scale_by_apollo, weight decay, learning rate)``.

    Args:
      learning_rate: step size; a number, a traced scalar or a schedule.
      weight_decay: decoupled decay, times the step size.
      mask: which parameters decay: a tree of booleans or a function of the parameters
        that gives one. Default: all.
      **options: arguments of ``scale_by_apollo``.

    Returns:
      The optimizer. Its ``update`` needs ``params``.

    Raises:
      InputError: an argument is out of range or unknown, or a mask does not fit.

    Gradient evaluations: 1 a step. Memory: 8 rank / p bytes a parameter.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> mini = dict(rank=1, granularity="tensor", scale=128**0.5)
    >>> state = jaxopt_lab.apollo(1e-3, **mini).init(jnp.ones((512, 512)))
    >>> state[0].mu.shape
    (1, 512)

    Reference: Zhu et al. 2024, arXiv:2412.05270; see ``scale_by_apollo``.
    """
    link = scale_by_apollo(**options)
    return finished(link, learning_rate, weight_decay, mask)
