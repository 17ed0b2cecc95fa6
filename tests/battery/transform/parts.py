"""What is computed of a row in its one program of values, by name.

Each of these functions of a subject gives a function and its arguments, numpy arrays.
Where several cases differ in numbers only, ``jax.lax.map`` runs them one after
another: one body to compile, and nothing is batched that would not be.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from battery.transform import problems, sharded
from battery.transform.loops import STEPS, Tree, path, run, step

SHIFTS = (0.0, 0.2)
"""By how much the initial points of ``seeds`` are moved."""
H = 1e-5
"""Step of the central differences."""


def stacked(trees: Any) -> Tree:
    """Trees as one, every leaf with a first axis over them."""
    return jax.tree.map(lambda *x: np.stack(x), *trees)


def scan(subject: Any) -> Any:
    """The usual steps, scanned."""

    def fn(params: Tree, batch: Tree) -> Any:
        def body(carry: Tree, _: Any) -> Any:
            return step(subject.tx, *carry, batch)[:2], None

        carry = (params, subject.tx.init(params))
        return jax.lax.scan(body, carry, None, length=STEPS)[0]

    return fn, (problems.params(), problems.batch())


def seeds(subject: Any) -> Any:
    """Two steps from several initial points, batched."""
    starts = stacked(
        jax.tree.map(lambda p, s=s: p + s, problems.params()) for s in SHIFTS
    )

    def fn(starts: Tree, batch: Tree) -> Any:
        return jax.vmap(lambda p: run(subject.tx, p, batch, 2))(starts)

    return fn, (starts, problems.batch())


def numbers(values: dict[str, Any]) -> dict[str, Any]:
    """Hyper-parameters as arrays, strongly typed: one type, one program."""
    return {name: np.asarray(value) for name, value in values.items()}


def hyper(subject: Any) -> Any:
    """Two steps with several values of every numeric hyper-parameter, batched."""
    values = stacked([numbers(subject.defaults()), numbers(subject.others())])

    def fn(values: Tree, params: Tree, batch: Tree) -> Any:
        one = lambda hyper: run(subject.transform(**hyper), params, batch, 2)
        return jax.vmap(one)(values)

    return fn, (values, problems.params(), problems.batch())


def points(subject: Any) -> dict[str, tuple[Tree, Tree, Tree]]:
    """``(hyper, params, batch)`` at which a whole run is differentiated, by name."""
    default, others = numbers(subject.defaults()), numbers(subject.others())
    params, batch = problems.params(), problems.batch()
    found = {
        "zero gradients": (default, params, {**batch, "s": np.zeros(4)}),
        "a product": (default, {**params, "b": np.zeros(())}, batch),
        "zero parameters": (default, jax.tree.map(np.zeros_like, params), batch),
        "default": (default, params, batch),
        "others": (others, params, batch),
    }
    if subject.row.differentiable:
        leaves, treedef = jax.tree.flatten((others, params))
        for i, move in enumerate(moves(leaves)):
            for sign in (1, -1):
                moved = [x + sign * d for x, d in zip(leaves, move, strict=True)]
                found[f"{i} {sign}"] = (*jax.tree.unflatten(treedef, moved), batch)
    return found


def moves(leaves: list[Any]) -> list[list[Any]]:
    """A step along each floating coordinate of some arrays."""
    found = []
    for i, leaf in enumerate(leaves):
        for j in range(leaf.size if leaf.dtype.kind == "f" else 0):
            move = [np.zeros_like(x) for x in leaves]
            move[i].flat[j] = H
            found.append(move)
    return found


def derivatives(subject: Any) -> Any:
    """A run at every point: a number, its path, and the gradients of the number.

    The number is a fixed linear function of the final parameters; the gradients are
    those with respect to the hyper-parameters and the initial parameters.
    """

    def value(hyper: Tree, params: Tree, batch: Tree) -> Any:
        after = path(subject.transform(**hyper), params, batch, STEPS)
        total = jnp.zeros(())
        for i, leaf in enumerate(jax.tree.leaves(after[0])):
            weights = np.cos(1.0 + i + np.arange(leaf[-1].size))
            total += jnp.sum(weights.reshape(leaf.shape[1:]) * leaf[-1])
        return total, after

    def fn(cases: Tree) -> Any:
        differentiate = jax.value_and_grad(value, argnums=(0, 1), has_aux=True)
        return jax.lax.map(lambda case: differentiate(*case), cases)

    return fn, (stacked(points(subject).values()),)


def float32(subject: Any) -> Any:
    """The usual steps in float32."""
    fn = lambda params, batch: run(subject.tx, params, batch, STEPS)[0]
    return fn, (problems.params(np.float32), problems.batch(np.float32))


SCHEDULED = 6
"""Steps with schedules: some methods act every few steps only."""


def schedules(subject: Any) -> Any:
    """Paths with a schedule for every number that can be one.

    In case ``i`` the schedule of option ``i`` changes after one step; in the last
    case all are constant.
    """
    names = subject.annotated()
    default, others = subject.defaults(), subject.others()

    def one(case: Any, params: Tree, batch: Tree) -> Any:
        def schedule(i: int, name: str) -> Any:
            return lambda count: jnp.where(
                (case == i) & (count >= 1), others[name], default[name]
            )

        functions = {name: schedule(i, name) for i, name in enumerate(names)}
        return path(subject.transform(**functions), params, batch, SCHEDULED)[0]

    def fn(cases: Any, params: Tree, batch: Tree) -> Any:
        return jax.lax.map(lambda case: one(case, params, batch), cases)

    cases = np.arange(len(names) + 1)
    return fn, (cases, problems.params(), problems.batch())


def tree(name: str) -> Any:
    """Two steps on one of the trees."""

    def part(subject: Any) -> Any:
        params = problems.floats(problems.TREES[name], np.float64)
        fn = lambda p, b: run(subject.tx, p, b, 2, problems.waves)[0]
        return fn, (params, np.ones(4))

    return part


def waves(subject: Any) -> Any:
    """On one device what ``sharded`` does on eight."""
    fn = lambda p, b: run(subject.tx, p, b, sharded.STEPS, problems.waves)
    return fn, (sharded.params(), sharded.batch())


def neutral(subject: Any) -> Any:
    """The usual steps with a radius of zero, given in two ways, and without."""

    def fn(zero: Any, params: Tree, batch: Tree) -> Any:
        end = lambda tx: run(tx, params, batch, STEPS)[0]
        return {
            "base": end(optax.sgd(0.1)),
            "number": end(subject.transform(rho=0.0)),
            "array": end(subject.transform(rho=zero)),
        }

    return fn, (np.zeros(()), problems.params(), problems.batch())


def has_radius(row: Any) -> bool:
    """Whether it is a link with a radius, so that zero means none of it."""
    return row.role == "link" and "rho" in row.details


def of(subject: Any) -> dict[str, Any]:
    """All that apply, by name."""
    row = subject.row
    found = {
        "scan": scan,
        "seeds": seeds,
        "hyper": hyper,
        "float32": float32,
        "waves": waves,
        **{f"tree {name}": tree(name) for name in problems.TREES},
    }
    if subject.annotated():
        found["schedules"] = schedules
    if has_radius(row):
        found["neutral"] = neutral
    return found


def run_at(subject: Any, name: str) -> list[tuple[Tree, Tree]]:
    """``(params, state)`` after each step from one of ``points``."""
    i = list(points(subject)).index(name)
    _, after = subject.value("derivatives")[0]
    return [jax.tree.map(lambda x, t=t: x[i, t], after) for t in range(STEPS)]


def differentiated_at(subject: Any) -> dict[str, tuple[Any, Tree]]:
    """Value and gradients of a run at each of ``points``."""
    (values, _), gradients = subject.value("derivatives")
    return {
        name: (values[i], jax.tree.map(lambda x, i=i: x[i], gradients))
        for i, name in enumerate(points(subject))
    }
