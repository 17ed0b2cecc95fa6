"""A row of a layer, and the values that its checks compare."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.extend.core import Literal

import jaxopt_lab
from battery.parts.subject import (
    KEY,
    Form,
    Subject,
    Tree,
    floats,
    in_turn,
    is_float,
    weighted_sum,
)
from jaxopt_lab.catalog import CATALOG
from jaxopt_lab.catalog.part import loaded
from jaxopt_lab.core import backward_state
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.training import init_state, make_train_step
from jaxopt_lab.training.adapters import from_linen, from_nnx

Core = Any


class LayerSubject(Subject):
    """A layer in training mode, as a function of input, parameters and state.

    The example says ``x`` and options; ``params`` and ``state`` of the inputs are
    added to the layer's first ones, so that nothing stands at a special value.
    """

    kind = "layer"
    first = "ghost_batch_norm"
    varied = ("x",)
    moving = ("x", "params")
    examples = ("x", "mask")

    def __init__(self, row: Any, *, apart: bool = False):
        super().__init__(row, apart=apart)
        shapes = jax.eval_shape(self.core().init, jax.random.wrap_key_data(KEY))

        def offset(leaf: Any) -> Any:
            if not is_float(leaf):
                return np.zeros((), leaf.dtype)
            waves = np.cos(np.arange(leaf.size)).reshape(leaf.shape)
            return 0.2 + 0.1 * waves

        self.inputs["params"] = jax.tree.map(offset, shapes[0])
        self.inputs["state"] = jax.tree.map(offset, shapes[1])

        if row.gradient != "sampled":
            self.slopes_of = self.sound  # type: ignore[method-assign]
        if row.gradient == "own":  # that of the parameters is that of the value
            self.moving = ("params",)  # type: ignore[misc]

    @property
    def slope_tolerance(self) -> float:  # type: ignore[override]
        """Rounded residuals and the mean of samples are near."""
        return 1e-6 if self.row.gradient in ("exact", "own") else 0.03

    def scored(self, results: Tree) -> Tree:
        """Running ranges of residuals and the target of a penalty are constants."""
        if self.row.gradient != "exact":
            return results["y"]
        state = results["state"]
        moving = {n: s for n, s in state.items() if not n.endswith("_penalty")}
        return {"y": results["y"], "state": moving}

    def slopes_of(self, inputs: Mapping[str, Any]) -> tuple[Tree, list[Any]]:
        """The derivatives; their mean over many keys where they are random."""
        keys = jnp.stack([jnp.full(4096, 5), jnp.arange(4096)], 1).astype(jnp.uint32)
        each = jax.vmap(lambda key: self.gradient(inputs, key)[1])(keys)
        return (), [jnp.mean(g, axis=0) for g in each]

    @property
    def features(self) -> int:
        """Size of the last axis of the example."""
        return jax.tree.leaves(self.inputs["x"])[0].shape[-1]

    def core(self, features: int | None = None, **options: Any) -> Core:
        """The pure core, with the example's options and others."""
        chosen = self.row.checked({**self.options, **options})
        build = self.row.load()
        if "kernel_init" in inspect.signature(build).parameters:
            # Drawn in every form, normal numbers are most of the program.
            chosen["kernel_init"] = jax.nn.initializers.constant(0.1)
        return build(features or self.features, **chosen)

    def start(self, inputs: Mapping[str, Any], key: Any, core: Core = None) -> Any:
        """``(params, state)`` that the inputs stand for, of their types."""
        core = self.core() if core is None else core

        def added(first: Any, offset: Any) -> Any:
            # At another setting it may have another size.
            same = first.shape == offset.shape
            return first.astype(offset.dtype) + (offset if same else offset.ravel()[0])

        first = core.init(jax.random.wrap_key_data(key))
        given = (inputs["params"], inputs["state"])
        # At another setting a layer may have fewer parameters.
        given = tuple({n: g[n] for n in f} for f, g in zip(first, given, strict=True))
        return jax.tree.map(added, tuple(first), given)

    def call(self, inputs: Mapping[str, Any], key: Any) -> Tree:
        return self.train(self.core(), inputs, key)

    def train(self, core: Core, inputs: Mapping[str, Any], key: Any) -> Tree:
        """Output and state of a call in training mode."""
        params, state = self.start(inputs, KEY, core)
        options = {"key": jax.random.wrap_key_data(key), "mask": inputs.get("mask")}
        return self.trained(core, params, state, inputs["x"], options)

    def trained(
        self, core: Core, params: Any, state: Any, x: Any, options: Any, first: int = 0
    ) -> Tree:
        """Output and state of a training call, a state of the backward pass as well.

        ``first`` is the number of the first example: the slope of an output depends on
        it, and not on those behind it.
        """
        made = backward_state.found(state)
        if not made:
            y, state = core.apply(params, state, x, train=True, **options)
            return {"y": y, "state": state}

        def outputs(made: Any) -> Any:
            given = backward_state.replaced(state, made)
            return core.apply(params, given, x, train=True, **options)

        y, back, state = jax.vjp(outputs, made, has_aux=True)
        numbers = jnp.arange(y.size) + first * (y.size // max(y.shape[0], 1))
        slopes = (
            jnp.cos(1.0 + numbers.astype(jnp.float64)).reshape(y.shape).astype(y.dtype)
        )
        new = backward_state.taken(made, back(slopes.astype(y.dtype))[0])
        return {"y": y, "state": backward_state.replaced(state, new)}

    def neutral(self) -> Form:
        setting = self.row.reduces_to
        core = self.core(**setting.options)

        def simpler(inputs: Any, params: Any, state: Any) -> Any:
            if setting.equals in CATALOG:
                other = CATALOG[setting.equals].make(self.features, **setting.given)
                return other.apply(params, state, inputs["x"], train=True)[0]
            part = loaded(setting.equals)
            if str(setting.equals).startswith("jax."):
                return part(inputs["x"], **setting.given)
            if not inspect.isclass(part):
                return part(params, inputs["x"], **setting.given)
            build = lambda rngs: part(self.features, rngs=rngs, **setting.given)
            module = from_nnx(build)
            # The simpler thing may have no state where the part has one.
            kept = jax.eval_shape(module.init, jax.random.wrap_key_data(KEY))[1]
            own = state if kept else {}
            return module.apply(params, own, inputs["x"], train=True)[0]

        def both(inputs: Any) -> Any:
            params, state = self.start(inputs, KEY, core)
            return self.train(core, inputs, KEY)["y"], simpler(inputs, params, state)

        return both, (self.inputs,)

    def repeated(self) -> Any:
        def function(params: Any, state: Any, x: Any, key: Any) -> Any:
            return self.core().apply(
                params, state, x, train=True, key=jax.random.wrap_key_data(key)
            )

        params, state = self.values["start"]

        def following(args: Any, results: Any) -> Any:
            return args[0], results[1], self.others["x"], args[3]

        return function, (params, state, self.inputs["x"], KEY), following

    def documented(self) -> list[Any]:
        return [self.row.load(), loaded(self.row.module)]

    def forms(self) -> dict[str, Callable[[], Form]]:
        named = {
            "start": lambda i: self.start(i, KEY),
            "evaluation": self._evaluation,
            "alone": self._alone,
            "positions": self._positions,
            "padded": self._padded,
            "divided": self._divided,
            "first_pass": self._first_pass,
            "large_mean": self._large_mean,
            "nnx": lambda i: self._as_module(i, self._nnx),
        }
        return {n: lambda f=f: (f, (self.inputs,)) for n, f in named.items()}

    def rare_forms(self) -> dict[str, Callable[[], Form]]:
        linen = lambda i: self._as_module(i, self._linen)
        return {"linen": lambda: (linen, (self.inputs,))}

    def _evaluate(self, inputs: Any, x: Any, state: Any = None) -> Any:
        params, first = self.start(inputs, KEY)
        state = first if state is None else state
        return self.core().apply(params, state, x, train=False)

    def _evaluation(self, inputs: Any) -> Any:
        """First example beside two sets of others, and the state before and after."""
        x, state = inputs["x"], self.start(inputs, KEY)[1]
        neighbours = jax.tree.map(
            lambda a, b: jnp.concatenate([a[:1], b[1:]]), x, self.others["x"]
        )
        evaluate = lambda x: self._evaluate(inputs, x)
        (y, after), (z, last) = in_turn(evaluate, x, neighbours)
        # In one loop: two programs may differ in the order of sums.
        before = lambda state: self._evaluate(inputs, x, state)[0]
        return {
            "beside": jax.tree.map(lambda a: a[:1], (y, z)),
            "order": tuple(in_turn(before, state, last)),
            "state": (state, after),
        }

    def _alone(self, inputs: Any) -> Any:
        """Two examples, each alone, and the batch."""
        whole = self.call(inputs, KEY)["y"]

        def own(i: int) -> Any:
            mine = lambda a: a[i : i + 1]
            return {n: jax.tree.map(mine, inputs[n]) for n in self.present()}

        one = lambda own: self.call({**inputs, **own}, KEY)["y"]
        parts = in_turn(one, own(0), own(1))
        together = jax.tree.map(lambda *a: jnp.concatenate(a), *parts)
        return together, jax.tree.map(lambda a: a[:2], whole)

    def _positions(self, inputs: Any) -> Any:
        """The first position beside others, and as it was."""

        def moved(a: Any, b: Any) -> Any:
            return a if a.ndim < 3 else jnp.concatenate([a[:, :1], b[:, 1:]], axis=1)

        x = jax.tree.map(moved, inputs["x"], self.others["x"])
        first = lambda y: jax.tree.map(lambda a: a[:, :1], y)
        one = lambda x: first(self.call({**inputs, "x": x}, KEY)["y"])
        return tuple(in_turn(one, x, inputs["x"]))

    def _padded(self, inputs: Any) -> Any:
        """With as much padding behind, with one example masked, and their gradients."""
        x = inputs["x"]
        count = jax.tree.leaves(x)[0].shape[0]
        behind = jax.tree.map(
            lambda a: jnp.concatenate(
                [a, jnp.full_like(a, jnp.nan) if is_float(a) else a]
            ),
            x,
        )
        valid = jnp.arange(2 * count) < count

        def with_mask(given: Any) -> Any:
            def total(params: Any) -> Any:
                found = self.call({**inputs, "params": params, **given}, KEY)
                first = jax.tree.map(lambda a: a[:count], found["y"])
                return weighted_sum(first), found

            if self.row.gradient == "sampled":  # other rows are drawn
                return total(inputs["params"])[1], {}
            slope, found = jax.grad(total, has_aux=True)(inputs["params"])
            return found, slope

        masked = jnp.arange(count) != 1

        def filled(a: Any, by: float) -> Any:
            here = masked.reshape((-1,) + (1,) * (a.ndim - 1))
            return jnp.where(here, a, by) if is_float(a) else a

        fill = lambda by: jax.tree.map(lambda a: filled(a, by), x)
        whole = {"x": x, "mask": jnp.ones(count)}
        holes = [{"x": fill(b), "mask": 1.0 * masked} for b in (0.0, jnp.nan)]
        plain, *inside = in_turn(with_mask, whole, *holes)
        padded, slope = with_mask({"x": behind, "mask": valid})
        tail = jax.tree.map(lambda a: a[count:], padded["y"])
        padded["y"] = jax.tree.map(lambda a: a[:count], padded["y"])
        padding = (plain, (padded, slope))
        return {"padding": padding, "tail": tail, "inside": tuple(inside)}

    def _divided(self, inputs: Any) -> Any:
        """The batch divided over an axis of two, and whole."""
        params, state = self.start(inputs, KEY)
        halves = jax.tree.map(lambda a: a.reshape(2, -1, *a.shape[1:]), inputs["x"])

        def one(x: Any) -> Any:
            key = jax.random.wrap_key_data(KEY)
            options = {"key": key, "axis_name": "data"}
            count = jax.tree.leaves(x)[0].shape[0]
            first: Any = jax.lax.axis_index("data") * count
            found = self.trained(self.core(), params, state, x, options, first)
            return found["y"], found["state"]

        y, after = jax.vmap(one, axis_name="data")(halves)
        join = lambda a: a.reshape(-1, *a.shape[2:])
        each = [jax.tree.map(lambda a, d=d: a[d], after) for d in range(2)]
        return {"y": jax.tree.map(join, y), "states": each}

    def _first_pass(self, inputs: Any) -> Any:
        """State of the model after a step of SAM, and after its first pass."""
        params, state = self.start(inputs, KEY)
        core = self.core()
        key = jax.random.wrap_key_data(KEY)

        def loss(params: Any, state: Any, batch: Any, key: Any) -> Any:
            y, state = core.apply(params, state, batch, train=True, key=key)
            return weighted_sum(y), (state, {})

        tx = optax.chain(jaxopt_lab.sam(0.5), optax.sgd(0.1))
        step = make_train_step(loss, tx)
        train = init_state(tx, params, key, model_state=state)
        options = {"key": key}
        expected = self.trained(core, params, state, inputs["x"], options)["state"]
        return step(train, inputs["x"])[0].model_state, expected

    def _large_mean(self, inputs: Any) -> Any:
        """Inputs about 1000, in two narrow types with float32 state and in float64.

        Outputs of bfloat16 are left out: they are rounded.
        """
        far = jax.tree.map(
            lambda x: 1000 + x if is_float(x) and x.ndim > 1 else x, inputs["x"]
        )
        own = {name: inputs[name] for name in ("params", "state")}
        single = floats(lambda x: x.astype(jnp.float32), own)
        narrow = [
            floats(lambda x, d=dtype: x.astype(d), far)
            for dtype in (jnp.bfloat16, jnp.float32)
        ]
        half, full = (self.call({**inputs, **single, "x": x}, KEY) for x in narrow)
        exact = [floats(lambda x: x.astype(jnp.float64), x) for x in narrow]
        one = lambda x: self.call({**inputs, **own, "x": x}, KEY)
        wanted = in_turn(one, *exact)
        pairs = [(half["state"], wanted[0]["state"]), (full, wanted[1])]
        return floats(lambda x: x.astype(jnp.float64), pairs)

    def complex_results(self) -> Iterator[tuple[str, Any]]:
        """Types of the results with one leaf of parameters or state complex, by name;
        an ``InputError`` where it is refused."""
        single, core = self.cast(np.float32), self.core()
        params, state = jax.eval_shape(lambda i: self.start(i, KEY, core), single)

        def applied(given: Any, x: Any) -> Any:
            return core.apply(*given, x, train=True, key=jax.random.wrap_key_data(KEY))

        leaves, tree = jax.tree.flatten((params, state))
        paths = [path for path, _ in jax.tree.leaves_with_path((params, state))]
        for i, leaf in enumerate(leaves):
            if not jnp.issubdtype(leaf.dtype, jnp.floating):
                continue
            wide = jax.ShapeDtypeStruct(leaf.shape, jnp.complex64)
            given = tree.unflatten([*leaves[:i], wide, *leaves[i + 1 :]])
            try:
                result = jax.eval_shape(applied, given, single["x"])
            except InputError as error:
                result = error
            yield jax.tree_util.keystr(paths[i][1:], simple=True), result

    def _nnx(self, core: Core) -> Functional:
        from jaxopt_lab.layers import NnxLayer

        return from_nnx(lambda rngs: NnxLayer(core, rngs=rngs))

    def _linen(self, core: Core) -> Functional:
        from jaxopt_lab.layers import LinenLayer

        module = from_linen(LinenLayer(core), self.inputs["x"])

        def init(key: Any) -> Any:
            params, state = module.init(key)
            return params, state.get("batch_stats", {})

        def apply(params: Any, state: Any, x: Any, **options: Any) -> Any:
            wrapped = {"batch_stats": state} if state else {}
            y, after = module.apply(params, wrapped, x, **options)
            return y, after.get("batch_stats", {})

        return Functional(init, apply)

    def _as_module(self, inputs: Any, module_of: Callable[[Core], Functional]) -> Any:
        """``(module, core)``: first variables, training and evaluation."""
        core, keys = self.core(), []

        def listening(*args: Any, **options: Any) -> Any:
            keys.append(options.get("key"))
            return core.apply(*args, **options)

        module = module_of(Functional(core.init, listening))
        params, state = self.start(inputs, KEY)
        key = jax.random.wrap_key_data(KEY)
        trained = module.apply(params, state, inputs["x"], train=True, key=key)
        # A module hands the core a key that it derives from its own.
        given = keys[-1]
        assert given is not None, "the module hands the core no key"
        evaluated = module.apply(params, state, inputs["x"], train=False)
        return {
            "training": (
                trained,
                core.apply(params, state, inputs["x"], train=True, key=given),
            ),
            "evaluation": (evaluated, self._evaluate(inputs, inputs["x"])),
            "variables": (module.init(key), core.init(key)),
        }

    # Without a program

    def documented_bytes(self) -> float:
        """The row's ``residual_bytes``, an expression in the options."""
        values = {**self.row.defaults(), **self.options}
        return float(eval(self.row.residual_bytes, {"__builtins__": {}}, values))

    def state_types(self, train: bool) -> tuple[Any, Any]:
        """Shapes, types and weak types of the state before and after a call."""
        core = self.core()
        params, state = jax.eval_shape(core.init, jax.random.wrap_key_data(KEY))

        def after(params: Any, state: Any, x: Any) -> Any:
            key = jax.random.wrap_key_data(KEY)
            return core.apply(params, state, x, train=train, key=key)[1]

        x = self.cast(np.float32)["x"]
        return state, jax.eval_shape(after, params, state, x)

    def residual_bytes(self) -> float:
        """Bytes kept for the gradient per element of a float32 input."""
        # A kernel is kept, too; beside large images it hardly counts.
        features = 32 if "conv" in self.row.replaces else 256
        features = 16 if self.row.matrices else features
        core = self.core(features)
        own, *further = jax.tree.leaves(self.inputs["x"])

        def large(x: Any) -> Any:
            """Large, so that statistics hardly count."""
            places = [16 * n for n in x.shape[1:-1]]
            if self.row.matrices:
                places[-1] = features
            return jax.ShapeDtypeStruct((x.shape[0], *places, features), np.float32)

        shape = lambda x: (x.ndim, x.shape[-1:])

        def beside(x: Any) -> Any:
            # Another level or a second set of vectors; or times, labels, edges.
            if shape(x) == shape(own):
                return large(x)
            return jax.ShapeDtypeStruct(x.shape, np.float32 if is_float(x) else x.dtype)

        leaves = [large(own), *map(beside, further)]
        x = jax.tree.unflatten(jax.tree.structure(self.inputs["x"]), leaves)
        params, state = jax.eval_shape(core.init, jax.random.wrap_key_data(KEY))

        def kept(params: Any, x: Any, state: Any) -> Any:
            key = jax.random.wrap_key_data(KEY)
            run = lambda p, x: core.apply(p, state, x, train=True, key=key)[0]
            return jax.tree.leaves(jax.vjp(run, params, x)[1])

        jaxpr = jax.make_jaxpr(kept)(params, x, state).jaxpr
        first = len(jax.tree.leaves(params))
        alike = [x for x in leaves if shape(x) == shape(leaves[0])]
        free = set(jaxpr.invars) - set(jaxpr.invars[first : first + len(alike)])
        kept_vars = {v for v in jaxpr.outvars if not isinstance(v, Literal)} - free
        total = sum(v.aval.size * v.aval.dtype.itemsize for v in kept_vars)
        return total / sum(x.size for x in alike)
