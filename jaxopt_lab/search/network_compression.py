"""N2N: smaller networks from a table of layers, by removal and shrinkage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.options import (
    COUNT,
    NON_NEGATIVE,
    POSITIVE,
    check_arguments,
)
from jaxopt_lab.search.space import Choice

FACTORS = (0.25, 0.5, 0.5, 0.5, 0.5, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Factors of the published table; 0.5 is in it five times."""
KAIMING = jax.nn.initializers.he_normal()


class ConvSpec(NamedTuple):
    """A convolution with a ReLU behind it.

    Attributes:
      kernel: size of the window, in both directions.
      outputs: output channels.
      stride: of the window; the padding keeps the size but for it.
    """

    kernel: int
    outputs: int
    stride: int = 1


def removable(specs: Sequence[ConvSpec]) -> tuple[int, ...]:
    """Places of the layers that may be removed: not the first, and no strided one.

    Args:
      specs: the table.

    Returns:
      Places.

    >>> removable([ConvSpec(3, 8), ConvSpec(3, 8), ConvSpec(3, 16, 2)])
    (1,)
    """
    return tuple(i for i, spec in enumerate(specs) if i and spec.stride == 1)


def removal_space(specs: Sequence[ConvSpec]) -> dict[str, Choice]:
    """The space of removals: ``keep_i`` for every layer that may be removed.

    Args:
      specs: the table.

    Returns:
      Dimensions for a search such as ``reinforce``.

    Raises:
      InputError: no layer may be removed.

    >>> list(removal_space([ConvSpec(3, 8), ConvSpec(3, 8)]))
    ['keep_1']
    """
    found = {f"keep_{i}": Choice((True, False)) for i in removable(_checked(specs))}
    if not found:
        raise InputError("specs must have a layer that may be removed; got none")
    return found


def shrink_space(
    specs: Sequence[ConvSpec], factors: Sequence[float] = FACTORS
) -> dict[str, Choice]:
    """The space of shrinkages: ``kernel_i`` and ``outputs_i`` of every layer.

    Args:
      specs: the table.
      factors: to choose from.

    Returns:
      Dimensions of different factors, for a search.

    Raises:
      InputError: a factor is not in (0, 1].

    >>> shrink_space([ConvSpec(3, 8)], (0.5, 1.0))["outputs_0"].values
    (0.5, 1.0)
    """
    if not factors or not all(0 < f <= 1 for f in factors):
        raise InputError(f"factors must lie in (0, 1]; got {tuple(factors)}")
    choice = Choice(tuple(dict.fromkeys(factors)))
    names = ("kernel", "outputs")
    return {f"{n}_{i}": choice for i in range(len(_checked(specs))) for n in names}


def apply_actions(
    specs: Sequence[ConvSpec], actions: Mapping[str, Any]
) -> tuple[ConvSpec, ...]:
    """The table after removals and shrinkages.

    Args:
      specs: the table before.
      actions: values of ``removal_space`` or ``shrink_space`` or both, by the places in
        ``specs``; what is not named stays.

    Returns:
      The table. Sizes are rounded to the nearest whole number, at least 1. Input
      channels are not in a table: a chain always fits.

    Raises:
      InputError: an action names no layer, or removes a protected one.

    >>> apply_actions([ConvSpec(3, 8), ConvSpec(3, 9)], {"outputs_1": 0.5})
    (ConvSpec(kernel=3, outputs=8, stride=1), ConvSpec(kernel=3, outputs=4, stride=1))
    """
    new = list(_checked(specs))
    gone, free = set(), removable(specs)
    for name, value in actions.items():
        kind, _, place = name.partition("_")
        known = kind in ("keep", "kernel", "outputs") and place.isdigit()
        if not known or int(place) >= len(new):
            raise InputError(f"{name} names no action on one of {len(new)} layers")
        i = int(place)
        if kind == "keep":
            if not value and i not in free:
                raise InputError(f"layer {i} is protected: the first, or strided")
            if not value:
                gone.add(i)
            continue
        size = max(int(getattr(new[i], kind) * value + 0.5), 1)
        # Halves are rounded down, so that a factor below 1 shrinks.
        if size - getattr(new[i], kind) * value == 0.5 and size > 1:
            size -= 1
        new[i] = new[i]._replace(**{kind: size})
    return tuple(spec for i, spec in enumerate(new) if i not in gone)


def chain_parameters(
    specs: Sequence[ConvSpec], channels: Annotated[int, COUNT], classes: int
) -> int:
    """Parameters of ``conv_chain``.

    Args:
      specs: the table.
      channels: of the input.
      classes: outputs of the last layer.

    Returns:
      Their number.

    >>> chain_parameters([ConvSpec(3, 4)], 1, 10)
    90
    """
    total, before = 0, channels
    for spec in _checked(specs):
        total += (before * spec.kernel**2 + 1) * spec.outputs
        before = spec.outputs
    return total + (before + 1) * classes


