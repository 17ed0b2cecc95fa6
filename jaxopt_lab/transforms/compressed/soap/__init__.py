"""SOAP: Adam in the eigenbases of Shampoo's factors."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import moments, trees
from jaxopt_lab.core.checks import value_at
from jaxopt_lab.core.finish import finished
from jaxopt_lab.core.options import COUNT, DECAY, NON_NEGATIVE, check_arguments, takes
from jaxopt_lab.core.per_leaf import per_leaf
from jaxopt_lab.core.typing import MaskOrFn, Params, ScalarOrSchedule
from jaxopt_lab.transforms.compressed.columns import (
    static_mask,
)
from jaxopt_lab.transforms.compressed.low_rank import Layout
from jaxopt_lab.transforms.compressed.soap import kernel as soap_kernel
from jaxopt_lab.transforms.compressed.soap.kernel import LeafState


class ScaleBySoapState(NamedTuple):
    """State of ``scale_by_soap``; float32, or float64 for such parameters.

    Each attribute but the count is a tree like the parameters. Of a matrix (p, q); a
    stack of matrices has one more axis in front. A side without a basis has a scalar
    zero instead of each of its arrays, as have leaves that are no matrices.

    Attributes:
      count: int32, number of updates so far.
      mu: first moment, shaped like the parameters; 4 bytes a parameter.
      nu: second moment in the bases, likewise.
      left: ``(p, p)``, average of G G^T; 4 p / q bytes a parameter.
      right: ``(q, q)``, average of G^T G; 4 q / p.
      left_basis: ``(p, p)``, orthonormal columns; 4 p / q.
      right_basis: ``(q, q)``; 4 q / p.
    """

    count: jax.Array
    mu: Any
    nu: Any
    left: Any
    right: Any
    left_basis: Any
    right_basis: Any


def scale_by_soap(
    *,
    b1: Annotated[ScalarOrSchedule, DECAY] = 0.95,
    b2: Annotated[ScalarOrSchedule, DECAY] = 0.95,
    eps: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 1e-8,
    factor_decay: Annotated[ScalarOrSchedule | None, DECAY] = None,
    precondition_frequency: Annotated[int, COUNT] = 10,
    max_precondition_dim: Annotated[int, COUNT] = 10000,
    stacked: MaskOrFn | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""The direction of SOAP, to be followed by a decay and a learning rate.

    For a matrix with the gradient G (p, q) and the bases of the step before:

    .. math::
        m_t = b_1 m_{t-1} + (1 - b_1) G_t, \quad
        v_t = b_2 v_{t-1} + (1 - b_2) (Q_L^T G_t Q_R)^{\circ 2},

        u_t = Q_L \, \frac{Q_L^T m_t Q_R / (1 - b_1^t)}
            {\sqrt{v_t / (1 - b_2^t)} + \epsilon} \, Q_R^T,

        L_t = b_L L_{t-1} + (1 - b_L) G_t G_t^T, \quad
        R_t = b_L R_{t-1} + (1 - b_L) G_t^T G_t

    and every few steps :math:`Q_L = \mathrm{QR}(L_t Q_L)`, likewise the right one.

    Args:
      b1: decay of the first moment, in [0, 1); a number, a traced scalar or a schedule
        of the number of updates, as are ``b2``, ``eps`` and ``factor_decay``.
      b2: decay of the second, in [0, 1).
      eps: added to the root of the second moment, after the bias correction.
      factor_decay: b_L, decay of the factors. Default: ``b2``.
      precondition_frequency: steps between two refreshes of the bases.
      max_precondition_dim: a longer side has no basis, the other side still has; with
        none the matrix is dense.
      stacked: leaves whose first axis counts equal layers (``nn.scan``), each a matrix
        by itself. Default: none.

    Returns:
      The link.

    Raises:
      InputError: an argument is out of range, or a mask does not fit.

    A kernel of more than two axes is the matrix of its last axis against all others,
    for a convolution (H W I, O). Scalars and vectors are dense: Adam with the same
    decays.

    Memory: 8 + 8 (p / q + q / p) bytes a parameter, 24 for a square matrix; 8 for dense
    leaves. Gradient evaluations: 1 a step, and 6 (p + q) operations a parameter for
    the bases and 2 (p + q) for the factors; a refresh takes a QR factorisation of both
    sides.

    Derivatives: finite everywhere, also at zero gradients; the bases are taken for
    constant, because those of a zero matrix have no derivative.

    Decisions: as the official code, the first step of a matrix makes the bases, by an
    eigendecomposition, and moves nothing: a gradient must not be seen in bases made
    of itself. t counts the steps after it. It also sorts the basis at a refresh, and
    the second moment with it; the moments are not turned. It differs from that code
    where eps is added behind the bias correction, as in the paper's Adam; where a
    kernel is one matrix (there every axis has a basis); where dense leaves, and the
    decay, act in the first step too; where the decay acts on the parameters before
    the step (there on those after); where a basis of a factor of low rank is
    completed in a fixed way, see ``soap_kernel.eigenbasis``; and where entries in the
    bases below 8 rounding errors of the norm count as zero.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> tx = jaxopt_lab.scale_by_soap(max_precondition_dim=100)
    >>> state = tx.init({"kernel": jnp.ones((8, 128)), "bias": jnp.ones(128)})
    >>> state.left["kernel"].shape, state.right["kernel"].shape
    ((8, 8), ())

    Reference: Vyas, Morwani, Zhao, Kwun, Shapira, Brandfonbrener, Janson and Kakade,
    "SOAP: Improving and Stabilizing Shampoo using Adam", ICLR 2025, arXiv:2409.11321.
    Code followed: nikhilvyas/SOAP, ``soap.py`` of commit f42d296.
    """
    check_arguments(scale_by_soap, locals())
    third = b2 if factor_decay is None else factor_decay

    def scalars(state: Any) -> soap_kernel.StepScalars:
        at = [value_at(x, state.count) for x in (b1, b2, eps, third)]
        return soap_kernel.StepScalars.of(
            state.count, at[0], at[1], at[2], at[3], precondition_frequency
        )

    @per_leaf(ScaleBySoapState, LeafState, scalars, real="soap")
    def link(params: Params) -> list[_Leaf]:
        flat = jax.tree.leaves(params)
        layers = static_mask(stacked, params, "stacked", default=False)
        layouts = (
            Layout.of(x.shape, s, "left") for x, s in zip(flat, layers, strict=True)
        )
        return [_Leaf(layout, max_precondition_dim) for layout in layouts]

    return link


