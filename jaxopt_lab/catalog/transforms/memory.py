"""The rows of the methods that remember past gradients and momenta."""

from __future__ import annotations

from typing import Any

from jaxopt_lab.catalog.part import Neutral
from jaxopt_lab.catalog.schema_transform import Transform
from jaxopt_lab.core.options import DECAY, NON_NEGATIVE, POSITIVE, Interval, Option

_UNIT = Interval(0.0, 1.0)
_MOMENTA = "Malviya et al. 2023, arXiv:2307.09638"
_GRADIENTS = "McRae et al. 2022, arXiv:2106.10708"
_CODE = "chandar-lab/CMOptimizer"


def _rate(default: float) -> Option:
    return Option(default, "step size; a schedule may stand for it", POSITIVE)


def _buffer(capacity: int) -> dict[str, Option]:
    return {
        "capacity": Option(
            capacity, "number of entries remembered", Interval(1), static=True
        ),
        "decay": Option(0.7, "factor of the entries' keys after each step", _UNIT),
        "key": Option(
            "global",
            "what the keys are norms of",
            ("global", "per_leaf", "true_norm"),
            static=True,
        ),
        "kappa": Option(1.0, "weight of the buffer", NON_NEGATIVE),
        "policy": Option(
            "priority",
            "which entry makes room: that of lowest key, or the oldest",
            ("priority", "fifo"),
            static=True,
        ),
        "resum": Option(
            False, "add the entries up anew: less memory, more time", static=True
        ),
    }


_AGGREGATES = (
    "sum",
    "mid",
    "mean",
    "min",
    "median",
    "max",
    "min-mean",
    "median-mean",
    "max-mean",
    "replace",
)


def _aggregate(default: str) -> Option:
    return Option(
        default, "how buffer and gradient become one", _AGGREGATES, static=True
    )


_WEIGHT_DECAY = Option(0.0, "coupled decay, added to the gradient", NON_NEGATIVE)
# The memory works like a momentum itself; with 0.9 on top of it a step is twenty times
# the step size and overshoots in narrow valleys.
_MOMENTUM = Option(0.5, "decay of the trace", _UNIT)
_CENTERED = Option(False, "divide by the standard deviation", static=True)
_ADAM = {
    "b1": Option(0.9, "decay of the first moment", DECAY),
    "b2": Option(0.999, "decay of the second moment", DECAY),
    "eps": Option(1e-8, "added to the root of the second moment", POSITIVE),
    "amsgrad": Option(False, "keep the largest second moment", static=True),
}
_RMS = {
    "decay_rate": Option(0.99, "decay of the mean of the squares", _UNIT),
    "eps": Option(1e-8, "added to the root of the second moment", POSITIVE),
    "centered": _CENTERED,
}
_CLEAN = Option(False, "begin with a step of Adam, as the paper", static=True)

_EMPTY = {"capacity": 0}
_RMSPROP = {"decay": 0.99, "eps_in_sqrt": False}

# Entries, their sum, and that sum without the entry that goes next; or, where only one
# entry is used, that one.
_ENTRIES = "4 * (capacity + 2 - resum)"
_AGGREGATED = "4 * (capacity + 2 - (resum or aggregate[:3] in ('min', 'med', 'max')))"


def _row(name: str, options: dict[str, Option], **more: Any) -> Transform:
    facts: dict[str, Any] = {
        "role": "optimizer",
        "gradients": 1,
        "temp_bytes": "4",
        "code": _CODE,
    }
    return Transform(
        name=name,
        family="memory",
        build=f"jaxopt_lab.transforms.memory:{name}",
        options=options,
        **{**facts, **more},
    )


