"""Every sharpness-aware method against a plain step and two other SAM steps.

Run as ``python -m experiments.benchmarks.sharpness``. The other steps are the one
written by hand in ``sam_step`` and that of ``optax.contrib.sam``. Flops and bytes are
those that XLA counts for the compiled steps; times are paired. XLA counts both
branches of ``looksam``, of which a step runs one. The problem is the dense network of
``sam_step``; the methods whose time has a bar run on a convolutional one too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from experiments.benchmarks import convnet_step
from experiments.benchmarks.paired import Ratio, ratio, report
from experiments.benchmarks.sam_step import RHO, by_hand, compiled_step, loss, problem
from jaxopt_lab import catalog
from jaxopt_lab.catalog_rows.record import Method

LEARNING_RATE = 0.1
MOMENTUM = 0.9
PAIRS = 20
REPEAT = 5

# Methods that are measured at other options than their defaults.
SETTINGS: Mapping[str, Sequence[dict[str, Any]]] = {
    "msam": ({"num_shards": 4}, {"num_shards": 8}),
    "lookbehind": ({"k": 2}, {"k": 5}),
    "wsam": ({"learning_rate": LEARNING_RATE},),
}

PLAIN, BY_HAND, OPTAX = "plain", "by hand", "optax.contrib.sam"
CONVNET = "convnet, "
ON_CONVNET = ("sam", "msam num_shards=8", "lookbehind k=5", "momentum_sam", "stale_sam")


class Bar(NamedTuple):
    """What a figure may be at most.

    Attributes:
      method: label of the measured step.
      against: label of the step it is compared with.
      flops: largest ratio of flops, or ``None``.
      time: largest ratio of times, or ``None``; met if the median is below it.
    """

    method: str
    against: str
    flops: float | None = None
    time: float | None = None


BARS = (
    Bar("sam", PLAIN, flops=2.02),
    Bar("sam", BY_HAND, flops=1.01, time=1.05),
    Bar("sam", OPTAX, flops=1.01),
    Bar("msam num_shards=8", PLAIN, flops=2.05),
    Bar("msam num_shards=8", "sam", time=1.05),
    Bar("lookbehind k=5", PLAIN, flops=6.1, time=6.3),
    Bar("momentum_sam", PLAIN, flops=1.1, time=1.1),
    Bar("stale_sam", PLAIN, flops=1.1, time=1.1),
)
CONVNET_BARS = tuple(
    bar._replace(method=CONVNET + bar.method, against=CONVNET + bar.against)
    for bar in BARS
    if bar.method in ON_CONVNET and bar.against in (PLAIN, "sam")
)


class Step(NamedTuple):
    """A compiled step.

    Attributes:
      program: ``program(*state, batch) -> (*state, value)``, donating its state.
      state: its first state.
      batch: its batch.
    """

    program: Any
    state: tuple[Any, ...]
    batch: Any


def _base() -> optax.GradientTransformation:
    return optax.sgd(LEARNING_RATE, momentum=MOMENTUM)


def _complete(row: Method, options: dict[str, Any]) -> optax.GradientTransformation:
    # Not `build` and `wrap`: the others keep no hyper-parameters in their state.
    options = row.checked(options)
    if row.kind == "wrapper":
        return row.factory(_base(), **options)
    if row.kind == "optimizer":
        return row.factory(**options)
    return optax.chain(row.factory(**options), _base())


def methods() -> dict[str, optax.GradientTransformation]:
    """The optimizers to measure: every sharpness-aware row of the catalog.

    Returns:
      Transformations by label, such as ``"lookbehind k=5"``.
    """
    measured = {}
    for row in catalog.CATALOG.values():
        if row.family != "sharpness":
            continue
        for options in SETTINGS.get(row.name, ({},)):
            words = [f"{k}={v}" for k, v in options.items() if k != "learning_rate"]
            measured[" ".join([row.name, *words])] = _complete(row, options)
    return measured


def _alone(step: Callable[..., Any], tx: optax.GradientTransformation) -> Step:
    """A step on ``(params, opt_state)``, compiled."""
    params, batch = problem(jax.random.key(0))
    state = (params, tx.init(params))
    program = jax.jit(step, donate_argnums=(0, 1)).lower(*state, batch).compile()
    return Step(program, state, batch)


def with_optax() -> Step:
    """The step of ``optax.contrib.sam``, in the form that evaluates both gradients.

    Returns:
      The compiled step.
    """
    ascent = optax.chain(optax.contrib.normalize(), optax.sgd(RHO))
    tx = optax.contrib.sam(_base(), ascent, opaque_mode=True)

    def step(params: Any, opt_state: Any, batch: Any) -> Any:
        value, grads = jax.value_and_grad(loss)(params, batch)
        grad_fn = lambda params, _: jax.grad(loss)(params, batch)
        updates, opt_state = tx.update(grads, opt_state, params, grad_fn=grad_fn)
        return optax.apply_updates(params, updates), opt_state, value

    return _alone(step, tx)


def compiled_steps(labels: Sequence[str] | None = None) -> dict[str, Step]:
    """The compiled steps, the three to compare with first.

    Args:
      labels: the methods to compile; ``None``: all of them.

    Returns:
      Steps by label.
    """
    steps = {
        PLAIN: _dense(_base()),
        BY_HAND: _alone(by_hand(_base()), _base()),
        OPTAX: with_optax(),
    }
    for label, tx in methods().items():
        if labels is None or label in labels:
            steps[label] = _dense(tx)
    return steps


def convnet_steps() -> dict[str, Step]:
    """The compiled steps on the convolutional network.

    Returns:
      Steps by label: plain and those of ``ON_CONVNET``.
    """
    optimizers = methods()
    steps = {}
    for label in (PLAIN, *ON_CONVNET):
        program, state, batch = convnet_step.compiled_step(
            _base() if label == PLAIN else optimizers[label]
        )
        steps[CONVNET + label] = Step(program, (state,), batch)
    return steps


def _dense(tx: optax.GradientTransformation) -> Step:
    program, state = compiled_step(tx)
    return Step(program, (state,), problem(jax.random.key(0))[1])


def counts(steps: Mapping[str, Step]) -> dict[str, dict[str, float]]:
    """What XLA counts.

    Args:
      steps: as ``compiled_steps`` gives them.

    Returns:
      By label: ``"flops"``, ``"plain steps"`` (flops over those of the plain step of
      the same network) and the bytes of temporaries and of arguments.
    """
    flops = {k: float(s.program.cost_analysis()["flops"]) for k, s in steps.items()}
    found = {}
    for label, step in steps.items():
        memory = step.program.memory_analysis()
        plain = CONVNET + PLAIN if label.startswith(CONVNET) else PLAIN
        found[label] = {
            "flops": flops[label],
            "plain steps": flops[label] / flops[plain],
            "temp bytes": memory.temp_size_in_bytes,
            "argument bytes": memory.argument_size_in_bytes,
        }
    return found


def flops_over_bars(found: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The bars on flops that are not met.

    Args:
      found: as ``counts`` gives it; bars on other labels are left out.

    Returns:
      A line for each.
    """
    lines = []
    for bar in (*BARS, *CONVNET_BARS):
        if bar.flops is None or not {bar.method, bar.against} <= found.keys():
            continue
        measured = found[bar.method]["flops"] / found[bar.against]["flops"]
        if measured > bar.flops:
            lines.append(
                f"flops, {bar.method} over {bar.against}: {measured:.4f} > {bar.flops}"
            )
    return lines


