"""A row of a metric, and the values that its checks compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from battery.metric.references import REFERENCES
from battery.parts.subject import Form, Subject, Tree, is_float
from jaxopt_lab.catalog import CATALOG
from jaxopt_lab.catalog.part import loaded


class MetricSubject(Subject):
    """A metric of mergeable sums as a function of one batch.

    The example says the entries of the batch, ``best`` and ``worst``, outputs that
    give the ends of the range (a dict with targets where the example's do not), and
    options.
    """

    kind = "metric"
    first = "expected_calibration_error"
    varied = ("outputs",)
    examples = ("outputs", "targets", "weight")
    differentiable = False

    def __init__(self, row: Any, *, apart: bool = False):
        super().__init__(row, apart=apart)
        self.ends: dict[str, Any] = {
            n: self.inputs.pop(n, None) for n in ("best", "worst")
        }

    def metric(self, **options: Any) -> Any:
        """The metric with the example's options and others."""
        return self.row.make(**{**self.options, **options})

    def sums(self, inputs: Mapping[str, Any]) -> Any:
        """Sums of no examples, in the type of the outputs' statistics."""
        wide = inputs["outputs"].dtype == jnp.float64
        return self.metric().init(jnp.float64 if wide else jnp.float32)

    def call(self, inputs: Mapping[str, Any], key: Any) -> Tree:
        metric = self.metric()
        sums = metric.update(self.sums(inputs), inputs)
        return {"sums": sums, "values": metric.compute(sums)}

    def result_dtype(self, dtype: Any) -> Any:
        return jnp.float64 if dtype == jnp.float64 else jnp.float32

    def neutral(self) -> Form:
        setting = self.row.reduces_to

        def both(inputs: Any) -> Any:
            metric = self.metric(**setting.options)
            found = metric.compute(metric.update(self.sums(inputs), inputs))
            if setting.equals in CATALOG:
                other = CATALOG[setting.equals].make(**setting.given)
                return found, other.compute(other.update(other.init(), inputs))
            given = {**inputs, **setting.given}
            return found, loaded(setting.equals)(**given)

        return both, (self.inputs,)

    def repeated(self) -> Any:
        def function(sums: Any, inputs: Any) -> Any:
            return self.metric().update(sums, inputs)

        zeros = jax.tree.map(
            lambda s: np.zeros(s.shape, s.dtype), jax.eval_shape(self.sums, self.inputs)
        )
        return function, (zeros, self.inputs), lambda args, out: (out, self.others)

    def forms(self) -> dict[str, Callable[[], Form]]:
        named: dict[str, Callable[[Any], Any]] = {
            "split": self._split,
            "padded": self._padded,
            "end": self._end,
        }
        return {n: lambda f=f: (f, (self.inputs,)) for n, f in named.items()}

    def _total(self, *batches: Any) -> Any:
        metric, inputs = self.metric(), self.inputs
        sums = self.sums(inputs)
        for batch in batches:
            sums = metric.update(sums, batch)
        return metric.compute(sums)

    def _split(self, inputs: Any) -> Any:
        """Values of the batch, of its parts in two orders, and of merged sums."""
        metric = self.metric()
        part = lambda a, b: {k: v[a:b] for k, v in inputs.items()}
        parts = [part(0, 1), part(1, 3), part(3, None)]
        each = [metric.update(self.sums(inputs), p) for p in parts]
        merged = metric.merge(metric.merge(each[2], each[0]), each[1])
        flipped = {k: v[::-1] for k, v in inputs.items()}
        empty = self.sums(inputs)
        return {
            "batch by batch": self._total(*parts),
            "in another order": self._total(*parts[::-1]),
            "reversed": self._total(flipped),
            "merged": metric.compute(merged),
            "merged with nothing": metric.compute(
                metric.merge(empty, metric.update(self.sums(inputs), inputs))
            ),
        }

    def _padded(self, inputs: Any) -> Any:
        """With padding of NaN behind, and with each example twice as weight 2."""
        count = len(inputs["targets"])
        behind = {
            k: jnp.concatenate([v, jnp.full_like(v, jnp.nan if is_float(v) else 0)])
            for k, v in inputs.items()
            if k != "weight"
        }
        weight = jnp.asarray(inputs.get("weight", jnp.ones(count)))
        behind["weight"] = jnp.concatenate([weight, jnp.zeros(count)])
        ones = {**inputs, "weight": weight}
        doubled = {**inputs, "weight": weight.at[0].mul(2)}
        return {
            "padding": self._total(behind),
            "ones": self._total(ones),
            "doubled": self._total(doubled),
            "repeated": self._total(ones, {k: v[:1] for k, v in ones.items()}),
        }

    def _end(self, inputs: Any) -> Any:
        found = {}
        for name, end in self.ends.items():
            given = end if isinstance(end, dict) else {"outputs": end}
            given = {k: jnp.asarray(v) for k, v in given.items()}
            found[name] = self._total({"targets": inputs["targets"], **given})
        return found

    def reference(self) -> dict[str, float]:
        """Values of the reference, in plain NumPy."""
        reference: Any = self.row.reference
        if not callable(reference):
            reference = REFERENCES[self.row.name]
        found: Any = reference(**self.inputs, **self.options)
        return found
