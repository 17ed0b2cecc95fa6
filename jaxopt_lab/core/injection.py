"""Injection of hyper-parameters into the optimizer state."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import optax

from jaxopt_lab.core.argument_checks import check_function


def static_arguments(factory: Callable[..., Any]) -> frozenset[str]:
    """The arguments of a transformation that cannot be traced or scheduled.

    An argument is numeric if its annotation names a float, a scalar or a schedule and
    not ``STATIC``; all others (masks, flags, dtypes, names, counts that shape the
    program) are static. A function given for a mask must not be called as a schedule,
    and a flag must not become an array.

    Args:
      factory: a function that returns a transformation, annotated.

    Returns:
      The names of its static arguments.

    >>> import jaxopt_lab
    >>> sorted(static_arguments(jaxopt_lab.sam))
    ['axis_name', 'compute_dtype', 'norm_over', 'perturb_mask', 'sync']
    """
    names = set()
    for name, parameter in inspect.signature(factory).parameters.items():
        annotation = parameter.annotation
        text = annotation if isinstance(annotation, str) else str(annotation)
        tree_like = "ArrayTree" in text or "Mask" in text
        static = tree_like or "STATIC" in text
        if static or not ("float" in text or "Scalar" in text):
            names.add(name)
    return frozenset(names)


def inject_hyperparams(
    factory: Callable[..., optax.GradientTransformation],
    static: frozenset[str] | None = None,
) -> Callable[..., optax.GradientTransformationExtraArgs]:
    """``optax.inject_hyperparams`` that knows which arguments are static.

    Args:
      factory: a function that returns a transformation.
      static: names of the arguments that are no numbers; by default read off the
        annotations (``static_arguments``).

    Returns:
      A function with the arguments of ``factory``; what it returns keeps its numeric
      hyper-parameters, the present values of schedules included, in
      ``state.hyperparams``.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> tx = inject_hyperparams(jaxopt_lab.sam)(rho=0.1)
    >>> sorted(tx.init(jnp.ones(2)).hyperparams)
    ['rho']
    """
    check_function("factory", factory)
    names = static_arguments(factory) if static is None else static
    return optax.inject_hyperparams(factory, static_args=tuple(sorted(names)))