def runner(step: Step) -> Callable[[], None]:
    """A function that takes one step after the other and waits for each.

    Args:
      step: a compiled step; its first state is left as it is.

    Returns:
      The function.
    """
    state = jax.tree.map(jnp.copy, step.state)

    def run() -> None:
        nonlocal state
        *new, value = step.program(*state, step.batch)
        state = tuple(new)
        jax.block_until_ready(value)

    return run


def times(steps: Mapping[str, Step]) -> dict[tuple[str, str], Ratio]:
    """Paired times of every method against the other steps, and of the bars.

    Args:
      steps: as ``compiled_steps`` gives them.

    Returns:
      Ratios by the labels of the two.
    """
    others = (PLAIN, BY_HAND, OPTAX)
    dense = [m for m in steps if m not in others and not m.startswith(CONVNET)]
    wanted = [(m, o) for m in dense for o in others]
    bars = (*BARS, *CONVNET_BARS)
    wanted += [(b.method, b.against) for b in bars if b.time is not None]
    runs = {label: runner(step) for label, step in steps.items()}
    return {
        (a, b): ratio(runs[a], runs[b], pairs=PAIRS, repeat=REPEAT)
        for a, b in dict.fromkeys(wanted)
    }


def main() -> None:
    """Print counts, paired times, and which bars are met."""
    steps = {**compiled_steps(), **convnet_steps()}
    found, measured = counts(steps), times(steps)
    figures: dict[str, Any] = {}
    for label, count in found.items():
        for name in ("plain steps", "temp bytes", "argument bytes"):
            figures[f"{label}: {name}"] = count[name]
    for (a, b), value in measured.items():
        figures[f"time, {a} over {b}"] = value
    for bar in (*BARS, *CONVNET_BARS):
        if bar.time is not None:
            value = measured[bar.method, bar.against]
            met = "met" if value.median <= bar.time else "NOT MET"
            if value.low <= bar.time < value.median:
                met = "within the quartiles"
            figures[f"bar, time of {bar.method} over {bar.against}"] = (
                f"{met}: {value} against {bar.time}"
            )
    figures["bars on flops not met"] = "; ".join(flops_over_bars(found)) or "none"
    report("sharpness-aware steps", figures)


if __name__ == "__main__":
    main()