ROWS = (
    _row(
        "critical_gradients",
        {
            **_buffer(10),
            "aggregate": _aggregate("sum"),
            "weight_decay": _WEIGHT_DECAY,
        },
        role="link",
        reduces_to=Neutral(_EMPTY, "optax:identity"),
        summary="gradient beside the steepest ones so far",
        state_bytes=_AGGREGATED,
        state_text="4 (capacity + 2)",
        paper=_GRADIENTS,
        vectors="cg_aggregators",
    ),
    _row(
        "adam_cg",
        {
            "learning_rate": _rate(1e-3),
            **_buffer(10),
            "aggregate": _aggregate("sum"),
            **_ADAM,
            "weight_decay": _WEIGHT_DECAY,
        },
        reduces_to=Neutral(_EMPTY, "optax:adam"),
        summary="Adam on the gradient beside the steepest ones so far",
        state_bytes=f"{_AGGREGATED} + 8 + 4 * amsgrad",
        state_text="4 (capacity + 2) + 8",
        paper=_GRADIENTS,
        vectors="adam_cg",
    ),
    _row(
        "sgd_cg",
        {
            "learning_rate": _rate(0.05),
            **_buffer(10),
            "aggregate": _aggregate("sum"),
            "momentum": _MOMENTUM,
            "dampening": Option(0.0, "taken off what enters the trace", _UNIT),
            "weight_decay": _WEIGHT_DECAY,
        },
        reduces_to=Neutral(_EMPTY, "optax:sgd"),
        summary="momentum of the gradient beside the steepest ones so far",
        state_bytes=f"{_AGGREGATED} + 4",
        state_text="4 (capacity + 2) + 4",
        paper=_GRADIENTS,
        vectors="sgd_cg",
    ),
    _row(
        "rmsprop_cg",
        {
            "learning_rate": _rate(1e-2),
            # Without the present gradient, ten old ones are too stale for Rosenbrock.
            **_buffer(5),
            "aggregate": _aggregate("replace"),
            **_RMS,
            "weight_decay": _WEIGHT_DECAY,
        },
        reduces_to=Neutral(_EMPTY, "optax:rmsprop", given=_RMSPROP),
        summary="RMSprop on the mean of the steepest gradients so far",
        state_bytes=f"{_AGGREGATED} + 4 + 4 * centered",
        state_text="4 (capacity + 2) + 4",
        # XLA:CPU keeps the aggregate that both the moment and the step need.
        temp_bytes="8",
        paper=_GRADIENTS,
        vectors="rmsprop_cg",
    ),
    _row(
        "adam_cm",
        {
            "learning_rate": _rate(1e-3),
            **_buffer(5),
            **_ADAM,
            "clean_first_step": _CLEAN,
        },
        reduces_to=Neutral(_EMPTY, "optax:adam"),
        summary="Adam beside the momenta of its steepest steps so far",
        state_bytes=f"{_ENTRIES} + 8 + 4 * amsgrad",
        state_text="4 (capacity + 2) + 8",
        paper=_MOMENTA,
        vectors="adam_cm",
    ),
    _row(
        "adamw_cm",
        {
            "learning_rate": _rate(1e-3),
            **_buffer(5),
            **_ADAM,
            "weight_decay": Option(
                1e-4, "decoupled decay, times the step size", NON_NEGATIVE
            ),
            "clean_first_step": _CLEAN,
        },
        reduces_to=Neutral(_EMPTY, "optax:adamw"),
        summary="the same with decoupled weight decay",
        state_bytes=f"{_ENTRIES} + 8 + 4 * amsgrad",
        state_text="4 (capacity + 2) + 8",
        paper=_MOMENTA,
        vectors="adam_cm",
    ),
    _row(
        "sgd_cm",
        {
            "learning_rate": _rate(0.05),
            **_buffer(5),
            "momentum": _MOMENTUM,
            "weight_decay": _WEIGHT_DECAY,
        },
        reduces_to=Neutral(_EMPTY, "optax:sgd"),
        summary="momentum beside those of its steepest steps so far",
        state_bytes=f"{_ENTRIES} + 4",
        state_text="4 (capacity + 2) + 4",
        paper="ours, after " + _MOMENTA,
        code="",
    ),
    _row(
        "rmsprop_cm",
        {
            "learning_rate": _rate(1e-3),
            **_buffer(5),
            "momentum": Option(0.9, _MOMENTUM.help, _UNIT),
            **_RMS,
            "weight_decay": _WEIGHT_DECAY,
        },
        reduces_to=Neutral(
            {**_EMPTY, "momentum": 0.0}, "optax:rmsprop", given=_RMSPROP
        ),
        summary="RMSprop on its momentum beside those of its steepest steps",
        state_bytes=f"{_ENTRIES} + 8 + 4 * centered",
        state_text="4 (capacity + 2) + 8",
        # XLA:CPU keeps the aggregate that both the moment and the step need.
        temp_bytes="8",
        paper="ours, after " + _MOMENTA,
        code="",
    ),
)
