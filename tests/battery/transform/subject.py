"""What is tested: one row of the catalog, and the few programs made of it."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax

from battery.op_by_op import OpByOp
from battery.programs import QUICK, UNFUSED, Together
from battery.transform import (
    costs,
    descent,
    parts,
    parts_around,
    problems,
    sharded,
    sweeps,
)
from battery.transform.loops import STEPS, Tree, step
from jaxopt_lab.catalog import Transform
from jaxopt_lab.runtime import Checkpoints

BASE_RATE = "base_rate"


@dataclasses.dataclass(frozen=True)
class Donated:
    """What calls of one jitted step with donated arguments have shown.

    Attributes:
      path: ``(params, state)`` after each of ``STEPS`` calls, on the host.
      deleted: whether the arguments of every call have been used.
      said: warnings.
      traces: how often the step was traced.
      after_nan: ``(params, state, updates)`` of a further call on a batch that gives
        a gradient which is no number, from the end of the first call.
      step: the step.
    """

    path: list[tuple[Tree, Tree]]
    deleted: bool
    said: list[str]
    traces: int
    after_nan: tuple[Tree, Tree, Tree]
    step: Callable[..., Any]


def _copied(tree: Tree) -> Tree:
    """The arrays in new buffers, those of typed keys too."""

    def one(x: Any) -> Any:
        if not jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
            return jax.device_put(x, may_alias=False)
        bits = jax.device_put(jax.random.key_data(x), may_alias=False)
        return jax.random.wrap_key_data(bits, impl=jax.random.key_impl(x))

    return jax.tree.map(one, tree)


class Subject:
    """A row of the catalog as a complete optimizer.

    A link is chained before plain gradient descent, a wrapper goes around it; the
    step size of that is one more hyper-parameter, ``base_rate``.

    This class and the functions that it calls are the only ones of the battery that
    compile; the checks compare arrays.
    """

    kind = "transform"

    def __init__(self, row: Transform, *, apart: bool = False):
        """Args:
        row: the row.
        apart: compile what a check asks for, and no more, for a few checks.
        """
        self.row = row
        self.has_base = row.role != "optimizer"
        self._op_by_op = OpByOp()
        # In a few programs: the compiler is slower than linear in the size of one.
        groups = [
            (parts.of(self), QUICK),
            (parts_around.of(row), QUICK),
            # Without optimization, derivatives at zeros come out as no numbers where
            # a product with zero stays that is taken away otherwise.
            ({"derivatives": parts.derivatives}, UNFUSED),
        ]
        self._together: dict[str, Together] = {}
        for named, options in groups:
            bound = {name: functools.partial(f, self) for name, f in named.items()}
            together = Together(bound, apart=apart, options=options)
            self._together.update(dict.fromkeys(bound, together))

    def value(self, name: str) -> Tree:
        """The value of one of ``parts``: numpy arrays, keys as their bits."""
        return self._together[name][name]

    def defaults(self) -> dict[str, Any]:
        """Every numeric hyper-parameter of the complete optimizer."""
        values = {name: self.row.details[name].default for name in self.row.numeric}
        return {**values, BASE_RATE: 0.1} if self.has_base else values

    def others(self) -> dict[str, Any]:
        """Other values, well inside every accepted interval; counts stay."""

        def other(value: Any) -> Any:
            return 0.75 * value + 0.03 if isinstance(value, float) else value

        return {name: other(value) for name, value in self.defaults().items()}

    def annotated(self) -> list[str]:
        """The numeric options for which the factory says that it takes schedules."""
        arguments = inspect.signature(self.row.load()).parameters
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
        if self.row.role == "link":
            return [self.row.make(**values), optax.sgd(rate)]
        if self.row.role == "last link":
            return [optax.sgd(rate), self.row.make(**values)]
        if self.row.role == "optimizer":
            return [self.row.make(**values)]
        return [self.row.wrap(self.base(rate), **values)]

    def transform(self, **values: Any) -> Any:
        """The complete optimizer; no chain is put around a row that is one."""
        parts = self.parts(**values)
        return parts[0] if len(parts) == 1 else optax.chain(*parts)

    def injected(self, **values: Any) -> Any:
        """The same with the method's hyper-parameters in its state."""
        rate = values.pop(BASE_RATE, 0.1)
        if self.row.role == "link":
            return optax.chain(self.row.inject(**values), optax.sgd(rate))
        if self.row.role == "last link":
            return optax.chain(optax.sgd(rate), self.row.inject(**values))
        if self.row.role == "optimizer":
            return self.row.inject(**values)
        return self.row.wrap(self.base(rate), **values)

    @functools.cached_property
    def tx(self) -> Any:
        """The complete optimizer with default options."""
        return self.transform()

    # Outside of jit

    @functools.cached_property
    def _update(self) -> Any:
        tx = optax.with_extra_args_support(self.tx)
        gradient = problems.gradient()

        def with_shards(params: Tree, state: Tree, batch: Tree) -> Any:
            return step(tx, params, state, batch, problems.compiled_product())

        def plain(params: Tree, state: Tree, batch: Tree, *given: Any) -> Any:
            grad_fn = lambda p, i=0: gradient(p, batch)[1]
            value, grads = given or gradient(params, batch)
            updates, state = tx.update(
                grads, state, params, grad_fn=grad_fn, value=value
            )
            moved = jax.tree.map(lambda p, u: p + u, params, updates)
            return moved, state, updates

        # A plain gradient function has no shards.
        return with_shards if "shards" in self.row.needs else plain

    @functools.cached_property
    def _init(self) -> Any:
        return lambda params: self.tx.init(params)

    def started(self, dtype: Any = np.float64) -> Tree:
        """The state straight from ``init``, op by op on device arrays."""
        return self._op_by_op(self._init, jax.device_put(problems.params(dtype)))

    def path_from(self, params: Tree, steps: int) -> list[tuple[Tree, Tree]]:
        """``(params, state)`` after each of some steps, op by op on device arrays."""
        params, batch = jax.device_put((params, problems.batch()))
        state, after = self._op_by_op(self._init, params), []
        for _ in range(steps):
            params, state, _ = self._op_by_op(self._update, params, state, batch)
            after.append((params, state))
        return after

    @functools.cached_property
    def path(self) -> list[tuple[Tree, Tree]]:
        """The same from the usual start, float64: what everything is compared to."""
        return self.path_from(problems.params(), STEPS)

    @property
    def looped(self) -> tuple[Tree, Tree]:
        """The last of it."""
        return self.path[-1]

    @functools.cached_property
    def on_numpy(self) -> tuple[Tree, Tree]:
        """``(params, state)`` after one step, op by op on numpy arrays."""
        params, batch = problems.params(), problems.batch()
        self.path_from(params, 1)  # the same operations: now they are known
        state = jax.device_get(self.started())
        given: tuple[Any, ...] = ()
        if "shards" not in self.row.needs:
            given = self._op_by_op.run(problems.gradient(), params, batch)
        after = self._op_by_op.run(
            self._update, params, state, batch, *jax.device_get(given)
        )
        return after[:2]

    @functools.cached_property
    def restored(self) -> Tree:
        """The last state of ``path``, saved and restored."""
        template = jax.eval_shape(self.tx.init, problems.params())
        with (
            tempfile.TemporaryDirectory() as folder,
            Checkpoints(folder, async_=False) as kept,
        ):
            kept.save(1, self.looped[1], data={})
            return self._op_by_op.run(kept.restore, template).state

    # In jit

    @functools.cached_property
    def donated(self) -> Donated:
        """One step, jitted and donated, as a loop of a composer's own has it."""
        traces = []

        def one(params: Tree, state: Tree, batch: Tree) -> Any:
            traces.append(1)
            return step(self.tx, params, state, batch)

        fn = jax.jit(one, donate_argnums=(0, 1))
        params = jax.device_put(problems.params())
        state = self._op_by_op(self._init, params)
        params = jax.device_put(problems.params())  # those of init may be its state
        batch, after, deleted = problems.batch(), [], True
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            for _ in range(STEPS):
                given = jax.tree.leaves((params, state))
                params, state, _ = fn(params, state, batch)
                # Of copies: what the host looks at cannot be given away.
                after.append(jax.device_get(_copied((params, state))))
                deleted &= all(leaf.is_deleted() for leaf in given)
        x = batch["x"].copy()
        x[0, 0] = np.nan
        nan = jax.device_get(fn(*_copied(after[0]), {**batch, "x": x}))
        said = [str(w.message) for w in said]
        return Donated(after, deleted, said, len(traces), nan, fn)

    def given_away(self) -> bool:
        """Whether the very arrays of ``init`` can be given away, and are."""
        params = jax.device_put(problems.params())
        state = self._op_by_op(self._init, params)
        self.donated.step(params, state, problems.batch())
        return all(leaf.is_deleted() for leaf in jax.tree.leaves((params, state)))

    @functools.cached_property
    def temp_bytes(self) -> float:
        """Bytes of temporaries of one donated update, per parameter."""
        return costs.temp_bytes(self.tx)

    @functools.cached_property
    def flops_ratio(self) -> float:
        """Operations of a train step over those of plain gradient descent."""
        return costs.flops(self.tx) / costs.plain_flops()

    @functools.cached_property
    def descent(self) -> dict[str, Any]:
        """Final loss over that at the start at every rate, by problem."""
        # A wrapper with a step size of its own gets its base's.
        names = [BASE_RATE] if self.has_base else []
        names += [name for name in self.row.details if name == "learning_rate"]
        return descent.ratios(self, names)

    @functools.cached_property
    def sharded(self) -> sharded.Sharded:
        """Two steps with parameters divided among eight devices."""
        return sharded.run(self.tx)

    # Sweeps

    @functools.cached_property
    def one_device(self) -> Tree:
        """Parameters, state and loss after two train steps on one device."""
        return sweeps.one_device(self)

    def two_devices(self, style: str) -> Tree:
        """The same on two devices, in one of ``sweeps.STYLES``."""
        return sweeps.two_devices(self, style)

    @functools.cached_property
    def divided(self) -> Tree:
        """The same on two devices that divide the state."""
        return sweeps.divided(self)

    @functools.cached_property
    def unrolled(self) -> sweeps.Unrolled:
        """Derivatives through ``unroll`` for a rate and a direction, in three ways."""
        return sweeps.unrolled(self, BASE_RATE if self.has_base else "learning_rate")

    @functools.cached_property
    def under_differentiable(self) -> tuple[Tree, Tree]:
        """The end of two steps, without and with ``differentiable``."""
        return sweeps.under_differentiable(self)
