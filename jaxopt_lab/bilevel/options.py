"""Modes of ``hypergrad`` and the options of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp

from jaxopt_lab.bilevel.linear_solve import ConjugateGradients, NeumannSeries, Solver
from jaxopt_lab.core import checks as arguments
from jaxopt_lab.core import errors
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.typing import Scalar

ImplicitMode: TypeAlias = Literal["implicit_cg", "neumann"]
Mode: TypeAlias = Literal[
    "reverse", "forward", "implicit_cg", "neumann", "one_step", "es", "pes"
]

_WITH_OPTION: Mapping[str, tuple[Mode, ...]] = {
    "budget": ("reverse",),
    "adjoint0": ("implicit_cg", "neumann"),
    "damping": ("implicit_cg", "neumann"),
    "tol": ("implicit_cg",),
    "max_steps": ("implicit_cg",),
    "alpha": ("neumann",),
    "terms": ("neumann",),
    "pairs": ("es", "pes"),
    "sigma": ("es", "pes"),
    "key": ("es", "pes"),
}
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "neumann": ("alpha",),
    "es": ("key", "sigma"),
    "pes": ("key", "sigma"),
}
DEFAULT_PAIRS = 16


def check_mode(mode: str, options: Mapping[str, Any]) -> None:
    """Refuse an unknown mode, options of another mode and missing options.

    Args:
      mode: the name given.
      options: by name; ``None`` where nothing was given.

    Raises:
      InputError: as said; the mode or the option is named.
    """
    if mode not in get_args(Mode):
        raise errors.unknown("mode", mode, get_args(Mode))
    for name, value in options.items():
        if value is not None and mode not in _WITH_OPTION[name]:
            accepted = " and ".join(repr(m) for m in _WITH_OPTION[name])
            raise InputError(f"{name} is for mode {accepted}; got mode={mode!r}")
    for name in _REQUIRED.get(mode, ()):
        if options.get(name) is None:
            raise InputError(f"mode {mode!r} needs {name}=, which has no default")


def check_sampling(key: Any, pairs: Any, sigma: Any) -> None:
    """Refuse options of the evolution strategies that are out of range.

    Args:
      key: must be a typed key.
      pairs: must be a whole number of at least 1.
      sigma: must be more than 0, if it is a number.

    Raises:
      InputError: one is not.
    """
    arguments.check_positive_count("pairs", pairs)
    number = known_number(sigma)
    if number is not None and not number > 0:
        raise InputError(f"sigma must be more than 0; got {sigma}")
    dtype = getattr(key, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jax.dtypes.prng_key):
        raise InputError(
            f"key must be a typed key from jax.random.key(seed); got {dtype or key!r}"
        )


def make_solver(
    mode: str,
    damping: Scalar | None,
    tol: float | None,
    max_steps: int | None,
    alpha: Scalar | None,
    terms: int | None,
) -> Solver:
    """The linear solver of an implicit mode, from checked options.

    Args:
      mode: ``"implicit_cg"`` or ``"neumann"``.
      damping: as in ``hypergrad``, like all others; ``None`` for the default.
      tol: of conjugate gradients.
      max_steps: of conjugate gradients.
      alpha: of the Neumann series.
      terms: of the Neumann series.

    Returns:
      The solver.

    Raises:
      InputError: an option belongs to the other mode, is missing, or out of range.
    """
    if mode not in get_args(ImplicitMode):
        raise errors.unknown("mode", mode, get_args(ImplicitMode))
    options = {
        "damping": damping,
        "tol": tol,
        "max_steps": max_steps,
        "alpha": alpha,
        "terms": terms,
    }
    check_mode(mode, options)
    damping = 0.0 if damping is None else damping
    arguments.check_non_negative("damping", damping)
    if mode == "neumann":
        assert alpha is not None
        terms = 20 if terms is None else terms
        arguments.check_positive_count("terms", terms)
        arguments.check_non_negative("alpha", alpha)
        return NeumannSeries(alpha, terms, damping)
    if max_steps is not None:
        arguments.check_positive_count("max_steps", max_steps)
    arguments.check_non_negative("tol", tol)
    return ConjugateGradients(damping, tol, max_steps)
