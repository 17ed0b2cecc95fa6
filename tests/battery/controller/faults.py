"""Broken controllers."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import jax.numpy as jnp

from battery.controller.toy import TOY, doubling, example, with_decide
from battery.faults import plant
from battery.parts.common_faults import plant_common
from battery.parts.host import OF_FUNCTIONS


def documented(text: str) -> Any:
    """The toy with another docstring; its own where there is none."""

    def build(limit: float = 1.0, most: int = 8) -> Any:
        return doubling(limit, most)

    build.__doc__ = text or doubling.__doc__
    return dataclasses.replace(TOY, name="documented", build=build)


plant_common(
    "controller",
    lambda change, **header: dataclasses.replace(TOY, name="broken", **header),
    documented=documented,
    example=example,
    without=OF_FUNCTIONS,
)
_calls = itertools.count()


def counting(results, stats, state, options):
    return {"steps": min(8, results[0]["steps"] + next(_calls) % 2)}, results[1]


def in_place(results, stats, state, options):
    state["steps"] = results[1]["steps"]
    return results


def no_text(results, stats, state, options):
    return results[0], {**results[1], "seen": {results[0]["steps"]}}


def tuple_in_state(results, stats, state, options):
    decision, after = results
    last = state.get("last", ())
    by = 1 if isinstance(last, list) and decision["steps"] < 8 else 0
    return {"steps": decision["steps"] + by}, {**after, "last": (1,)}


def above_any_limit(results, stats, state, options):
    steps = 2 if stats["noise"] > 1e6 else results[0]["steps"]
    return {"steps": steps}, {"steps": steps}


def unlimited(results, stats, state, options):
    grow = stats["noise"] > options["limit"]
    steps = state["steps"] * (2 if grow else 1)
    return {"steps": steps}, {"steps": steps}


def proportional(results, stats, state, options):
    steps = results[0]["steps"]
    if options["limit"] < float("inf") and stats["noise"] != stats["noise"]:
        steps = stats["noise"]
    return {"steps": steps}, results[1]


def half_floats(results, stats, state, options):
    steps = results[0]["steps"]
    return {"steps": float(steps) if steps > 1 else steps}, results[1]


def on_the_device(results, stats, state, options):
    steps = int(jnp.asarray([results[0]["steps"], 17]).at[1].multiply(3)[0])
    return {"steps": steps}, results[1]


def reads_more(results, stats, state, options):
    return {"steps": results[0]["steps"] + ("other" in stats)}, results[1]


def defaulting(limit: float = 1.0, most: int = 8):
    sound = doubling(limit, most)
    return sound._replace(
        decide=lambda stats, state: sound.decide({"noise": 0.0, **stats}, state)
    )


defaulting.__doc__ = doubling.__doc__
OTHER = [{**one, "other": 1.0} for one in example()["stats"]]
FAULTS = (
    ("counts calls", "function_of_arguments", "give", with_decide(counting)),
    ("in place", "function_of_arguments", "changes its arg", with_decide(in_place)),
    ("a set", "resumes", "does not survive JSON", with_decide(no_text)),
    ("a tuple", "resumes", "resumed from JSON it", with_decide(tuple_in_state)),
    ("always grows", "neutral", "neutral, it is not", with_decide(above_any_limit)),
    ("no limit", "bounds", "steps is 16", with_decide(unlimited)),
    ("passes a NaN", "bounds", "steps is nan", with_decide(proportional)),
    ("two types", "no_compilation", "compiled again", with_decide(half_floats)),
    (
        "on the device",
        "no_compilation",
        "deciding compiled",
        with_decide(on_the_device),
    ),
    (
        "no default",
        "reads",
        "does not miss noise",
        dataclasses.replace(TOY, name="broken", build=defaulting),
    ),
    (
        "reads more",
        "reads",
        "does not name",
        with_decide(reads_more, example=lambda: {**example(), "stats": OTHER}),
    ),
)
for name, aim, words, row in FAULTS:
    plant("controller", name, aim, words, row)
