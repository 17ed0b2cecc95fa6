"""Every sharpness-aware method against a plain step and steps written by hand.

Run as ``python -m experiments.benchmarks.sharpness``. The other steps are a SAM step
written by hand, that of ``optax.contrib.sam``, and for mSAM one written by hand too.
Flops and bytes are those that XLA counts for the compiled steps; times are paired. XLA
counts both branches of ``looksam``, of which a step runs one. The problem is the dense
network of ``sam_step``; the methods whose time has a bar run on a convolutional one
too, and mSAM on larger batches of the dense one: with 32 examples in a shard, norm
and move of 8 trees of gradients show beside the products.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from experiments.benchmarks import convnet_step
from experiments.benchmarks.paired import Ratio, ratio, report
from experiments.benchmarks.sam_step import (
    BATCH,
    RHO,
    by_hand,
    compiled_step,
    loss,
    msam_by_hand,
    problem,
)
from experiments.benchmarks.sharpness_bars import (
    ALL_BARS,
    BARS,
    BY_HAND,
    CONVNET,
    CONVNET_BARS,
    LARGER_BARS,
    LARGER_BATCHES,
    MSAM,
    MSAM_BY_HAND,
    ON_CONVNET,
    OPTAX,
    PLAIN,
    at_batch,
    flops_over_bars,
    plain_of,
    times_at_bars,
)
from jaxopt_lab import catalog
from jaxopt_lab.catalog import Transform

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

__all__ = ["BARS", "CONVNET_BARS", "LARGER_BARS", "flops_over_bars"]


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


def _complete(row: Transform, options: dict[str, Any]) -> optax.GradientTransformation:
    # Not `build` and `wrap`: the others keep no hyper-parameters in their state.
    options = row.checked(options)
    if row.role == "wrapper":
        return row.load()(_base(), **options)
    if row.role == "optimizer":
        return row.load()(**options)
    return optax.chain(row.load()(**options), _base())


def methods() -> dict[str, optax.GradientTransformation]:
    """The optimizers to measure: every sharpness-aware row of the catalog.

    Returns:
      Transformations by label, such as ``"lookbehind k=5"``.
    """
    measured = {}
    for row in catalog.of_kind("transform").values():
        if row.family != "sharpness":
            continue
        for options in SETTINGS.get(row.name, ({},)):
            words = [f"{k}={v}" for k, v in options.items() if k != "learning_rate"]
            measured[" ".join([row.name, *words])] = _complete(row, options)
    return measured


def _alone(
    step: Callable[..., Any], tx: optax.GradientTransformation, batch_size: int = BATCH
) -> Step:
    """A step on ``(params, opt_state)``, compiled."""
    params, batch = problem(jax.random.key(0), batch_size)
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
    """The compiled steps, the four to compare with first.

    Args:
      labels: the methods to compile; ``None``: all of them.

    Returns:
      Steps by label.
    """
    steps = {
        PLAIN: _dense(_base()),
        BY_HAND: _alone(by_hand(_base()), _base()),
        OPTAX: with_optax(),
        MSAM_BY_HAND: _alone(msam_by_hand(_base(), 8), _base()),
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


def larger_steps() -> dict[str, Step]:
    """The compiled steps on larger batches of the dense network.

    Returns:
      Steps by label: SAM, mSAM, and mSAM by hand.
    """
    optimizers = methods()
    steps = {}
    for size in LARGER_BATCHES:
        begin = at_batch(size)
        steps[begin + PLAIN] = _dense(_base(), size)
        for label in ("sam", MSAM):
            steps[begin + label] = _dense(optimizers[label], size)
        by_hand_too = _alone(msam_by_hand(_base(), 8), _base(), size)
        steps[begin + MSAM_BY_HAND] = by_hand_too
    return steps


def _dense(tx: optax.GradientTransformation, batch_size: int = BATCH) -> Step:
    program, state = compiled_step(tx, batch_size)
    return Step(program, (state,), problem(jax.random.key(0), batch_size)[1])


def counts(steps: Mapping[str, Step]) -> dict[str, dict[str, float]]:
    """Operations and bytes by XLA's counts.

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
        found[label] = {
            "flops": flops[label],
            "plain steps": flops[label] / flops[plain_of(label)],
            "temp bytes": memory.temp_size_in_bytes,
            "argument bytes": memory.argument_size_in_bytes,
        }
    return found


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
    dense = [m for m in steps if m not in (*others, MSAM_BY_HAND) and ", " not in m]
    wanted = [(m, o) for m in dense for o in others]
    wanted += [(b.method, b.against) for b in ALL_BARS if b.time is not None]
    runs = {label: runner(step) for label, step in steps.items()}
    return {
        (a, b): ratio(runs[a], runs[b], pairs=PAIRS, repeat=REPEAT)
        for a, b in dict.fromkeys(wanted)
    }


def main() -> None:
    """Print counts, paired times, and which bars are met."""
    steps = {**compiled_steps(), **convnet_steps(), **larger_steps()}
    found, measured = counts(steps), times(steps)
    figures: dict[str, Any] = {}
    for label, count in found.items():
        for name in ("plain steps", "temp bytes", "argument bytes"):
            figures[f"{label}: {name}"] = count[name]
    for (a, b), value in measured.items():
        figures[f"time, {a} over {b}"] = value
    figures |= times_at_bars(measured)
    figures["bars on flops not met"] = "; ".join(flops_over_bars(found)) or "none"
    report("sharpness-aware steps", figures)


if __name__ == "__main__":
    main()
