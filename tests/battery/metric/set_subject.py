"""A row of a metric of two sets, and the values that its checks compare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from battery.metric.references import REFERENCES
from battery.metric.subject import MetricSubject
from battery.parts.subject import KEY, Form, Subject, Tree
from jaxopt_lab.catalog.part import loaded

UNBOUNDED = ("density",)


class SetSubject(MetricSubject):
    """A metric ``m(real, generated, *, key, block, ...)``, a named tuple of estimates.

    The example says ``real``, ``generated``, ``best`` and ``worst``, generated points
    that give the ends of the range, options, and further arrays by the name of their
    argument.
    """

    varied = ("real", "generated")
    examples = ()

    def scores(self, inputs: Mapping[str, Any], key: Any, **more: Any) -> Any:
        """The metric's result."""
        given = self.row.checked(
            {k: v for k, v in {**self.options, **more}.items() if k in self.row.options}
        )
        rest = {k: v for k, v in more.items() if k not in self.row.options}
        key = jax.random.wrap_key_data(jnp.asarray(key))
        arrays = dict(inputs)
        sets = [arrays.pop(name) for name in self.varied]
        return self.row.load()(*sets, key=key, **arrays, **given, **rest)

    def call(self, inputs: Mapping[str, Any], key: Any) -> Tree:
        return apart(self.scores(inputs, key))

    def neutral(self) -> Form:
        setting = self.row.reduces_to

        def both(inputs: Any) -> Any:
            found = self.scores(inputs, KEY, **setting.options)
            wanted = loaded(setting.equals)(inputs["real"], inputs["generated"])
            return apart(found), apart(wanted)

        return both, (self.inputs,)

    def repeated(self) -> Any:
        return Subject.repeated(self)

    def forms(self) -> Any:
        return {
            "blocked": lambda: (
                lambda inputs: apart(self.scores(inputs, KEY, block=2)),
                (self.inputs,),
            ),
            "end": lambda: (self._end, (self.inputs,)),
        }

    def _end(self, inputs: Any) -> Any:
        return {
            name: self.call({**inputs, "generated": jnp.asarray(end)}, KEY)["values"]
            for name, end in self.ends.items()
        }

    def reference(self) -> dict[str, float]:
        reference: Any = self.row.reference
        if not callable(reference):
            reference = REFERENCES[self.row.name]
        found = reference(**self.inputs, **self.options)
        return {k: np.float64(v) for k, v in found.items()}


def apart(found: Any) -> dict[str, Any]:
    """Bounded values, and errors and the others."""
    every = found._asdict()
    rest = {n: e.error for n, e in every.items()}
    rest |= {f"{n} itself": every[n].value for n in UNBOUNDED if n in every}
    values = {n: e.value for n, e in every.items() if n not in UNBOUNDED}
    return {"values": values, "rest": rest}
