"""A row of an initializer, and the values that its checks compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from battery import programs
from battery.parts.subject import KEY, OTHER_KEY, Form, Subject, Tree
from jaxopt_lab.catalog.part import loaded

# Wide enough for the law of large numbers, small enough for a singular value
# decomposition.
LARGE = (96, 128)


class InitializerSubject(Subject):
    """An initializer as a function of the key.

    The example says ``shape`` and options; the type of ``like`` is that of the result.
    """

    kind = "initializer"
    first = "lecun_normal_untruncated"

    def __init__(self, row: Any, *, apart: bool = False):
        super().__init__(row, apart=apart)
        self.shape = tuple(self.inputs.pop("shape"))
        self.inputs = {"like": np.zeros((), np.float64)}

    def make(self, key: Any, shape: Any, dtype: Any, **options: Any) -> Any:
        """Numbers of a shape, with the example's options and others."""
        chosen = {**self.options, **options}
        key = jax.random.wrap_key_data(key)
        return self.row.load()(key, shape, dtype, **chosen)

    def call(self, inputs: Mapping[str, Any], key: Any) -> Tree:
        return self.make(key, self.shape, inputs["like"].dtype)

    def repeated(self) -> Any:
        following = lambda args, results: (args[0], OTHER_KEY)
        return self.call, (self.inputs, KEY), following

    def neutral(self) -> Form:
        setting = self.row.reduces_to

        def both(inputs: Any) -> Any:
            dtype = inputs["like"].dtype
            found = self.make(KEY, self.shape, dtype, **setting.options)
            other = loaded(setting.equals)(**setting.given)
            return found, other(jax.random.wrap_key_data(KEY), self.shape, dtype)

        return both, (self.inputs,)

    def forms(self) -> dict[str, Callable[[], Form]]:
        def draws(inputs: Any) -> Any:
            key = lambda i: KEY + jnp.uint32(i)
            return [self.make(key(i), LARGE, jnp.float64) for i in range(4)]

        def keys(inputs: Any) -> Any:
            one, two = (self.call(inputs, k) for k in (KEY, OTHER_KEY))
            key = jax.random.wrap_key_data(KEY)
            raw = self.row.load()(
                jax.random.key_data(key), self.shape, jnp.float64, **self.options
            )
            return {"one": one, "other": two, "raw": raw}

        named = {"draws": draws, "keys": keys}
        return {n: lambda f=f: (f, (self.inputs,)) for n, f in named.items()}

    def rare_forms(self) -> dict[str, Callable[[], Form]]:
        # float32 draws are other numbers than float64 ones.
        tiled = lambda i, k: self.make(k, (8, *self.shape), i["like"].dtype)
        return {"tiled": lambda: (tiled, (self.inputs, KEY))}

    def on_devices(self, count: int = 8) -> Tree:
        mesh = jax.make_mesh((count,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
        with jax.set_mesh(mesh):
            jitted = jax.jit(
                lambda k: self.make(k, (count, *self.shape), jnp.float64),
                out_shardings=NamedSharding(mesh, P("x")),
                compiler_options=programs.QUICK,
            )
            return jax.device_get(jitted(KEY))

    def moments(self) -> tuple[Any, Any]:
        """Mean, variance and kurtosis: of many numbers, and those of the row."""
        numbers = np.stack(self.values["draws"])
        apart = numbers - numbers.mean()
        variance = np.mean(apart**2)
        found = (numbers.mean(), variance, np.mean(apart**4) / variance**2)
        return found, self.formula(self.row.moments)

    def formula(self, text: str) -> Any:
        """A formula of the row at the large shape."""
        names = {"inputs": LARGE[0], "outputs": LARGE[1], "sqrt": np.sqrt, "abs": abs}
        return eval(text, {"__builtins__": {}}, {**names, **self.options})
