"""The checks that every kind other than a transform shares."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from battery import registry
from battery.parts.compare import TIGHT, assert_close, assert_finite
from battery.parts.subject import Subject, applicable, floats, is_float
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.option_texts import documented

Wait = Literal["never", "first in the plain run", "always"]
COMMON: dict[str, tuple[Callable[[Any], None], Wait]] = {}
"""Common check and whether it waits for the full tier, by name; some run in the plain
tier for one row of each kind."""


def _common(wait: Wait = "never") -> Callable[[Callable[[Any], None]], Any]:
    def add(run: Callable[[Any], None]) -> Callable[[Any], None]:
        COMMON[run.__name__] = (run, wait)
        return run

    return add


def register_common(subject: type[Subject], without: tuple[str, ...] = ()) -> None:
    """Register the common checks for a kind.

    Args:
      subject: the subject of the kind.
      without: names of the checks that say nothing about this kind.
    """
    tiers = {
        "never": lambda row: "plain",
        "first in the plain run": lambda row: (
            "plain" if row.name == subject.first else "full"
        ),
        "always": lambda row: "full",
    }
    for name, (run, wait) in COMMON.items():
        if name not in without:
            registry.check(subject.kind, tier=tiers[wait])(run)


@_common()
def jit(subject: Subject) -> None:
    """In and out of jit."""
    words = "outside of jit it is another function"
    assert_close(subject.run_op_by_op(), subject.values["plain"], words, **TIGHT)


@_common()
def dtypes(subject: Subject) -> None:
    """Results have the types that the kind promises; narrow ones may be refused."""
    for dtype in (jnp.float64, jnp.float32, jnp.bfloat16):
        try:
            found = subject.shapes(dtype)
        except InputError as error:
            assert dtype == jnp.bfloat16 and "float32" in str(error), error
            continue
        wanted = jnp.dtype(subject.result_dtype(dtype))
        for path, leaf in jax.tree.leaves_with_path(found):
            if is_float(leaf):
                name = jax.tree_util.keystr(path)
                assert leaf.dtype == wanted, (
                    f"for {jnp.dtype(dtype)} {name} is {leaf.dtype} instead of {wanted}"
                )


@_common()
def float32(subject: Subject) -> None:
    """float32 stays close to float64."""
    single = floats(lambda x: x.astype(np.float64), subject.values["single"])
    words = "float32 is far from float64"
    assert_close(single, subject.values["plain"], words, rtol=1e-4, atol=1e-5)


@_common("first in the plain run")
def bfloat16(subject: Subject) -> None:
    """bfloat16 stays close to float64, or is refused in one line."""
    try:
        narrow = subject.rare["bfloat16"]
    except InputError as error:
        assert "float32" in str(error), error
        return
    narrow = floats(lambda x: np.asarray(x, np.float64), narrow)
    words = "bfloat16 is far from float64"
    assert_close(narrow, subject.values["plain"], words, rtol=0.06, atol=0.06)


@_common()
def recompilation(subject: Subject) -> None:
    """The second call finds the program of the first, and a new trace gives it."""
    traces, _ = subject.twice
    assert traces == 1, f"two calls were traced {traces} times"
    assert subject.traced_text() == subject.traced_text(), (
        "tracing it again gives another program"
    )


@_common()
def strict_promotion(subject: Subject) -> None:
    """It is traced without an implicit change of type."""
    for dtype in (jnp.float32, jnp.float64):
        with jax.numpy_dtype_promotion("strict"):
            subject.shapes(dtype)


@_common()
def vmap(subject: Subject) -> None:
    """Two sets of inputs at once are a loop over them."""
    alone = [subject.values[name] for name in ("plain", "others")]
    apart = jax.tree.map(lambda *x: np.stack(x), *alone)
    assert_close(subject.values["vmap"], apart, "vmap is not a loop", **TIGHT)


@_common()
def finite(subject: Subject) -> None:
    """Values and derivatives at zeros, at constants and of one example."""
    for case in ("zeros", "constants", "one_example"):
        if case in applicable(subject):
            assert_finite(subject.values[case], case)


@_common()
def derivatives(subject: Subject) -> None:
    """Derivatives, those of a custom rule too, are those of finite differences."""
    if "differences" not in applicable(subject):
        return
    for got, measured in zip(*subject.slopes(), strict=True):
        gap = abs(got - measured)
        assert gap <= subject.slope_tolerance * (1 + abs(measured)), (
            f"the derivative is {got:.8g}, finite differences give {measured:.8g}"
        )


@_common()
def nan_visible(subject: Subject) -> None:
    """A number that is none in the inputs shows in the results."""
    leaves = [x for x in jax.tree.leaves(subject.values["poisoned"]) if is_float(x)]
    assert not all(np.all(np.isfinite(x)) for x in leaves), "a NaN is swallowed"


@_common()
def neutral(subject: Subject) -> None:
    """At its neutral setting it is the simpler thing that its row names."""
    got, expected = subject.values["neutral"]
    words = f"at its neutral setting it is not {subject.row.reduces_to.equals}"
    assert_close(got, expected, words, rtol=1e-10, atol=1e-11)


@_common()
def same_key(subject: Subject) -> None:
    """The same inputs and key give the same results."""
    one, two = (subject.values[name] for name in ("plain", "again"))
    assert_close(one, two, "the same key gives another result", **TIGHT)


@_common("first in the plain run")
def devices(subject: Subject) -> None:
    """Divided over eight devices it is what it is on one."""
    words = "on eight devices it is another function"
    assert_close(subject.on_devices(), subject.rare["tiled"], words, **TIGHT)


@_common()
def example(subject: Subject) -> None:
    """The row's example is NumPy arrays and numbers, so that it compiles nothing."""
    for path, leaf in jax.tree.leaves_with_path(subject.row.inputs()):
        name = jax.tree_util.keystr(path)
        allowed = isinstance(leaf, np.ndarray | np.generic | int | float | str)
        assert allowed, f"the example's {name} is a {type(leaf).__name__}"


