"""LDAdam: Adam in a low-dimensional subspace that follows the gradients."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Any

import optax

from jaxopt_lab.core.options import NON_NEGATIVE, takes
from jaxopt_lab.core.typing import MaskOrFn, ScalarOrSchedule
from jaxopt_lab.transforms.compressed.ldadam.state import LDAdam


@takes(LDAdam, omit=("learning_rate", "weight_decay", "mask"))
def scale_by_ldadam(**options: Any) -> optax.GradientTransformationExtraArgs:
    r"""The direction of LDAdam, to be followed by a decay and a learning rate.

    For a matrix with the gradient g (p, q), p <= q, and after c steps:

    .. math::
        G = g + E, \quad A = \rho P' \frac{m}{1 - b_1^c} + (1 - \rho) G, \quad
        P = \mathrm{orth}(A A^T P'), \quad R = P^T P',

        \tilde m = R m, \quad
        E = G - P P^T G + \frac{b_1}{1 - b_1} (P' m - P \tilde m),

        \tilde v = (1 - b_2^c) \Big| R^{\circ 2} \Big( \frac{v}{1 - b_2^c} -
            \Big(\frac{m}{1 - b_1^c}\Big)^2 \Big) +
            \Big(\frac{\tilde m}{1 - b_1^c}\Big)^2 \Big|,

    then the moments of :math:`P^T G` go on from :math:`\tilde m, \tilde v`, and the
    direction is P times that of Adam. P' is the basis of the step before.

    Args:
      **options: those of ``LDAdam``; P has ``rank`` columns, E is kept as ``error``
        says.

    Returns:
      The link. Error and basis advance with every call, so it must only be called on
      real steps, as ``optax.MultiSteps`` and ``optax.apply_if_finite`` do.

    Raises:
      InputError: an argument is out of range or unknown, or a mask does not fit.

    A kernel of more than two axes is the matrix of its last axis against all others,
    for a convolution (H W I, O).

    Memory: 4 rank (p + 2 q) / (p q) bytes per parameter of a matrix, and for the error
    4, 2, 0.56 or 0; 8 for dense leaves. With rank 16 and 1024 x 4096: 0.13 without
    error. On CPU a step needs temporaries of a few pieces and, with no fused apply of
    the parameters, 4 bytes per parameter for the updates; elsewhere, and where blocks
    of the error do not fit a matrix's rows, it works on whole matrices.
    Gradient evaluations: 1 a step, and about 12 rank operations a parameter.

    Derivatives: through the QR factorisation, where its columns are independent; the
    singular vectors are taken for constant. In float32 a rounded error passes none on:
    see ``straight_through``.

    Decisions: as the official code, except for the start. There the gradient of the
    next step is added to E before anything else sees it, so clipping clips G; a link
    in front of this one sees g. P and the moments are float32 or better. The step is
    the same whatever the signs of the columns of P, so any QR will do.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> tx = jaxopt_lab.scale_by_ldadam(rank=2)
    >>> params = {"kernel": jnp.ones((8, 32)), "bias": jnp.ones(32)}
    >>> state = tx.init(params)
    >>> state.projector["kernel"].shape, state.mu["kernel"].shape
    ((8, 2), (2, 32))

    Reference: Robert, Safaryan, Modoranu and Alistarh, "LDAdam: Adaptive Optimization
    from Low-Dimensional Gradient Statistics", ICLR 2025, arXiv:2410.16103. Code
    followed: IST-DASLab/LDAdam.
    """
    return LDAdam(**options).transformation()


@takes(scale_by_ldadam)
def ldadam(
    learning_rate: Annotated[ScalarOrSchedule, NON_NEGATIVE],
    *,
    weight_decay: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.0,
    mask: MaskOrFn | None = None,
    **options: Any,
) -> optax.GradientTransformationExtraArgs:
    r"""LDAdam: Adam with its moments in a subspace of each matrix.

    .. math:: w_t = w_{t-1} - \eta (D_t + \lambda w_{t-1})

    with the direction D of ``scale_by_ldadam``, where all other arguments, the
    decisions, the memory and the derivatives are described.

    Args:
      learning_rate: step size; a number, a traced scalar or a schedule of the number
        of updates.
      weight_decay: decoupled decay, times the step size.
      mask: which parameters decay: a tree of booleans or a function of the parameters
        that gives one. Default: all.
      **options: arguments of ``scale_by_ldadam``.

    Returns:
      The optimizer. Its ``update`` needs ``params``; given ``fused_apply``, it
      records the new parameters.

    Raises:
      InputError: an argument is out of range or unknown, a mask does not fit, or
        ``params`` is missing.

    Gradient evaluations: 1 a step.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> from jaxopt_lab.core import trees
    >>> params = {"kernel": jnp.ones((512, 512)), "bias": jnp.ones(512)}
    >>> state = jaxopt_lab.ldadam(1e-3, error="4-bit").init(params)
    >>> round(trees.nbytes(state) / trees.count(params), 2)
    0.95

    Reference: Robert, Safaryan, Modoranu and Alistarh, "LDAdam: Adaptive Optimization
    from Low-Dimensional Gradient Statistics", ICLR 2025, arXiv:2410.16103.
    """
    return LDAdam(
        **options, learning_rate=learning_rate, weight_decay=weight_decay, mask=mask
    ).transformation()
