"""What is tested: one row of the catalog, with its programs traced once."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

import jaxopt_lab
from battery import problems
from jaxopt_lab.catalog import Method

BASE_RATE = "base_rate"
STEPS = 3
Tree = Any


def step(
    tx: Any, params: Tree, state: Tree, batch: Tree, loss: Any = problems.product
) -> tuple[Tree, Tree, Tree]:
    """``(params, state, updates)`` after one step of a composer's own loop."""
    grad_fn = jaxopt_lab.batch_grad(loss, batch)
    (value, _), grads = grad_fn.value_and_grad(params)
    updates, state = tx.update(grads, state, params, grad_fn=grad_fn, value=value)
    return optax.apply_updates(params, updates), state, updates


def run(
    tx: Any,
    params: Tree,
    batch: Tree,
    steps: int = STEPS,
    loss: Any = problems.product,
) -> tuple[Tree, Tree]:
    """``(params, state)`` after a few steps from a fresh state."""
    return path(tx, params, batch, steps, loss)[-1]


def path(
    tx: Any,
    params: Tree,
    batch: Tree,
    steps: int = STEPS,
    loss: Any = problems.product,
) -> list[tuple[Tree, Tree]]:
    """``(params, state)`` after each of a few steps from a fresh state."""
    state, after = tx.init(params), []
    for _ in range(steps):
        params, state, _ = step(tx, params, state, batch, loss)
        after.append((params, state))
    return after


def train_loss(loss: Any) -> Any:
    """A loss as ``make_train_step`` wants it."""
    return lambda params, state, batch, key: (loss(params, batch), (state, {}))


class Subject:
    """A row of the catalog as a complete optimizer.

    A link is chained before plain gradient descent, a wrapper goes around it; the
    step size of that is one more hyper-parameter, ``base_rate``.
    """

    def __init__(self, row: Method):
        self.row = row
        self.has_base = row.kind != "optimizer"

    def defaults(self) -> dict[str, Any]:
        """Every numeric hyper-parameter of the complete optimizer."""
        values = {name: self.row.options[name].default for name in self.row.numeric}
        return {**values, BASE_RATE: 0.1} if self.has_base else values

    def others(self) -> dict[str, Any]:
        """Other values, well inside every accepted interval; counts stay."""

        def other(value: Any) -> Any:
            return 0.75 * value + 0.03 if isinstance(value, float) else value

        return {name: other(value) for name, value in self.defaults().items()}

    def annotated(self) -> list[str]:
        """The numeric options for which the factory says that it takes schedules."""
        arguments = inspect.signature(self.row.factory).parameters
        return [
            name
            for name in self.row.numeric
            if name in arguments and "Schedule" in str(arguments[name].annotation)
        ]

    def base(self, rate: Any = 0.1) -> Any:
        """The optimizer inside a wrapper, with a momentum where it needs one."""
        momentum = 0.9 if "momentum" in self.row.needs else None
        return optax.sgd(rate, momentum=momentum)

    def parts(self, **values: Any) -> list[Any]:
        """The transformations that stand in the chain, one after another."""
        rate = values.pop(BASE_RATE, 0.1)
        if self.row.kind == "link":
            return [self.row.build(**values), optax.sgd(rate)]
        if self.row.kind == "optimizer":
            return [self.row.build(**values)]
        return [self.row.wrap(self.base(rate), **values)]

    def transform(self, **values: Any) -> Any:
        """The complete optimizer; no chain is put around a row that is one."""
        parts = self.parts(**values)
        return parts[0] if len(parts) == 1 else optax.chain(*parts)

    def injected(self, **values: Any) -> Any:
        """The same with the method's hyper-parameters in its state."""
        rate = values.pop(BASE_RATE, 0.1)
        if self.row.kind == "link":
            return optax.chain(self.row.inject(**values), optax.sgd(rate))
        if self.row.kind == "optimizer":
            return self.row.inject(**values)
        return self.row.wrap(self.base(rate), **values)

    @functools.cached_property
    def tx(self) -> Any:
        """The complete optimizer with default options."""
        return self.transform()

    @functools.cached_property
    def path(self) -> list[tuple[Tree, Tree]]:
        """``(params, state)`` after each of ``STEPS`` steps, float64, op by op."""
        return path(self.tx, problems.params(), problems.batch())

    @property
    def looped(self) -> tuple[Tree, Tree]:
        """The last of them."""
        return self.path[-1]

    @functools.cached_property
    def compiled(self) -> tuple[Callable[..., Any], list[str]]:
        """One step, jitted and donated, and what the compiler said about it."""
        fn = jax.jit(
            lambda params, state, batch: step(self.tx, params, state, batch)[:2],
            donate_argnums=(0, 1),
        )
        params, batch = problems.params(), problems.batch()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            done = fn.lower(params, self.tx.init(params), batch).compile()
        return done, [str(w.message) for w in said]

    @functools.cached_property
    def outer(self) -> Callable[..., Any]:
        """``(hyper, params, batch) -> (value, gradients)`` of a run of ``STEPS``.

        The value is a fixed linear function of the final parameters; the gradients
        are those with respect to the hyper-parameters and the initial parameters.
        """

        def value(hyper: Tree, params: Tree, batch: Tree) -> jax.Array:
            final, _ = run(self.transform(**hyper), params, batch)
            total = jnp.zeros(())
            for i, leaf in enumerate(jax.tree.leaves(final)):
                weights = jnp.cos(1.0 + i + jnp.arange(leaf.size)).reshape(leaf.shape)
                total += jnp.sum(weights * leaf)
            return total

        return jax.jit(jax.value_and_grad(value, argnums=(0, 1)))
