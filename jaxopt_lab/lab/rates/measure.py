"""Both measurements of a run's learning rate, and the rate that they propose."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import trees
from jaxopt_lab.core.typing import Params
from jaxopt_lab.lab import initial_weights, optimizers, probing
from jaxopt_lab.lab.assembly import Program, assemble
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.rates.options import FindRateOptions
from jaxopt_lab.lab.rates.range_test import (
    RangeTest,
    Rates,
    growing,
    proposed,
    range_test,
)
from jaxopt_lab.lab.rates.stable_rate import StableRate, mean_loss, stable_rates
from jaxopt_lab.lab.rates.update_rule import UpdateRule, update_rule

_SETTLED = 0.1
"""Part of the range test after which Adam's moments are read."""


class Found(NamedTuple):
    """The learning rates of a run.

    Attributes:
      test: record of the range test.
      rules: what the usual rules read from it.
      stable: rates from curvature; empty where there are none.
      notes: sentences for the reader: why there is none, and what a rate means.
      proposed: the rate to train with; ``None`` where no rule gives one.
    """

    test: RangeTest
    rules: Rates
    stable: list[StableRate]
    notes: list[str]
    proposed: float | None

    @property
    def marks(self) -> dict[str, float]:
        """The finite rates by name."""
        rates = {f"stable by {one.name}": one.rate for one in self.stable}
        rules = {
            "steepest descent": self.rules.steepest,
            "divergence": self.rules.divergence,
            "a tenth of the divergence": self.rules.tenth,
        }
        both = rates | {name: r for name, r in rules.items() if r is not None}
        return {name: rate for name, rate in both.items() if math.isfinite(rate)}


def find_rate(
    configuration: Configuration,
    options: FindRateOptions,
    say: Callable[[str], None],
) -> Found:
    """Measure the curvature where a run begins, and test a range of rates.

    Args:
      configuration: the run; its first seed is trained, on one device.
      options: range and effort.
      say: gets a line before each measurement.

    Returns:
      The rates.

    Raises:
      InputError: something in the run does not fit.
    """
    run = dataclasses.replace(configuration.run, seeds=1, seed_mode="auto")
    alone = dataclasses.replace(configuration, run=run).on_one_device()
    schedule = growing(options.lowest_rate, options.highest_rate, options.range_steps)
    start = initial_weights.of_run(alone)
    program = assemble(alone, start, schedule=schedule)
    stable: list[StableRate] = []
    rule, notes = _rule(alone, program, options)
    settled = round(_SETTLED * options.range_steps)

    def look(done: int, state: Any) -> None:
        # Adam has no moments before; the rates until then hardly move the weights.
        if rule is not None and done == (0 if rule.adam is None else settled):
            say("curvature of the training loss")
            stable.extend(_curvature(alone, program, state, rule, options))

    say(
        f"range test, rates {options.lowest_rate:g} to {options.highest_rate:g} in "
        f"{options.range_steps} steps"
    )
    test = range_test(
        program.step,
        program.state,
        program.batches,
        schedule,
        options.range_steps,
        look=look,
    )
    rules = proposed(test)
    if rules.divergence is None:
        notes.append(
            f"the loss does not diverge up to a rate of {test.rates[-1]:.3g}; a larger "
            "highest_rate= goes on"
        )
    limited = rule is not None and rule.adam is None
    best = between(rules, stable if limited else [])
    return Found(test, rules, stable, notes, best)


def between(rules: Rates, stable: Sequence[StableRate]) -> float | None:
    """The rate to train with.

    Args:
      rules: of the range test.
      stable: rates that it may not exceed.

    Returns:
      The geometric mean of the steepest descent and a tenth of the divergence, or
      either of them alone, cut at the stable rates, with two digits; ``None`` without
      any.

    >>> import numpy as np
    >>> between(Rates(np.zeros(3), 0.4, 1.0), [])
    0.2
    """
    known = [rate for rate in (rules.steepest, rules.tenth) if rate is not None]
    limits = [one.rate for one in stable if math.isfinite(one.rate)]
    if known:
        limits.append(math.exp(sum(map(math.log, known)) / len(known)))
    return float(f"{min(limits):.2g}") if limits else None


def with_rate(configuration: Configuration, rate: float) -> Configuration:
    """A run with another learning rate.

    Args:
      configuration: the run.
      rate: for every option of that name, of the method and of its base.

    Returns:
      The run.
    """

    def changed(options: dict[str, Any]) -> dict[str, Any]:
        own = {"learning_rate": rate} if "learning_rate" in options else {}
        return {**options, **own}

    method, base = changed(configuration.method), changed(configuration.base)
    return dataclasses.replace(configuration, method=method, base=base)


def _rule(
    configuration: Configuration, program: Program, options: FindRateOptions
) -> tuple[UpdateRule | None, list[str]]:
    run, rows = configuration.run, configuration.rows
    if not options.examples:
        return None, ["examples=0: curvature was not measured"]
    if program.loss_fn is None:
        return None, [f"recipe={run.recipe}: curvature is that of a plain step's loss"]
    params = program.view(program.state).params
    row = rows.base or rows.method
    chosen = configuration.base if rows.base is not None else configuration.method
    unit = optax.constant_schedule(1.0)
    tx = optimizers.innermost(configuration, unit)
    rule = update_rule(tx, params, chosen)
    if rule is None:
        return None, [
            f"2/lambda says nothing about {row.name}: its update is neither a sum of "
            "past gradients nor Adam's"
        ]
    notes = []
    if run.regularizer != "none":
        notes.append(
            f"regularizer={run.regularizer}: lambda is of the loss without the penalty"
        )
    if rule.adam is not None:
        notes.append(
            f"{row.name}: lambda is of the Hessian between the inverse roots of Adam's "
            f"diagonal after {_SETTLED:.0%} of the range test; updates are stable for "
            f"rates below {rule.factor:.3g}/lambda. It falls as training begins, and "
            "the proposed rate may exceed it"
        )
    if rows.base is not None:
        notes.append(
            f"stable rates are those of {row.name} alone: an upper limit behind or "
            f"inside of {rows.method.name}"
        )
    return rule, notes


def _curvature(
    configuration: Configuration,
    program: Program,
    state: Any,
    rule: UpdateRule,
    options: FindRateOptions,
) -> list[StableRate]:
    size = configuration.run.batch_size
    at = program.batches.get_state()
    count = -(-options.examples // size)
    batches = [program.batches.next() for _ in range(count)]
    program.batches.set_state(at)
    viewed = jax.tree.map(jnp.copy, program.view(state))
    key = probing.probe_key()
    loss_fn = mean_loss(program.loss_fn, viewed.model_state, key)
    return stable_rates(
        loss_fn,
        viewed.params,
        batches,
        rule,
        key,
        num_steps=options.num_steps,
        opt_state=viewed.opt_state,
        mask=_trained(configuration.run.freeze, viewed.params),
    )


def _trained(freeze: str, params: Params) -> Any:
    """The mask of what is not frozen; ``None``: all is trained."""
    if not freeze:
        return None
    return jax.tree_util.tree_map_with_path(
        lambda path, _: re.search(freeze, trees.path_name(path)) is None, params
    )
