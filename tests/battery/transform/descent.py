"""A thousand steps on three problems at several rates, in one program."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from battery import programs
from battery.transform import problems
from battery.transform.loops import step

# problem: loss, start, batch, and by which factor the loss must fall
PROBLEMS = {
    "parabola": (
        problems.parabola,
        {"x": np.array([1.0, -2.0, 1.5])},
        np.ones(4),
        1e-3,
    ),
    "rosenbrock": (
        problems.rosenbrock,
        {"xy": np.array([-1.2, 1.0])},
        np.ones(4),
        3e-2,
    ),
    "network": (
        problems.perceptron,
        *problems.network((3, 8, 2), 16, np.float64),
        0.2,
    ),
}
STEPS = 1000
# One of these suits every method on every problem; which one is no concern of ours.
RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)


def ratios(subject: Any, rate_names: list[str]) -> dict[str, Any]:
    """Final loss over that at the start at every rate, by problem."""

    def after(rate: Any, loss: Any, start: Any, batch: Any) -> Any:
        tx = subject.transform(**dict.fromkeys(rate_names, rate))

        def body(carry: Any, _: Any) -> Any:
            return step(tx, *carry, batch, loss)[:2], None

        carry = (start, tx.init(start))
        (end, state), _ = jax.lax.scan(body, carry, None, length=STEPS)
        if subject.row.eval_params_fn is not None:
            end = subject.row.eval_params_fn(end, state)
        return loss(end, batch) / loss(start, batch)

    def every(rates: Any, starts: Any) -> dict[str, Any]:
        return {
            name: jax.vmap(lambda r, n=name: after(r, PROBLEMS[n][0], *starts[n]))(
                rates
            )
            for name in PROBLEMS
        }

    given = np.array(RATES), {name: parts[1:3] for name, parts in PROBLEMS.items()}
    return jax.device_get(programs.compiled(every, *given)(*given))
