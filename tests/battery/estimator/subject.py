"""A row of an estimator, and the values that its checks compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from battery.estimator.references import MEASURES, ORACLES
from battery.parts.subject import Form, Subject, Tree, in_turn, is_float
from jaxopt_lab.catalog.part import loaded
from jaxopt_lab.core.trees import accumulation_dtype


class EstimatorSubject(Subject):
    """An estimator as a function of its data: the fit and what it makes of them.

    The example says ``data``, a dict of arrays of examples, ``inputs`` of ``apply``,
    options, and degenerate data by name in ``degenerate``.
    """

    kind = "estimator"
    first = "temperature_scaling"
    varied = ("data",)
    moving = ("data",)
    examples = ("data", "inputs")

    def __init__(self, row: Any, *, apart: bool = False):
        super().__init__(row, apart=apart)
        self.degenerate = self.inputs.pop("degenerate", {})

    def fit(self, data: Any, key: Any = None, where: Any = None, **options: Any) -> Any:
        """The fit with the example's options and others."""
        key = None if key is None else jax.random.wrap_key_data(key)
        chosen = {**self.options, **options}
        return self.row.load()(data, where=where, key=key, **chosen)

    def apply(self, fitted: Any, inputs: Any) -> Any:
        """What a fit makes of inputs."""
        return loaded(self.row.apply)(fitted, inputs)

    def call(self, inputs: Mapping[str, Any], key: Any) -> Tree:
        fitted = self.fit(inputs["data"], key)
        return {"fitted": fitted, "applied": self.apply(fitted, inputs["inputs"])}

    def shapes(self, dtype: Any) -> Tree:
        # The applied inputs keep their type; the fit is as wide as statistics are.
        found = super().shapes(dtype)
        for leaf in filter(is_float, jax.tree.leaves(found["applied"])):
            assert leaf.dtype == dtype, f"inputs of {dtype} become {leaf.dtype}"
        return found["fitted"]

    def result_dtype(self, dtype: Any) -> Any:
        return accumulation_dtype(dtype)

    def neutral(self) -> Form:
        setting = self.row.reduces_to

        def both(inputs: Any) -> Any:
            fitted = self.fit(inputs["data"], **setting.options)
            simpler = loaded(setting.equals)(inputs["inputs"], **setting.given)
            return self.apply(fitted, inputs["inputs"]), simpler

        return both, (self.inputs,)

    def documented(self) -> list[Any]:
        return [self.row.load(), loaded(self.row.apply)]

    def forms(self) -> dict[str, Callable[[], Form]]:
        named: dict[str, Callable[[Any], Any]] = {
            "rearranged": self._rearranged,
            "weighted": self._weighted,
            "degenerate": self._degenerate,
        }
        return {n: lambda f=f: (f, (self.inputs,)) for n, f in named.items()}

    def _rearranged(self, inputs: Any) -> Any:
        flipped = jax.tree.map(lambda x: x[::-1], inputs["data"])
        return tuple(in_turn(self.fit, inputs["data"], flipped))

    def _weighted(self, inputs: Any) -> Any:
        """Weight 2 and a repeated example; weight 0 on NaN and none at all."""
        data = inputs["data"]
        count = jax.tree.leaves(data)[0].shape[0]
        ones = jnp.ones(count)
        repeated = jax.tree.map(lambda x: jnp.concatenate([x, x[:1]]), data)
        rest = jax.tree.map(lambda x: x[1:], data)
        bad = jax.tree.map(
            lambda x: jnp.asarray(x).at[0].set(jnp.nan) if is_float(x) else x, data
        )
        one, two, none = in_turn(
            lambda case: self.fit(case[0], where=case[1]),
            (data, ones),
            (data, ones.at[0].set(2)),
            (bad, ones.at[0].set(0)),
        )
        return {
            "weights of one": (one, self.fit(data)),
            "weight 2": (two, self.fit(repeated)),
            "weight 0": (none, self.fit(rest)),
        }

    def _degenerate(self, inputs: Any) -> Any:
        """Fits of degenerate data and of no data, applied."""
        count = jax.tree.leaves(inputs["data"])[0].shape[0]
        found = {}
        for name, data in self.degenerate.items():
            fitted = self.fit(jax.tree.map(jnp.asarray, data))
            found[name] = fitted, self.apply(fitted, inputs["inputs"])
        fitted = self.fit(inputs["data"], where=jnp.zeros(count))
        found["empty"] = fitted, self.apply(fitted, inputs["inputs"])
        return found

    def oracle(self) -> Any:
        """The fit of the oracle, in plain NumPy."""
        oracle = getattr(self.row, "oracle", None) or ORACLES[self.row.name]
        return oracle(**self.inputs["data"])

    def improves(self) -> tuple[float, float]:
        """The row's monotone quantity without and with the fit, in plain NumPy."""
        data, fitted = self.inputs["data"], self.values["plain"]["fitted"]
        measure = getattr(self.row, "measure", None) or MEASURES[self.row.name]
        return measure(None, **data), measure(fitted, **data)
