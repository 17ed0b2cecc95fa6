"""Masks and label groups that work with links which evaluate the gradient.

``optax.masked`` and ``optax.partition`` give their inner transforms a parameter tree
whose other leaves are ``optax.MaskedNode``. A link that calls ``grad_fn`` with such a
tree, perturbed, breaks the loss. Here ``grad_fn`` is mapped: masked leaves are replaced
by the parameters that the link does not see, and its gradient is masked again. So are
``value_fn`` and ``grad``, the extra arguments of optax's line searches.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import jax
import optax

from jaxopt_lab.core.argument_checks import check_transformation
from jaxopt_lab.core.gradients import MappedGradFn
from jaxopt_lab.core.typing import MaskOrFn, Params, PyTree, Updates


def is_masked(x: Any) -> bool:
    """Whether ``x`` stands for a leaf outside of the mask, as optax marks it.

    Args:
      x: anything; the ``is_leaf`` of ``jax.tree.map``.

    Returns:
      True for an ``optax.MaskedNode``.
    """
    return isinstance(x, optax.MaskedNode)


def _unmask(partial: Params, full: Params) -> Params:
    """``partial`` with its masked leaves taken from ``full``."""
    return jax.tree.map(
        lambda part, whole: whole if is_masked(part) else part,
        partial,
        full,
        is_leaf=is_masked,
    )


def _mask(full: Updates, partial: Params) -> Updates:
    """``full`` with the leaves masked that are masked in ``partial``."""
    return jax.tree.map(
        lambda part, whole: part if is_masked(part) else whole,
        partial,
        full,
        is_leaf=is_masked,
    )


def _with_own_grad(
    tx: optax.GradientTransformation,
) -> optax.GradientTransformationExtraArgs:
    """``tx`` with the extra argument ``grad`` masked as its updates are."""
    inner = optax.with_extra_args_support(tx)

    def update_fn(
        updates: Updates, state: Any, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, Any]:
        if extra.get("grad") is not None:
            extra["grad"] = _mask(extra["grad"], updates)
        return inner.update(updates, state, params, **extra)

    return optax.GradientTransformationExtraArgs(inner.init, update_fn)


def _unmasked_value(value_fn: Callable[..., Any], params: Params) -> Callable[..., Any]:
    @functools.wraps(value_fn)  # line searches read the names of its arguments
    def value(part: Params, *args: Any, **kwargs: Any) -> Any:
        return value_fn(_unmask(part, params), *args, **kwargs)

    return value


def _with_unmasked_grad_fn(
    tx: optax.GradientTransformation,
) -> optax.GradientTransformationExtraArgs:
    inner = optax.with_extra_args_support(tx)

    def update_fn(
        updates: Updates,
        state: Any,
        params: Params | None = None,
        *,
        grad_fn: Any = None,
        **extra: Any,
    ) -> tuple[Updates, Any]:
        if grad_fn is not None and params is not None:
            # A transformation sees a part of the tree only; the leaves that it does
            # see are still the step's own if nothing stands in front of it.
            extra["grad_fn"] = MappedGradFn(
                grad_fn,
                on_params=lambda part: _unmask(part, params),
                on_grads=_mask,
                fills_masks=True,
            )
        elif grad_fn is not None:
            extra["grad_fn"] = grad_fn
        if extra.get("value_fn") is not None and params is not None:
            extra["value_fn"] = _unmasked_value(extra["value_fn"], params)
        return inner.update(updates, state, params, **extra)

    return optax.GradientTransformationExtraArgs(inner.init, update_fn)


def masked(
    inner: optax.GradientTransformation, mask: MaskOrFn
) -> optax.GradientTransformationExtraArgs:
    """``optax.masked`` in which sharpness links work.

    The updates of leaves outside the mask pass through unchanged, as in optax: they
    are not frozen (``partition`` with ``optax.set_to_zero`` does that). A sharpness
    link inside moves the leaves under the mask only, and takes its norm over them.

    Args:
      inner: what to apply under the mask; links and wrappers included.
      mask: tree of booleans, a prefix of one, or a function of the parameters.

    Returns:
      The masked transformation; its state is that of ``optax.masked``.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> tx = masked(jaxopt_lab.sam(0.1), {"w": True, "b": False})
    >>> params = {"w": jnp.array(1.0), "b": jnp.array(2.0)}
    >>> grad_fn = jax.grad(lambda p: p["w"] ** 2 + p["b"] ** 2)
    >>> g = grad_fn(params)
    >>> updates, _ = tx.update(g, tx.init(params), params, grad_fn=grad_fn)
    >>> round(float(updates["w"]), 4), float(updates["b"])
    (2.2, 4.0)
    """
    check_transformation("inner", inner)
    return _with_unmasked_grad_fn(optax.masked(_with_own_grad(inner), mask))


def partition(
    transforms: Mapping[Hashable, optax.GradientTransformation],
    param_labels: PyTree | Callable[[Params], PyTree],
) -> optax.GradientTransformationExtraArgs:
    """``optax.partition`` in which sharpness links work.

    Each group gets its own transformation. A sharpness link inside one group moves
    the leaves of that group only and costs its own gradient evaluations; the groups
    do not share them.

    Args:
      transforms: label to transformation.
      param_labels: tree of labels, a prefix of one, or a function of the parameters
        (``trees.label_by_path`` makes such a function).

    Returns:
      The partitioned transformation; its state is that of ``optax.partition``.
    """
    for label, tx in transforms.items():
        check_transformation(f"transforms[{label!r}]", tx)
    own = {label: _with_own_grad(tx) for label, tx in transforms.items()}
    return _with_unmasked_grad_fn(optax.partition(own, param_labels))