class _Leaf(NamedTuple):
    """SOAP of one leaf, a ``LeafMethod``."""

    layout: Layout
    longest: int

    @property
    def sides(self) -> tuple[bool, bool]:
        """Whether the left and the right side have a basis."""
        rows, columns = self.layout.matrix
        is_matrix = self.layout.is_matrix
        return is_matrix and rows <= self.longest, is_matrix and columns <= self.longest

    def init(self, param: jax.Array) -> LeafState:
        dtype = trees.accumulation_dtype(param.dtype)
        front = self.layout.shape[: self.layout.stacked]
        squares = [
            (*front, n, n) if has else ()
            for n, has in zip(self.layout.matrix, self.sides, strict=True)
        ]
        factors = [jnp.zeros(shape, dtype) for shape in squares]
        # Zero at first: nothing is turned before the first step makes them.
        bases = [jnp.zeros(shape, dtype) for shape in squares]
        return LeafState(moments.zeros(param), moments.zeros(param), *factors, *bases)

    def update(
        self,
        g: jax.Array,
        kept: LeafState,
        p: None,
        scalars: soap_kernel.StepScalars,
    ) -> tuple[jax.Array, LeafState]:
        """``(direction, what is kept now)``."""
        del p
        if not any(self.sides):
            adam = scalars.astype(kept.mu.dtype).adam
            u, mu, nu = adam.step(g, kept.mu, kept.nu)
            return u.astype(g.dtype), kept._replace(mu=mu, nu=nu)
        read, write = self.layout.read, self.layout.write
        squares = [
            x if has else None for x, has in zip(kept[2:], self.sides * 2, strict=True)
        ]
        old = LeafState(read(kept.mu), read(kept.nu), *squares)
        one = lambda g, old: soap_kernel.step(g, old, scalars)
        run = jax.vmap(one) if self.layout.stacked else one
        u, new = run(read(g.astype(kept.mu.dtype)), old)
        squares = [
            was if now is None else now
            for was, now in zip(kept[2:], new[2:], strict=True)
        ]
        now = LeafState(write(new.mu), write(new.nu), *squares)
        return write(u).astype(g.dtype), now


@takes(scale_by_soap)
def soap(
    learning_rate: Annotated[ScalarOrSchedule, NON_NEGATIVE],
    *,
    weight_decay: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.0,
    mask: MaskOrFn | None = None,
    **options: Any,
) -> optax.GradientTransformationExtraArgs:
    """SOAP: Adam in the eigenbases of Shampoo's factors.

    ``chain(scale_by_soap, weight decay, learning rate)``.

    Args:
      learning_rate: step size; a number, a traced scalar or a schedule. The authors
        take 3e-3.
      weight_decay: decoupled decay, times the step size. The authors take 0.01.
      mask: which parameters decay: a tree of booleans or a function of the parameters
        that gives one. Default: all.
      **options: arguments of ``scale_by_soap``.

    Returns:
      The optimizer. Its ``update`` needs ``params``. The first step of a matrix moves
      nothing but the decay.

    Raises:
      InputError: an argument is out of range, or a mask does not fit.

    Gradient evaluations: 1 a step. Memory: 8 + 8 (p / q + q / p) bytes a parameter.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> from jaxopt_lab.core import trees
    >>> params = {"kernel": jnp.ones((128, 128)), "bias": jnp.ones(128)}
    >>> state = jaxopt_lab.soap(3e-3).init(params)
    >>> round(trees.nbytes(state) / trees.count(params), 1)
    23.9

    Reference: Vyas et al. 2024, arXiv:2409.11321; see ``scale_by_soap``.
    """
    link = scale_by_soap(**options)
    return finished(link, learning_rate, weight_decay, mask)