@_common()
def docstring(subject: Subject) -> None:
    """A title, every argument, what is returned, an example, and the source."""
    for part in subject.documented():
        text = inspect.getdoc(part) or ""
        name = part.__name__
        title = text.split("\n\n")[0]
        assert title.endswith("."), f"{name}: the docstring has no title"
        first = title.split()[0]
        assert first not in ("What", "Where", "How", "Which"), f"{name}: {first} ..."
        # The metaclass of a flax module hides the signature.
        signature = inspect.signature(part.__init__ if _is_class(part) else part)
        wanted = [
            p.name
            for p in signature.parameters.values()
            if p.kind is not p.VAR_KEYWORD and p.name != "self"
        ]
        missing = [n for n in wanted if n not in _documented(part)]
        assert not missing, f"{name}: no text for {', '.join(missing)}"
        returns = "Returns:" in text or _is_class(part)
        assert returns, f"{name}: the docstring says not what is returned"
        assert ">>>" in text, f"{name}: the docstring has no example"
    if subject.row.paper:
        text = inspect.getdoc(subject.documented()[0]) or ""
        assert "Source:" in text, "the docstring names no source"


@_common("always")
def docstring_example(subject: Subject) -> None:
    """The examples of the docstrings run; the plain run has them in its doctests."""
    for part in subject.documented():
        module = inspect.getmodule(part)
        finder = doctest.DocTestFinder(recurse=False)
        runner = doctest.DocTestRunner(verbose=False)
        said: list[str] = []
        with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
            for test in finder.find(part, part.__name__, globs=vars(module).copy()):
                runner.run(test, out=said.append)
        assert runner.failures == 0, "".join(said)


def _is_class(part: Any) -> bool:
    return isinstance(part, type)


def _documented(part: Any) -> set[str]:
    return set(documented(part))
