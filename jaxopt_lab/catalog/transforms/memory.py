"""The rows of the methods that remember past gradients and momenta."""

from __future__ import annotations

from typing import Any

from jaxopt_lab.catalog.part import Neutral
from jaxopt_lab.catalog.schema_transform import Transform

_MOMENTA = "Malviya et al. 2023, arXiv:2307.09638"
_GRADIENTS = "McRae et al. 2022, arXiv:2106.10708"
_CODE = "chandar-lab/CMOptimizer"

_BUFFER = (
    "capacity",
    "priority_decay",
    "priority",
    "kappa",
    "policy",
    "recompute_sum",
)
_ADAM = ("b1", "b2", "eps", "amsgrad")
_RMS = ("decay_rate", "eps", "centered")

_EMPTY = {"capacity": 0}
_RMSPROP = {"decay": 0.99, "eps_in_sqrt": False}

# Entries, and their sum; or, where only one entry is used, that one.
_ENTRIES = "4 * (capacity and capacity + 1)"


def _row(name: str, *options: str, rate: float | None = None, **more: Any) -> Transform:
    facts: dict[str, Any] = {
        "role": "optimizer",
        "gradients": 1,
        # On a CPU, of a gradient that is stored itself: what reads the old sum is not
        # known to have run before the new one is written, which takes a copy. A
        # momentum waits in its state, and its sum changes before it is read.
        "temp_bytes": "0" if name.endswith("_cm") else "4",
        # A momentum waits in its state for the norm of all gradients, which decides
        # what is kept; a gradient that is stored itself has to wait as a temporary. The
        # peak is that of C entries, their sum and the gradient: in a free slot of the
        # state it would cost the same bytes, and in checkpoints too.
        "tpu_temp_bytes": "0.1" if name.endswith("_cm") else "4.1",
        "code": _CODE,
        **more,
    }
    if rate is not None:
        options = ("learning_rate", *options)
        facts["overrides"] = {"learning_rate": rate, **facts.get("overrides", {})}
    return Transform(
        name=name,
        family="memory",
        build=f"jaxopt_lab.transforms.memory:{name}",
        options=options,
        **facts,
    )


ROWS = (
    _row(
        "critical_gradients",
        *_BUFFER,
        "aggregate",
        "weight_decay",
        reduces_to=Neutral(_EMPTY, "optax:identity"),
        role="link",
        summary="gradient beside the steepest ones so far",
        state_bytes=_ENTRIES,
        state_text="4 (capacity + 1)",
        paper=_GRADIENTS,
        vectors="cg_aggregators",
    ),
    _row(
        "adam_cg",
        *_BUFFER,
        "aggregate",
        *_ADAM,
        "weight_decay",
        rate=1e-3,
        reduces_to=Neutral(_EMPTY, "optax:adam"),
        summary="Adam on the gradient beside the steepest ones so far",
        state_bytes=f"{_ENTRIES} + 8 + 4 * amsgrad",
        state_text="4 (capacity + 1) + 8",
        paper=_GRADIENTS,
        vectors="adam_cg",
        full="critical_gradients before Adam, whose rows are plain",
    ),
    _row(
        "sgd_cg",
        *_BUFFER,
        "aggregate",
        "momentum",
        "dampening",
        "weight_decay",
        rate=0.05,
        # The memory works like a momentum itself; with 0.9 on top of it a step is
        # twenty times the step size and overshoots in narrow valleys.
        overrides={"momentum": 0.5},
        reduces_to=Neutral(_EMPTY, "optax:sgd"),
        summary="momentum of the gradient beside the steepest ones so far",
        state_bytes=f"{_ENTRIES} + 4",
        state_text="4 (capacity + 1) + 4",
        paper=_GRADIENTS,
        vectors="sgd_cg",
        full="critical_gradients before a momentum",
    ),
    _row(
        "rmsprop_cg",
        *_BUFFER,
        "aggregate",
        *_RMS,
        "weight_decay",
        rate=1e-2,
        # Without the present gradient, ten old ones are too stale for Rosenbrock.
        overrides={"capacity": 5},
        reduces_to=Neutral(_EMPTY, "optax:rmsprop", given=_RMSPROP),
        summary="RMSprop on the mean of the steepest gradients so far",
        state_bytes=f"{_ENTRIES} + 4 + 4 * centered",
        state_text="4 (capacity + 1) + 4",
        paper=_GRADIENTS,
        vectors="rmsprop_cg",
        full="critical_gradients before RMSprop",
    ),
    _row(
        "adam_cm",
        *_BUFFER,
        *_ADAM,
        "clean_first_step",
        rate=1e-3,
        reduces_to=Neutral(_EMPTY, "optax:adam"),
        summary="Adam beside the momenta of its steepest steps so far",
        state_bytes=f"{_ENTRIES} + 8 + 4 * amsgrad",
        state_text="4 (capacity + 1) + 8",
        paper=_MOMENTA,
        vectors="adam_cm",
    ),
    _row(
        "adamw_cm",
        *_BUFFER,
        *_ADAM,
        "weight_decay",
        "clean_first_step",
        rate=1e-3,
        reduces_to=Neutral(_EMPTY, "optax:adamw"),
        summary="the same with decoupled weight decay",
        state_bytes=f"{_ENTRIES} + 8 + 4 * amsgrad",
        state_text="4 (capacity + 1) + 8",
        paper=_MOMENTA,
        vectors="adam_cm",
        full="adam_cm and a decay",
    ),
    _row(
        "sgd_cm",
        *_BUFFER,
        "momentum",
        "weight_decay",
        rate=0.05,
        reduces_to=Neutral(_EMPTY, "optax:sgd"),
        summary="momentum beside those of its steepest steps so far",
        state_bytes=f"{_ENTRIES} + 4",
        state_text="4 (capacity + 1) + 4",
        paper="ours, after " + _MOMENTA,
        code="",
        full="the buffer of adam_cm before a momentum",
    ),
    _row(
        "rmsprop_cm",
        *_BUFFER,
        "momentum",
        *_RMS,
        "weight_decay",
        rate=1e-3,
        reduces_to=Neutral(
            {**_EMPTY, "momentum": 0.0}, "optax:rmsprop", given=_RMSPROP
        ),
        summary="RMSprop on its momentum beside those of its steepest steps",
        state_bytes=f"{_ENTRIES} + 8 + 4 * centered",
        state_text="4 (capacity + 1) + 8",
        # XLA:CPU keeps the aggregate that both the moment and the step need.
        temp_bytes="4",
        paper="ours, after " + _MOMENTA,
        code="",
        full="the buffer of adam_cm before RMSprop",
    ),
)
