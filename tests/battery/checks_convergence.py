"""It optimises."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from battery import problems
from battery.registry import check
from battery.subject import BASE_RATE, Subject, step

# problem: loss, start, batch, and by which factor the loss must fall
_STARTS = {
    "parabola": (
        problems.parabola,
        {"x": jnp.array([1.0, -2.0, 1.5])},
        jnp.ones(4),
        1e-3,
    ),
    "rosenbrock": (
        problems.rosenbrock,
        {"xy": jnp.array([-1.2, 1.0])},
        jnp.ones(4),
        3e-2,
    ),
    "network": (
        problems.perceptron,
        *problems.network((3, 8, 2), 16, jnp.float64),
        0.2,
    ),
}
_STEPS = 1000
# One of these suits every method on every problem; which one is no concern of ours.
_RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)


@check()
def converges(subject: Subject) -> None:
    """The loss falls on a parabola, on Rosenbrock's valley and on a network."""
    # A wrapper with a step size of its own gets its base's.
    rate_names = [BASE_RATE] if subject.has_base else []
    rate_names += [name for name in subject.row.options if name == "learning_rate"]

    def after(rate: jax.Array, loss: Any, start: Any, batch: Any) -> jax.Array:
        tx = subject.transform(**dict.fromkeys(rate_names, rate))

        def body(carry: Any, _: Any) -> Any:
            return step(tx, *carry, batch, loss)[:2], None

        carry = (start, tx.init(start))
        (end, state), _ = jax.lax.scan(body, carry, None, length=_STEPS)
        if subject.row.eval_params is not None:
            end = subject.row.eval_params(end, state)
        return loss(end, batch) / loss(start, batch)

    @jax.jit
    def ratios(rates: jax.Array) -> dict[str, jax.Array]:
        return {
            name: jax.vmap(lambda r, p=parts: after(r, *p))(rates)
            for name, (*parts, _) in _STARTS.items()
        }

    for name, found in ratios(jnp.array(_RATES)).items():
        best = float(jnp.nanmin(found))
        wanted = _STARTS[name][-1]
        assert best <= wanted, f"{name}: the loss falls to {best:.3g} of its start"
