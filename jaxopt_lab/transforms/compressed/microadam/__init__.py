"""MicroAdam: Adam on a window of sparse gradients, with a 4-bit error."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Any

import optax

from jaxopt_lab.core.options import NON_NEGATIVE, takes
from jaxopt_lab.core.typing import MaskOrFn, ScalarOrSchedule
from jaxopt_lab.transforms.compressed.microadam.state import MicroAdam


@takes(MicroAdam, omit=("learning_rate", "weight_decay", "mask"))
def scale_by_microadam(**options: Any) -> optax.GradientTransformationExtraArgs:
    r"""The direction of MicroAdam, to be followed by a decay and a learning rate.

    Each step adds the decoded error to the gradient, takes the largest magnitudes of
    every block out of the sum into a window of the last steps, and keeps the rest as
    the error, in 4 bits. Both moments are computed from the window:

    .. math::
        a_t = g_t + Q^{-1}(e_{t-1}), \quad
        V_t = \mathrm{Top}_k(a_t), \quad e_t = Q(a_t - V_t),

        \hat m_t = \frac{1 - b_1}{1 - b_1^t} \sum_{i < \min(t, w)} b_1^i V_{t-i}, \quad
        \hat v_t = \frac{1 - b_2}{1 - b_2^t} \sum_{i < \min(t, w)} b_2^i V_{t-i}^2,
        \quad u_t = \frac{\hat m_t}{\sqrt{\hat v_t} + \epsilon}.

    Args:
      **options: those of ``MicroAdam``; w is the ``window``.

    Returns:
      The link. Window and error advance with every call, so it must only be called on
      real steps, as ``optax.MultiSteps`` and ``optax.apply_if_finite`` do.

    Raises:
      InputError: an argument is out of range or unknown.

    Memory: 1/2 + 4 window density + 4 / quant_block bytes per parameter, 0.96. On CPU
    and on one TPU a step needs temporaries of a few chunks and 4 bytes per parameter
    for the updates. Gradient evaluations: 1 a step.

    Sharding: the blocks come from the global shape alone, so the steps do not depend
    on the mesh. Tensors sharded along the first axis, whole blocks to a shard, are
    updated where they are and nothing is sent; of others the sum of gradient and
    error may be gathered. Meshes of explicit axes are served as those of automatic
    ones.

    Derivatives: picks and codes are constant almost everywhere, so the derivative of a
    run is the plain one; in float64 it equals finite differences. In float32 the
    window and the ranges of the error are stored as bits, and what is no float has no
    tangent in JAX: the derivative of a step is that with the old state fixed, exact
    and finite, and a run passes it on through the parameters alone. To differentiate
    a run, take ``straight_through=True``.

    Decisions: the block of the official code depends on the hardware (half of the
    shared memory of a GPU's block of threads); ours is 4096. Its arithmetic is
    bfloat16 everywhere; here the sum a is rounded to the type of the gradient and
    all else is float32 with the window and the ranges in bfloat16. A range rounded to
    bfloat16 need not enclose its block, so codes are clipped. As in the paper and the
    code the bias correction counts all steps, not those of the window: where a
    coordinate is picked at every step, u grows to
    :math:`(1 - b_1^w) / \sqrt{1 - b_2^w}`, 6.5, so the learning rate is not that of
    Adam; ``window_bias_correction`` makes it 1. Equal magnitudes: the lowest index
    first. The code's ``alpha = -2`` is not offered.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> tx = jaxopt_lab.scale_by_microadam(density=0.25)
    >>> grads = {"w": jnp.array([0.1, -3.0, 0.2, 0.5])}
    >>> updates, state = tx.update(grads, tx.init(grads))
    >>> updates["w"].round(3).tolist()
    [0.0, -1.0, 0.0, 0.0]

    Reference: Modoranu, Safaryan, Malinovsky, Kurtic, Robert, Richtarik and Alistarh,
    "MicroAdam: Accurate Adaptive Optimization with Low Space Overhead and Provable
    Convergence", NeurIPS 2024, arXiv:2405.15593. Code followed:
    IST-DASLab/ISTA-DASLab-Optimizers.
    """
    return MicroAdam(**options).transformation()


@takes(scale_by_microadam)
def microadam(
    learning_rate: Annotated[ScalarOrSchedule, NON_NEGATIVE],
    *,
    weight_decay: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.0,
    mask: MaskOrFn | None = None,
    **options: Any,
) -> optax.GradientTransformationExtraArgs:
    r"""MicroAdam: Adam with 0.96 bytes of state per parameter.

    .. math:: w_t = w_{t-1} - \eta (u_t + \lambda w_{t-1})

    with the direction u of ``scale_by_microadam``, where all other arguments, the
    decisions and the derivatives are described. This is the chain of that link,
    ``optax.add_decayed_weights`` and ``optax.scale_by_learning_rate`` in one loop, so
    that the train step can take the new parameters from it (fused apply).

    Args:
      learning_rate: step size; a number, a traced scalar or a schedule of the number
        of updates. Not that of Adam: tune it.
      weight_decay: decoupled decay, times the step size.
      mask: which parameters decay: a tree of booleans or a function of the parameters
        that gives one. Default: all.
      **options: arguments of ``scale_by_microadam``.

    Returns:
      The optimizer. Its ``update`` needs ``params``; given ``fused_apply``, it
      records the new parameters.

    Raises:
      InputError: an argument is out of range or unknown, a mask does not fit, or
        ``params`` is missing.

    Memory: as ``scale_by_microadam``; with the fused apply the updates
    cost nothing. Gradient evaluations: 1 a step.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> from jaxopt_lab.core import trees
    >>> params = {"kernel": jnp.ones((512, 512)), "bias": jnp.ones(512)}
    >>> state = jaxopt_lab.microadam(1e-3).init(params)
    >>> round(trees.nbytes(state) / trees.count(params), 2)
    0.96

    Reference: Modoranu et al., "MicroAdam: Accurate Adaptive Optimization with Low
    Space Overhead and Provable Convergence", NeurIPS 2024, arXiv:2405.15593.
    """
    return MicroAdam(
        **options, learning_rate=learning_rate, weight_decay=weight_decay, mask=mask
    ).transformation()
