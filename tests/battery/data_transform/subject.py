"""A row of a data transform on a tiny batch, and the values that its checks compare."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from battery.parts.subject import KEY, OTHER_KEY, Form, Subject, Tree, is_float
from jaxopt_lab.catalog.part import loaded

EXTRA = "untouched"


class DataTransformSubject(Subject):
    """A data transform as a function of a batch and a key.

    The example says ``batch``, options, and other arguments of the builder.
    """

    kind = "data transform"
    first = "mixup"
    varied = ("batch",)
    examples = ("batch",)
    # Data are not differentiated through, and two gradients cost more than the rest.
    differentiable = False

    def __init__(self, row: Any, *, apart: bool = False):
        super().__init__(row, apart=apart)
        self.arguments = {k: v for k, v in self.inputs.items() if k != "batch"}
        self.inputs = {"batch": self.inputs["batch"]}

    def transform(self, **options: Any) -> Callable[..., Any]:
        """The transform with the example's options and others."""
        chosen = {**self.row.checked({**self.options, **options}), **self.arguments}
        return self.row.load()(**chosen)

    def call(self, inputs: Mapping[str, Any], key: Any) -> Tree:
        key = jax.random.wrap_key_data(key)
        return self.transform()(key, jax.tree.map(jax.numpy.asarray, inputs["batch"]))

    def neutral(self) -> Form:
        setting = self.row.reduces_to
        other = loaded(setting.equals)
        taken = inspect.signature(other).parameters
        shared = {k: v for k, v in self.options.items() if k in taken}
        simpler = other(**{**shared, **setting.given})

        def both(inputs: Any) -> Any:
            key = jax.random.wrap_key_data(KEY)
            part = self.transform(**setting.options)
            return part(key, inputs["batch"]), simpler(key, inputs["batch"])

        return both, (self.inputs,)

    def forms(self) -> dict[str, Callable[[], Form]]:
        def extra(inputs: Any) -> Any:
            count = jax.tree.leaves(inputs["batch"])[0].shape[0]
            more = np.arange(count)
            found = self.call({"batch": {**inputs["batch"], EXTRA: more}}, KEY)
            return found.get(EXTRA, -1), more

        return {
            "other key": lambda: (self.call, (self.inputs, OTHER_KEY)),
            "extra": lambda: (extra, (self.inputs,)),
        }

    def kept(self, name: str) -> bool:
        """Whether an entry of integers comes back as it was."""
        found = self.values["plain"].get(name)
        return np.array_equal(found, self.inputs["batch"][name])

    def same_shapes(self) -> bool:
        """Whether all entries have their old shapes."""
        found = self.values["plain"]
        pairs = ((np.shape(x), np.shape(found.get(n))) for n, x in self.batch.items())
        return all(a == b for a, b in pairs)

    @property
    def batch(self) -> dict[str, Any]:
        """The batch."""
        return self.inputs["batch"]

    @property
    def labels(self) -> list[str]:
        """Names of the entries of integers."""
        return [name for name, x in self.batch.items() if not is_float(x)]
