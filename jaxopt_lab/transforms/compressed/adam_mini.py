"""Adam-mini: one second moment for each block of parameters."""
# Its examples wait for pytest --full.

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, get_args

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import errors, moments, trees
from jaxopt_lab.core.checks import (
    increment,
    is_integer,
    value_at,
)
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.finish import finished
from jaxopt_lab.core.options import DECAY, NON_NEGATIVE, check_arguments, takes
from jaxopt_lab.core.per_leaf import per_leaf
from jaxopt_lab.core.tree_paths import warn_of_idle_rules
from jaxopt_lab.core.typing import MaskOrFn, Params, ScalarOrSchedule
from jaxopt_lab.transforms.compressed.official_partition import official_blocks

Named = Literal["output", "row", "tensor", "element"]
Blocks: TypeAlias = Named | int | tuple[int, ...]
Partition: TypeAlias = (
    Literal["official"]
    | Sequence[tuple[str, Blocks]]
    | Callable[[str, jax.ShapeDtypeStruct], Blocks]
)


class ScaleByAdamMiniState(NamedTuple):
    """State of ``scale_by_adam_mini``; float32, or float64 for such parameters.

    Attributes:
      count: int32, number of updates so far.
      mu: first moment, shaped like the parameters; 4 bytes a parameter.
      nu: second moment, with 1 for every axis that a block runs along: (1, O) for a
        kernel (I, O) with a block for each output; 4 bytes a block.
    """

    count: jax.Array
    mu: Any
    nu: Any


