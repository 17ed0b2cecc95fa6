"""A row of a loss, and the values that its checks compare."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from battery.parts.subject import Form, Subject, Tree, in_turn, weighted_sum
from jaxopt_lab.catalog import CATALOG
from jaxopt_lab.catalog.part import loaded
from jaxopt_lab.core.trees import accumulation_dtype


def _shift(inputs: Any) -> Any:
    by = 1.0 + jnp.arange(inputs["outputs"].shape[0], dtype=inputs["outputs"].dtype)
    shape = (-1,) + (1,) * (inputs["outputs"].ndim - 1)
    return {**inputs, "outputs": inputs["outputs"] + by.reshape(shape)}


def _shift_all(inputs: Any) -> Any:
    """The same constant added to the logits and to further ones."""
    shifted = _shift(inputs)
    by = (shifted["outputs"] - inputs["outputs"])[:, :1]
    for name in ("mixed", "auxiliary"):
        if name in inputs:
            extra = (1,) * (inputs[name].ndim - by.ndim)
            shifted[name] = inputs[name] + by.reshape(by.shape + extra)
    return shifted


def _scale(name: str) -> Callable[[Any], Any]:
    return lambda inputs: {**inputs, name: 3.0 * inputs[name]}


INVARIANCES: dict[str, Callable[[Any], Any]] = {
    "a constant added to the logits": _shift,
    "a constant added to all logits": _shift_all,
    "one constant added to all outputs": lambda i: {**i, "outputs": i["outputs"] + 2.0},
    "scale of the embedding": _scale("embedding"),
    "scale of the outputs": _scale("outputs"),
}
"""Changes of the inputs, by the words of a row; several are separated by ``;``."""


class LossSubject(Subject):
    """A loss as a function of its inputs, state included.

    The example says ``outputs``, ``targets`` where it has them, further arrays by the
    name of their argument, options, and ``perfect``, outputs of the perfect answer.
    """

    kind = "loss"
    first = "emo"
    varied = ("outputs",)
    moving = ("outputs",)
    examples = ("outputs", "targets", "where")

    def __init__(self, row: Any, *, apart: bool = False):
        # Before the programs are listed: one of them has the first example alone.
        self.examples = (*type(self).examples, *row.aligned)
        super().__init__(row, apart=apart)
        self.perfect = self.inputs.pop("perfect", None)
        self.differentiable = not row.constant_factors

    def loss(self, inputs: Mapping[str, Any], state: Any = None, **options: Any) -> Any:
        """``(losses, state)`` of one call, from the first state where there is one."""
        given = dict(inputs)
        args = [given.pop(n) for n in ("outputs", "targets") if n in given]
        chosen = {**self.options, **options}
        if not self.row.stateful:
            return self.row.load()(*args, **given, **chosen), ()
        part = self.row.make(**chosen)
        state = part.init(args[0]) if state is None else state
        return part.apply(state, *args, **given)

    def call(self, inputs: Mapping[str, Any], key: Any) -> Tree:
        losses, state = self.loss(inputs)
        if not self.row.stateful:
            return losses
        # Once more, so that the state is not the first one.
        return losses, self.loss({**inputs, "outputs": inputs["outputs"] * 0.5}, state)

    def result_dtype(self, dtype: Any) -> Any:
        return accumulation_dtype(dtype)

    def neutral(self) -> Form:
        setting = self.row.reduces_to

        def both(inputs: Any) -> Any:
            part = self.loss(inputs, **setting.options)[0]
            slope = jax.grad(
                lambda o: weighted_sum(
                    self.loss({**inputs, "outputs": o}, **setting.options)[0]
                )
            )
            simple_slope = jax.grad(
                lambda o: weighted_sum(self.simpler({**inputs, "outputs": o}))
            )
            found = [part, self.simpler(inputs)]
            if self.differentiable or not self.row.stateful:
                outputs = jnp.asarray(inputs["outputs"])
                found = [
                    (found[0], slope(outputs)),
                    (found[1], simple_slope(outputs)),
                ]
            return tuple(found)

        return both, (self.inputs,)

    def simpler(self, inputs: Any) -> Any:
        """The losses of the simpler thing that the row names."""
        setting = self.row.reduces_to
        named = {n: inputs[n] for n in ("outputs", "targets") if n in inputs}
        known = setting.equals in CATALOG
        simple = CATALOG[setting.equals].load() if known else loaded(setting.equals)
        taken = inspect.signature(simple).parameters
        more = {n: x for n, x in inputs.items() if n in taken and n not in named}
        return simple(*named.values(), **more, **setting.given)

    def repeated(self) -> Any:
        if not self.row.stateful:
            return super().repeated()

        def function(inputs: Any, state: Any) -> Any:
            return self.loss(inputs, state)

        state = self.values["first_state"]
        following = lambda args, results: (self.others, results[1])
        return function, (self.inputs, state), following

    def forms(self) -> dict[str, Callable[[], Form]]:
        named: dict[str, Callable[[Any], Any]] = {
            "permuted": self._permuted,
            "dropped": self._dropped,
            "extreme": self._extreme,
            "invariant": self._invariant,
        }
        if self.row.stateful:
            named["first_state"] = lambda i: self.row.make(**self.options).init(
                i["outputs"]
            )
        if self.row.perfect is not None:
            named["perfect"] = lambda i: self._sloped({**i, "outputs": self.perfect})
        return {n: lambda f=f: (f, (self.inputs,)) for n, f in named.items()}

    def _sloped(self, inputs: Any) -> Any:
        """Losses and their gradient with respect to the outputs."""
        outputs = jnp.asarray(inputs["outputs"])
        total = lambda o: weighted_sum(self.loss({**inputs, "outputs": o})[0])
        return self.loss(inputs)[0], jax.grad(total)(outputs)

    def _permuted(self, inputs: Any) -> Any:
        """Losses of the reversed batch, reversed back, and those of the batch."""
        present = [n for n in self.examples if n in inputs]
        flipped = {n: jax.tree.map(lambda x: x[::-1], inputs[n]) for n in present}
        one = lambda given: self.loss(given)[0]
        losses, other = in_turn(one, inputs, {**inputs, **flipped})
        return other if self.row.couples else other[::-1], losses

    def _dropped(self, inputs: Any) -> Any:
        """The second example dropped, NaN or zero; ones as the mask, and no mask."""
        outputs = inputs["outputs"]
        leading = inputs["targets"].shape if "targets" in inputs else outputs.shape[:1]
        where = jnp.ones(leading).at[1].set(0)
        cases = [
            {"outputs": jnp.asarray(outputs).at[1].set(fill), "where": where}
            for fill in (jnp.nan, 0.0)
        ]
        cases.append({"outputs": jnp.asarray(outputs), "where": jnp.ones(leading)})
        one = lambda given: self._sloped({**inputs, **given})
        *found, whole = in_turn(one, *cases)
        return {"filled": found, "ones": (whole, self._sloped(inputs))}

    def _extreme(self, inputs: Any) -> Any:
        """Losses and gradients of outputs near the ends of float32's range."""
        outputs = jnp.asarray(inputs["outputs"], jnp.float32)
        signs = jnp.where(outputs >= 0, 1.0, -1.0).astype(jnp.float32)
        single = jax.tree.map(
            lambda x: (
                jnp.asarray(x, jnp.float32)
                if jnp.issubdtype(jnp.result_type(x), jnp.floating)
                else x
            ),
            inputs,
        )
        sizes = (1e4,) if self.row.regularizer else (1e4, 1e30)
        one = lambda outputs: self._sloped({**single, "outputs": outputs})
        return in_turn(one, *(signs * jnp.float32(size) for size in sizes))

    def _invariant(self, inputs: Any) -> Any:
        words = [w.strip() for w in self.row.invariance.split(";") if w.strip()]
        changed = {w: self.loss(INVARIANCES[w](inputs))[0] for w in words}
        return self.loss(inputs)[0], changed

    def leading(self) -> tuple[int, ...]:
        """The shape that the losses have."""
        if self.row.couples:
            return ()
        if "targets" in self.inputs:
            return np.shape(self.inputs["targets"])
        return np.shape(self.inputs["outputs"])[:1]

    def shape(self) -> tuple[int, ...]:
        """The shape that they are said to have."""
        return jax.eval_shape(lambda i: self.loss(i)[0], self.inputs).shape

    def state_types(self) -> tuple[Any, Any]:
        """Shapes and types of the state before and after a call."""
        inputs = self.cast(np.float32)
        before = jax.eval_shape(
            lambda i: self.row.make(**self.options).init(i["outputs"]), inputs
        )
        return before, jax.eval_shape(lambda i, s: self.loss(i, s)[1], inputs, before)
