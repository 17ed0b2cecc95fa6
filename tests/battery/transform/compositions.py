"""Every method inside, around and beside others, by shapes: right, or one line.

Only traces: a composition is right where the new parameters have the shapes and types
of the old ones, the state those of the fresh state, and where everything that should
move can move; otherwise it must be refused by an ``InputError`` of one line.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxopt_lab
from battery.programs import compiled
from battery.transform.loops import step
from battery.transform.subject import Subject
from jaxopt_lab.core.errors import InputError

Tree = Any
P = {"a": jnp.float32(0.7), "w": jnp.ones((4, 6), jnp.float32) / 3}
X = jnp.linspace(-1.0, 1.0, 24, dtype=jnp.float32).reshape(6, 4)


def loss(params: Tree, x: Tree) -> jax.Array:
    """A loss of every leaf, of real, complex and narrow parameters alike."""
    total = jnp.zeros((), jnp.float32)
    for leaf in jax.tree.leaves(params):
        wide = leaf.astype(jnp.complex64) if jnp.iscomplexobj(leaf) else leaf
        square = jnp.abs(wide.astype(jnp.promote_types(wide.dtype, jnp.float32))) ** 2
        total += jnp.sum(square)
    return total * jnp.mean(x**2)


def uneven(params: Tree, x: jax.Array) -> jax.Array:
    """The same with other weights in a row: its gradient is not along the weights."""
    by = lambda size: 1 + 0.5 * jnp.cos(jnp.arange(size, dtype=jnp.float32) ** 2)
    return loss(jax.tree.map(lambda p: p * by(p.size).reshape(p.shape), params), x)


# Square and of full rank: the directions of a null space are any.
START = {
    "a": np.float32(0.7),
    "w": np.sin(1.0 + np.arange(16.0)).reshape(4, 4).astype(np.float32),
}


def _box(params: Tree) -> Tree:
    from flax import nnx

    class Model(nnx.Module):
        def __init__(self) -> None:
            self.w = nnx.Param(params["w"])
            self.a = nnx.Param(params["a"])

    return nnx.split(Model(), nnx.Param)[1]


def _linen_box(params: Tree) -> Tree:
    from flax import linen

    boxed = linen.Partitioned(params["w"], ("rows", "columns"))
    return {**params, "w": boxed}


Composition = tuple[Callable[[Subject], Any], Callable[[], Tree]]
MASK = {"a": False, "w": True}
LABELS = {"a": "plain", "w": "method"}


def _same(subject: Subject) -> Any:
    return subject.tx


def _bare(subject: Subject) -> Any:
    """Without optax's injection, whose numbers take the type of the first gradient."""
    if subject.row.role == "wrapper":
        return subject.row.load()(subject.base(), **subject.row.defaults())
    return subject.tx


COMPOSITIONS: dict[str, Composition] = {
    "alone": (_same, lambda: P),
    "masked": (lambda s: jaxopt_lab.masked(s.tx, MASK), lambda: P),
    "partition": (
        lambda s: jaxopt_lab.partition(
            {"method": s.tx, "plain": optax.sgd(0.1)}, LABELS
        ),
        lambda: P,
    ),
    "partition frozen": (
        lambda s: jaxopt_lab.partition(
            {"method": s.tx, "plain": optax.set_to_zero()}, LABELS
        ),
        lambda: P,
    ),
    "optax.masked": (lambda s: optax.masked(s.tx, MASK), lambda: P),
    "quantize_state": (
        lambda s: jaxopt_lab.quantize_state(s.tx),
        lambda: P,
    ),
    "MultiSteps": (
        lambda s: optax.MultiSteps(s.tx, 2).gradient_transformation(),
        lambda: P,
    ),
    "inject_hyperparams": (lambda s: s.injected(), lambda: P),
    "apply_if_finite": (lambda s: optax.apply_if_finite(s.tx, 3), lambda: P),
    "lookahead": (lambda s: jaxopt_lab.lookahead(s.tx, k=2), lambda: P),
    "clipped": (lambda s: optax.chain(s.tx, optax.clip_by_global_norm(1.0)), lambda: P),
    "masked in partition": (
        lambda s: jaxopt_lab.partition(
            {"all": jaxopt_lab.masked(s.tx, MASK)}, {"a": "all", "w": "all"}
        ),
        lambda: P,
    ),
    "nnx": (_same, lambda: _box(P)),
    "linen box": (_same, lambda: _linen_box(P)),
    "complex": (_bare, lambda: {**P, "z": jnp.ones((4, 6), jnp.complex64)}),
    "scalar": (_same, lambda: jnp.float32(0.5)),
    "python scalar": (_same, lambda: {"w": 0.5}),
    "empty leaf": (_same, lambda: {**P, "none": jnp.zeros((0, 4), jnp.float32)}),
    "float16": (_same, lambda: jax.tree.map(lambda x: x.astype(jnp.float16), P)),
    "bfloat16": (_same, lambda: jax.tree.map(lambda x: x.astype(jnp.bfloat16), P)),
}