def scale_by_adam_mini(
    *,
    b1: Annotated[ScalarOrSchedule, DECAY] = 0.9,
    b2: Annotated[ScalarOrSchedule, DECAY] = 0.999,
    eps: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 1e-8,
    partition: Partition | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""The direction of Adam-mini, to be followed by a decay and a learning rate.

    Of a block B of a tensor, after t steps:

    .. math::
        m_t = b_1 m_{t-1} + (1 - b_1) g_t, \quad
        v_t^B = b_2 v_{t-1}^B + (1 - b_2) \, \mathrm{mean}_{i \in B} \, g_{t,i}^2,
        \quad
        u_t^B = \frac{m_t^B / (1 - b_1^t)}{\sqrt{v_t^B / (1 - b_2^t)} + \epsilon}

    Args:
      b1: decay of the first moment, in [0, 1); a number, a traced scalar or a schedule
        of the number of updates, as are ``b2`` and ``eps``.
      b2: decay of the second, in [0, 1).
      eps: added to the root of the second moment, after the bias correction.
      partition: the blocks of each leaf: pairs ``(regular expression, blocks)``, the
        first of which that is found in the path ``"encoder/0/kernel"`` counts; or a
        function of the path and of the leaf's shape and dtype. Blocks are

        * ``"output"``: one for each entry of the last axis, the output neurons of a
          Flax kernel;
        * ``"row"``: one for each entry of the first, the tokens of an embedding;
        * ``"tensor"``: the whole;
        * ``"element"``: each parameter for itself, which is Adam;
        * a whole number: so many equal parts of the last axis, the heads of a query or
          key;
        * a tuple of axes along which blocks lie apart: ``(1,)`` for the heads of a
          kernel (width, heads, head width), ``(0, 2)`` for the outputs of stacked
          layers (layers, I, O).

        Default, and where no rule is found: ``"output"`` for two axes and more, else
        ``"tensor"``. No names are guessed: of a transformer, embeddings, queries and
        keys want a rule. ``"official"``: by names, as the official code, see below.

    Returns:
      The link.

    Raises:
      InputError: an argument is out of range, blocks are unknown or do not fit, or a
        rule fits no parameter.

    Memory: 4 bytes a parameter and 4 a block. Gradient evaluations: 1 a step.
    Differentiable in everything, also at zero gradients.

    Decisions: the default is the paper's partition, by the structure of the Hessian and
    without names, which JAX's libraries do not share. The official code goes by names
    of torch modules. Version 1.1.1 has plain Adam for biases, a block for each head of
    queries and keys, one for each row of embeddings and for each output of heads,
    values, projections and MLPs, and one for any other tensor:
    ``partition="official"``, by the same names. Before 1.0.3 it had plain Adam for
    embeddings and heads, and one block for every tensor but queries and keys.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> tx = jaxopt_lab.scale_by_adam_mini(partition=[("^embed", "row"), ("query", 4)])
    >>> params = {
    ...     "embed": jnp.ones((9, 8)),
    ...     "query": jnp.ones((8, 8)),
    ...     "up": jnp.ones((8, 32)),
    ... }
    >>> {name: v.shape for name, v in tx.init(params).nu.items()}
    {'embed': (9, 1), 'query': (1, 4, 1), 'up': (1, 32)}

    Reference: Zhang, Chen, Li, Ding, Wu, Kingma, Ye, Luo and Sun, "Adam-mini: Use Fewer
    Learning Rates To Gain More", ICLR 2025, arXiv:2406.16793.
    """
    check_arguments(scale_by_adam_mini, locals())

    def scalars(state: Any) -> _StepScalars:
        values = (jnp.asarray(value_at(x, state.count)) for x in (b1, b2, eps))
        return _StepScalars(increment(state.count), *values)

    @per_leaf(ScaleByAdamMiniState, _LeafState, scalars)
    def link(params: Params) -> list[_Cut]:
        named = [(trees.path_name(p), x) for p, x in trees.leaves_with_path(params)]
        if not (partition is None or callable(partition) or isinstance(partition, str)):
            rules = [rule for rule, _ in partition]
            warn_of_idle_rules("partition", rules, [name for name, _ in named])
        return [_cut(name, leaf, partition) for name, leaf in named]

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


class _Cut(NamedTuple):
    """A tensor as an array of blocks: its shape, and the axes inside of a block.

    A ``LeafMethod``.
    """

    shape: tuple[int, ...]
    inside: tuple[int, ...]

    def init(self, leaf: jax.Array) -> _LeafState:
        # Of the parameter itself where its axes are kept: shardings stay.
        wide = moments.zeros_of_squares(leaf)
        if wide.shape != self.shape:
            wide = jnp.zeros(self.shape, wide.dtype)
        nu = jnp.sum(wide, self.inside, keepdims=True)
        return _LeafState(moments.zeros(leaf), nu)

    def update(
        self, g: jax.Array, state: _LeafState, p: None, scalars: _StepScalars
    ) -> tuple[jax.Array, _LeafState]:
        del p
        (mu, nu), (count, b1, b2, eps) = state, scalars
        mu = moments.average(mu, g, b1)
        squares = moments.squared(g, nu.dtype).reshape(self.shape)
        size = max(1, math.prod(self.shape[axis] for axis in self.inside))
        mean = jnp.sum(squares, self.inside, keepdims=True) / size
        nu = moments.average(nu, mean, b2)
        u = moments.corrected_direction(mu.reshape(self.shape), nu, count, b1, b2, eps)
        return u.reshape(g.shape).astype(g.dtype), _LeafState(mu, nu)


def _cut(name: str, leaf: jax.Array, partition: Partition | None) -> _Cut:
    shape, last = leaf.shape, leaf.ndim - 1
    blocks: Any = "output" if leaf.ndim >= 2 else "tensor"
    if partition == "official":
        partition = official_blocks
    if isinstance(partition, str):
        raise errors.unknown("partition", partition, ["official"])
    if callable(partition):
        blocks = partition(name, jax.ShapeDtypeStruct(shape, leaf.dtype))
    elif partition is not None:
        found = (how for rule, how in partition if re.search(rule, name))
        blocks = next(found, blocks)
    if isinstance(blocks, str):
        if blocks not in get_args(Named):
            raise errors.unknown(f"blocks of {name}", blocks, get_args(Named))
        blocks = {
            "output": (last,) if shape else (),
            "row": (0,) if shape else (),
            "tensor": (),
            "element": tuple(range(leaf.ndim)),
        }[blocks]
    elif is_integer(blocks):
        if not shape or blocks < 1 or shape[-1] % blocks:
            raise InputError(
                f"{blocks} blocks of {name} must divide its last axis; its shape is "
                f"{shape}"
            )
        shape, blocks = (*shape[:-1], blocks, shape[-1] // blocks), (last,)
    if not isinstance(blocks, tuple):
        raise InputError(
            f"blocks of {name} must be a name, a whole number or a tuple of axes; got "
            f"{blocks!r}"
        )
    if any(not -leaf.ndim <= axis < leaf.ndim for axis in blocks):
        raise InputError(
            f"blocks of {name} lie along axes {blocks}; it has {leaf.ndim}"
        )
    apart = {axis % len(shape) for axis in blocks}
    return _Cut(shape, tuple(axis for axis in range(len(shape)) if axis not in apart))


@takes(scale_by_adam_mini)
def adam_mini(
    learning_rate: Annotated[ScalarOrSchedule, NON_NEGATIVE],
    *,
    weight_decay: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.0,
    mask: MaskOrFn | None = None,
    **options: Any,
) -> optax.GradientTransformationExtraArgs:
    """Adam-mini: Adam with one second moment for each block of parameters.

    ``chain(scale_by_adam_mini, weight decay, learning rate)``.

    Args:
      learning_rate: step size; a number, a traced scalar or a schedule.
      weight_decay: decoupled decay, times the step size.
      mask: which parameters decay: a tree of booleans or a function of the parameters
        that gives one. Default: all.
      **options: arguments of ``scale_by_adam_mini``.

    Returns:
      The optimizer. Its ``update`` needs ``params``.

    Raises:
      InputError: an argument is out of range, or blocks are unknown or do not fit.

    Gradient evaluations: 1 a step. Memory: 4 bytes a parameter and 4 a block.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> tx, w = jaxopt_lab.adam_mini(0.1), jnp.zeros((2, 1))
    >>> updates, _ = tx.update(jnp.array([[1.0], [7.0]]), tx.init(w), w)
    >>> [round(float(u), 3) for u in updates[:, 0]]  # the root mean square is 5
    [-0.02, -0.14]

    Reference: Zhang et al. 2024, arXiv:2406.16793; see ``scale_by_adam_mini``.
    """
    link = scale_by_adam_mini(**options)
    return finished(link, learning_rate, weight_decay, mask)
