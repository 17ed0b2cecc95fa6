"""A row of a recipe on a tiny problem, and the values that its checks compare."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from battery import programs
from battery.parts.host import HostSubject
from battery.parts.subject import KEY, OTHER_KEY, floats
from battery.programs import Together, without_keys
from battery.recipe.cases import CASES, key_of
from jaxopt_lab.catalog.part import loaded
from jaxopt_lab.runtime import Checkpoints, fit
from jaxopt_lab.training import make_train_step

STEPS = 2


class Repeated:
    """A source of batches that gives the same one for ever."""

    def __init__(self, batch: Any):
        self.batch = batch

    def next(self) -> Any:
        """The batch."""
        return self.batch

    def get_state(self) -> dict[str, Any]:
        """Nothing to remember."""
        return {}

    def set_state(self, state: Any) -> None:
        """Nothing to go to."""


class RecipeSubject(HostSubject):
    """A recipe on the batch and the parameters of its row's example.

    The example says ``batch``, ``params`` by role and options.
    """

    kind = "recipe"
    first = "distillation"

    def __init__(self, row: Any, *, apart: bool = False):
        super().__init__(row, apart=apart)
        self.case = getattr(row, "case", None) or CASES[row.name]
        forms, given = self._forms(), (self.inputs["params"], self.inputs["batch"])
        form = lambda name: lambda: (forms[name], given)
        plain = {name: form(name) for name in ("steps", "scan", "neutral")}
        rare = {name: form(name) for name in ("seeds", "micro")}
        self.values = Together(plain, apart=apart)
        self.rare = Together(rare, apart=True)

    @classmethod
    def tier_of_rare(cls, row: Any) -> Any:
        """The tier of a check that the plain run makes for the first row alone."""
        return "plain" if row.name == cls.first else "full"

    def step(self, options: Any = None, **more: Any) -> Any:
        """The step with the example's options and others."""
        chosen = self.row.checked({**self.options, **(options or {})})
        return self.case.step(self.row.load(), chosen, **more)

    def state(self, params: Any, bits: Any = KEY) -> Any:
        """A fresh state."""
        return self.case.state(jax.tree.map(jnp.asarray, params), key_of(bits))

    def run(self, step: Any, state: Any, batch: Any) -> tuple[Any, Any]:
        """The state after a few steps, and the last metrics."""
        metrics = None
        for _ in range(STEPS):
            state, metrics = step(state, batch)
        return state, metrics

    def _forms(self) -> dict[str, Callable[[Any, Any], Any]]:
        return {
            "steps": self._steps,
            "scan": self._scan,
            "seeds": self._seeds,
            "micro": self._micro,
            "neutral": self._neutral,
        }

    def _steps(self, params: Any, batch: Any) -> Any:
        """The first state and the last, with metrics."""
        state = self.state(params)
        return state, self.run(self.step(), state, batch)

    def _scan(self, params: Any, batch: Any) -> Any:
        step = self.step()
        state, metrics = jax.lax.scan(
            lambda state, _: step(state, batch), self.state(params), length=STEPS
        )
        return state, jax.tree.map(lambda x: x[-1], metrics)

    def _seeds(self, params: Any, batch: Any) -> Any:
        """The second of two seeds by vmap, and alone."""
        step = self.step()

        def one(params: Any, bits: Any) -> Any:
            return self.run(step, self.state(params, bits), batch)

        others = floats(lambda x: 0.75 * x + 0.1, params)
        stack = lambda a, b: jax.tree.map(lambda x, y: jnp.stack([x, y]), a, b)
        together = jax.vmap(one)(stack(params, others), jnp.stack([KEY, OTHER_KEY]))
        second = jax.tree.map(lambda x: x[1], without_keys(together))
        return second, without_keys(one(others, OTHER_KEY))

    def _micro(self, params: Any, batch: Any) -> Any:
        step = self.step(micro_batches=2, micro_loop="unroll")
        return self.run(step, self.state(params), batch)

    def _neutral(self, params: Any, batch: Any) -> Any:
        setting = self.row.reduces_to
        part = self.run(self.step(setting.options), self.state(params), batch)
        plain = self.case.plain(loaded(setting.equals))
        state = self.case.plain_state(jax.tree.map(jnp.asarray, params), key_of(KEY))
        state, metrics = self.run(plain, state, batch)
        got = self.case.plain_part(part[0]), part[1]["loss"]
        if setting.equals in ("jaxopt_lab.training:make_train_step", make_train_step):
            return got, ((state.params, state.opt_state), metrics["loss"])
        # Another recipe, by role as well.
        return got, (self.case.plain_part(state), metrics["loss"])

    # Programs of their own

    @functools.cached_property
    def fitted(self) -> tuple[Any, Any, Any]:
        """State after ``fit``, and the state that it has saved, restored."""
        first, _ = self.values["steps"]
        keys = jax.eval_shape(lambda p: self.state(p), self.inputs["params"])

        def whole(like: Any, leaf: Any) -> Any:
            if jnp.issubdtype(like.dtype, jax.dtypes.prng_key):
                return key_of(leaf)
            return jnp.asarray(leaf)

        state = jax.tree.map(whole, keys, first)
        batches = Repeated(jax.tree.map(jnp.asarray, self.inputs["batch"]))
        with (
            tempfile.TemporaryDirectory() as folder,
            Checkpoints(folder, async_=False) as kept,
        ):
            found = fit(
                self.step(),
                state,
                batches,
                steps=STEPS,
                checkpoints=kept,
                progress=False,
            ).state
            restored = kept.restore(state).state
        return without_keys(found), without_keys(restored), jax.tree.structure(state)

    def on_devices(self, count: int = 2) -> Any:
        """The last state and metrics with the batch divided over devices."""
        mesh = jax.make_mesh(
            (count,), ("data",), axis_types=(jax.sharding.AxisType.Auto,)
        )
        split, all_of_it = NamedSharding(mesh, P("data")), NamedSharding(mesh, P())
        batch = jax.device_put(self.inputs["batch"], split)
        params = jax.device_put(self.inputs["params"], all_of_it)

        def run(params: Any, batch: Any) -> Any:
            return without_keys(self.run(self.step(), self.state(params), batch))

        jitted = jax.jit(run, compiler_options=programs.QUICK)
        return jax.device_get(jitted(params, batch))

    # Without a program

    def types(self, dtype: Any) -> tuple[Any, Any, Any]:
        """Types of the state before and after a step, and of the metrics."""
        narrow = lambda x: np.asarray(x).astype(dtype)
        params, batch = (floats(narrow, self.inputs[n]) for n in ("params", "batch"))
        state = jax.eval_shape(self.state, params)
        after, metrics = jax.eval_shape(self.step(), state, batch)
        text = lambda tree: jax.tree.map(lambda x: (x.shape, str(x.dtype)), tree)
        return text(state), text(after), text(metrics)