def fault(subject: Subject, name: str) -> str:
    """What is wrong with a composition of a method; nothing where all is right.

    Args:
      subject: the row as a complete optimizer.
      name: of ``COMPOSITIONS``.

    Returns:
      A line, or the empty string.
    """
    build, make = COMPOSITIONS[name]
    params = make()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            # Imaginary parts that are dropped make no error of their own.
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            tx = optax.with_extra_args_support(build(subject))
            before = jax.eval_shape(tx.init, params)

            def one(params: Tree, state: Tree, x: jax.Array) -> Any:
                return step(tx, params, state, x, loss)

            new, after, updates = jax.eval_shape(one, params, before, X)
    except InputError as error:
        text = str(error)
        return f"an error of several lines: {text}" if "\n" in text else ""
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    del updates
    if _types(new) != _types(params):
        return f"parameters change their types: {_types(params)} to {_types(new)}"
    if _types(after) != _types(before):
        return f"the state changes its types: {_types(before)} to {_types(after)}"
    return ""


def stack(subject: Subject) -> tuple[Tree, Tree]:
    """Two compiled steps of a method deep inside of others, and of each part alone.

    The method with its hyper-parameters in the state, its state stored as codes where
    tensors are large, in a group of ``partition``, inside of ``apply_if_finite``; what
    refuses one of them stands without it.

    Args:
      subject: the row as a complete optimizer.

    Returns:
      Parameters after the steps, and those of the method and of gradient descent
      alone, each on its own part. ``({}, {})`` where the whole is refused in one line.
    """

    def run(tx: Any, params: Tree) -> Tree:
        tx = optax.with_extra_args_support(tx)

        def body(carry: Tree, _: Any) -> Any:
            return step(tx, *carry, X, uneven)[:2], None

        return jax.lax.scan(body, (params, tx.init(params)), None, length=2)[0][0]

    def refused(tx: Any) -> bool:
        try:
            jax.eval_shape(lambda p: run(tx, p), {"w": START["w"]})
        except InputError as error:
            assert "\n" not in str(error), error
            return True
        return False

    own = subject.injected()
    own = subject.tx if refused(own) else own
    coded = jaxopt_lab.quantize_state(own)
    own = own if refused(coded) else coded
    groups = {"method": own, "plain": optax.sgd(0.1)}
    whole = optax.apply_if_finite(jaxopt_lab.partition(groups, LABELS), 3)

    def everything(params: Tree) -> tuple[Tree, Tree]:
        alone = run(subject.tx, {"w": params["w"]})
        plain = run(optax.sgd(0.1), {"a": params["a"]})
        return run(whole, params), {**alone, **plain}

    try:
        return jax.device_get(compiled(everything, START)(START))
    except InputError as error:
        assert "\n" not in str(error), error
        return {}, {}


def _types(tree: Tree) -> list[str]:
    """Paths, shapes and types; a Python number is one of the default type."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [f"{jax.tree_util.keystr(p)}: {jnp.shape(x)} {_dtype(x)}" for p, x in leaves]


def _dtype(x: Any) -> str:
    if isinstance(x, bool | int | float):
        return str(jnp.result_type(type(x)))
    return str(x.dtype)
