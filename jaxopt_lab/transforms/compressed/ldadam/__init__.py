"""LDAdam: Adam in a low-dimensional subspace that follows the gradients."""

from __future__ import annotations

import optax

from jaxopt_lab.core.typing import MaskOrFn, ScalarOrSchedule
from jaxopt_lab.transforms.compressed.ldadam.chunks import CHUNK
from jaxopt_lab.transforms.compressed.ldadam.kernel import (
    Factorization,
    How,
    Projector,
    Start,
)
from jaxopt_lab.transforms.compressed.ldadam.leaf import Error
from jaxopt_lab.transforms.compressed.ldadam.state import LDAdam
from jaxopt_lab.transforms.compressed.low_rank import Side
from jaxopt_lab.transforms.compressed.storage import Store


def scale_by_ldadam(
    rank: int = 16,
    *,
    b1: ScalarOrSchedule = 0.908,
    b2: ScalarOrSchedule = 0.99,
    eps: ScalarOrSchedule = 1e-8,
    rho: ScalarOrSchedule = 0.908,
    error: Error = "float32",
    projector: Projector = "std",
    start: Start = "power",
    side: Side = "smaller",
    factorization: Factorization = "qr",
    low_rank: MaskOrFn | None = None,
    stacked: MaskOrFn | None = None,
    store: Store = "codes",
    chunk: int | None = CHUNK,
) -> optax.GradientTransformationExtraArgs:
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
      rank: columns of P; at most the projected side, see ``low_rank``.
      b1: decay of the first moment, in [0, 1); a number, a traced scalar or a schedule
        of the number of updates, as are ``b2``, ``eps`` and ``rho``.
      b2: decay of the second, in [0, 1).
      eps: added to the root of the second moment, after the bias correction.
      rho: weight of the past in the search for the subspace, in [0, 1].
      error: how E is kept: ``"float32"`` (float64 for float64 parameters),
        ``"bfloat16"``, ``"4-bit"`` (between minimum and maximum of 64 elements), or
        ``"none"``: no error feedback.
      projector: ``"std"``, one power iteration from P'; ``"svd"``, the left singular
        vectors of A.
      start: the first P: ``"power"``, four power iterations from a fixed basis; or
        ``"svd"`` of the first gradient, as the official code. The space that the
        decomposition needs then counts in the program of every step.
      side: which side is projected: ``"smaller"`` (the rows of a square matrix),
        ``"left"`` (rows) or ``"right"`` (columns). The kernel of a Flax layer is the
        transpose of a torch weight, so a square one needs ``"right"`` to be treated
        as there.
      factorization: ``"qr"``; or ``"cholesky"``, which needs no gathering of a sharded
        matrix but full-rank gradients.
      low_rank: which leaves are projected: a tree of booleans or a function of the
        parameters that gives one. Default: matrices and kernels whose sides are both
        above ``rank``. All others are dense: Adam with the same decays. A chosen
        matrix with a smaller side gets that as its rank. The paper leaves embeddings,
        heads and norms dense.
      stacked: leaves whose first axis counts equal layers (``nn.scan``), each a matrix
        by itself. Default: none.
      store: ``"codes"``; or ``"values"``, which keeps a rounded error as numbers so
        that its derivative passes straight through: the same trajectory, no memory
        saved.
      chunk: elements that are updated at a time on CPU; ``None`` for whole matrices,
        which other devices always take.

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
    see ``store``.

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
    return LDAdam(
        learning_rate=None,
        rank=rank,
        b1=b1,
        b2=b2,
        eps=eps,
        rho=rho,
        weight_decay=0.0,
        error=error,
        side=side,
        how=How(projector, start, factorization),
        low_rank=low_rank,
        stacked=stacked,
        mask=None,
        store=store,
        chunk=chunk,
    ).transformation()


def ldadam(
    learning_rate: ScalarOrSchedule,
    rank: int = 16,
    *,
    b1: ScalarOrSchedule = 0.908,
    b2: ScalarOrSchedule = 0.99,
    eps: ScalarOrSchedule = 1e-8,
    rho: ScalarOrSchedule = 0.908,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: MaskOrFn | None = None,
    error: Error = "float32",
    projector: Projector = "std",
    start: Start = "power",
    side: Side = "smaller",
    factorization: Factorization = "qr",
    low_rank: MaskOrFn | None = None,
    stacked: MaskOrFn | None = None,
    store: Store = "codes",
    chunk: int | None = CHUNK,
) -> optax.GradientTransformationExtraArgs:
    r"""LDAdam: Adam with its moments in a subspace of each matrix.

    .. math:: w_t = w_{t-1} - \eta (D_t + \lambda w_{t-1})

    with the direction D of ``scale_by_ldadam``, where all other arguments, the
    decisions, the memory and the derivatives are described.

    Args:
      learning_rate: step size; a number, a traced scalar or a schedule of the number
        of updates.
      rank: dimension of the subspaces.
      b1: decay of the first moment.
      b2: decay of the second.
      eps: added to the root of the second moment.
      rho: weight of the past in the search for the subspace.
      weight_decay: decoupled decay, times the step size.
      mask: which parameters decay: a tree of booleans or a function of the parameters
        that gives one. Default: all.
      error: ``"float32"``, ``"bfloat16"``, ``"4-bit"`` or ``"none"``.
      projector: ``"std"`` or ``"svd"``.
      start: ``"power"`` or ``"svd"``.
      side: ``"smaller"``, ``"left"`` or ``"right"``.
      factorization: ``"qr"`` or ``"cholesky"``.
      low_rank: which leaves are projected.
      stacked: leaves whose first axis counts equal layers.
      store: ``"codes"`` or ``"values"``.
      chunk: elements that are updated at a time on CPU; ``None`` for whole matrices.

    Returns:
      The optimizer. Its ``update`` needs ``params``; given ``fused_apply``, it
      records the new parameters.

    Raises:
      InputError: an argument is out of range or unknown, a mask does not fit, or
        ``params`` is missing.

    Gradient evaluations: 1 a step.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> from jaxopt_lab import trees
    >>> params = {"kernel": jnp.ones((512, 512)), "bias": jnp.ones(512)}
    >>> state = jaxopt_lab.ldadam(1e-3, error="4-bit").init(params)
    >>> round(trees.nbytes(state) / trees.count(params), 2)
    0.95

    Reference: Robert, Safaryan, Modoranu and Alistarh, "LDAdam: Adaptive Optimization
    from Low-Dimensional Gradient Statistics", ICLR 2025, arXiv:2410.16103.
    """
    return LDAdam(
        learning_rate=learning_rate,
        rank=rank,
        b1=b1,
        b2=b2,
        eps=eps,
        rho=rho,
        weight_decay=weight_decay,
        error=error,
        side=side,
        how=How(projector, start, factorization),
        low_rank=low_rank,
        stacked=stacked,
        mask=mask,
        store=store,
        chunk=chunk,
    ).transformation()