def conv_chain(
    specs: Sequence[ConvSpec],
    channels: Annotated[int, COUNT],
    classes: Annotated[int, COUNT],
) -> Functional:
    """The network of a table: convolutions, the mean over positions, a linear layer.

    Args:
      specs: the table.
      channels: of the input.
      classes: outputs.

    Returns:
      ``init(key) -> (params, {})`` and ``apply(params, state, x, *, train, key=None) ->
      (y, state)`` for images ``(B, H, W, channels)``.

    Raises:
      InputError: the table is empty, or a size in it is below 1.

    >>> net = conv_chain([ConvSpec(3, 4)], 1, 10)
    >>> start = jax.jit(net.init)(jax.random.key(0))
    >>> sum(leaf.size for leaf in jax.tree.leaves(start))
    90
    """
    check_arguments(conv_chain, {"channels": channels, "classes": classes})
    specs = _checked(specs)

    def init(key: jax.Array) -> tuple[dict[str, Any], Any]:
        params, before = {}, channels
        for i, spec in enumerate(specs):
            shape = (spec.kernel, spec.kernel, before, spec.outputs)
            kernel = KAIMING(jax.random.fold_in(key, i), shape)
            params[f"conv_{i}"] = {"kernel": kernel, "bias": jnp.zeros(spec.outputs)}
            before = spec.outputs
        own = jax.random.fold_in(key, len(specs))
        kernel = jax.nn.initializers.lecun_normal()(own, (before, classes))
        params["head"] = {"kernel": kernel, "bias": jnp.zeros(classes)}
        return params, {}

    def apply(
        params: dict[str, Any],
        state: Any,
        x: jax.Array,
        *,
        train: bool,
        key: jax.Array | None = None,
    ) -> tuple[jax.Array, Any]:
        for i, spec in enumerate(specs):
            own = params[f"conv_{i}"]
            x = jax.lax.conv_general_dilated(
                x,
                own["kernel"].astype(x.dtype),
                (spec.stride, spec.stride),
                "SAME",
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )
            x = jax.nn.relu(x + own["bias"].astype(x.dtype)[None, None, None])
        head = params["head"]
        y = jnp.mean(x, axis=(1, 2)) @ head["kernel"].astype(x.dtype)
        return y + head["bias"].astype(y.dtype)[None], state

    return Functional(init, apply)


def compression_reward(
    accuracy: Annotated[float, NON_NEGATIVE],
    teacher_accuracy: Annotated[float, NON_NEGATIVE],
    parameters: int,
    teacher_parameters: int,
) -> float:
    r"""Reward of a student: its share of the accuracy, and how much smaller it is.

    .. math:: R = \frac{a_s}{a_t}\, C (2 - C), \qquad C = 1 - \frac{n_s}{n_t}

    Args:
      accuracy: of the student.
      teacher_accuracy: of the teacher, above 0.
      parameters: of the student.
      teacher_parameters: of the teacher, at least as many.

    Returns:
      0 for the teacher itself; the accuracy's share times a concave function of C that
      grows to 1.

    Raises:
      InputError: an accuracy is out of range, or the student has more parameters than
        the teacher.

    Source: Ashok et al., "N2N Learning: Network to Network Compression via Policy
    Gradient Reinforcement Learning", 2018 (https://arxiv.org/abs/1709.06030). Its
    policies are recurrent networks over the layers; here any search of
    ``removal_space`` and ``shrink_space`` stands in.

    >>> compression_reward(0.9, 0.9, 50, 100), compression_reward(0.8, 0.9, 100, 100)
    (0.75, 0.0)
    """
    given = {"accuracy": accuracy, "teacher_accuracy": teacher_accuracy}
    check_arguments(compression_reward, given)
    if not teacher_accuracy > 0:
        raise InputError(f"teacher_accuracy must be above 0; got {teacher_accuracy}")
    if not 0 <= parameters <= teacher_parameters or teacher_parameters < 1:
        raise InputError(
            f"parameters must lie in [0, {teacher_parameters}], those of the teacher; "
            f"got {parameters}"
        )
    c = 1 - parameters / teacher_parameters
    return accuracy / teacher_accuracy * c * (2 - c)


def constrained_reward(
    reward: float,
    broken: bool,
    epoch: Annotated[float, NON_NEGATIVE],
    *,
    span: Annotated[float, POSITIVE] = 15.0,
) -> float:
    r"""The reward of a student that must keep a limit, such as one of its size.

    .. math:: R' = (\epsilon - 1) + \epsilon R, \qquad
        \epsilon = \text{clip}(1 - t / s, 0, 1)^4

    where the limit is broken, else R: no penalty at first, -1 in the end.

    Args:
      reward: R, of ``compression_reward``.
      broken: whether the student breaks the limit.
      epoch: t, from 0.
      span: s, after which a broken limit is worth -1.

    Returns:
      The reward.

    Raises:
      InputError: ``epoch`` is negative, or ``span`` not above 0.

    Differs from the published code, which clips behind the even power: there the
    penalty falls again after s and is none from 2 s on.

    Source: as ``compression_reward``.

    >>> [round(constrained_reward(0.5, True, epoch), 3) for epoch in (0, 7.5, 15, 30)]
    [0.5, -0.906, -1.0, -1.0]
    """
    check_arguments(constrained_reward, {"epoch": epoch, "span": span})
    if not broken:
        return reward
    share = min(max(1 - epoch / span, 0.0), 1.0) ** 4
    return share - 1 + share * reward


def _checked(specs: Sequence[ConvSpec]) -> tuple[ConvSpec, ...]:
    if not specs or any(min(spec) < 1 for spec in specs):
        raise InputError(
            f"specs must be layers with sizes of at least 1; got {list(specs)}"
        )
    return tuple(specs)
