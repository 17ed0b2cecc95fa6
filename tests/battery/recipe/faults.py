"""Broken recipes."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp

from battery.faults import plant
from battery.parts.common_faults import plant_common
from battery.parts.host import OF_FUNCTIONS
from battery.recipe.toy import TOY, anchored, example, init, moved, with_step

_calls = itertools.count()


def documented(text: str) -> Any:
    """The toy with another docstring; its own where there is none."""

    def build(weight: float = 0.5, micro_batches: int = 1, micro_loop: str = "auto"):
        return anchored(weight, micro_batches, micro_loop)

    build.__doc__ = text or anchored.__doc__
    return dataclasses.replace(TOY, name="documented", build=build)


plant_common(
    "recipe",
    lambda change, **header: dataclasses.replace(TOY, name="broken", **header),
    documented=documented,
    example=example,
    without=OF_FUNCTIONS,
)


def traced_number(after, metrics, before, options):
    return moved(after, 1e-3 * next(_calls)), metrics


@jax.custom_batching.custom_vmap
def _one_more_under_vmap(x):
    return x * 1


@_one_more_under_vmap.def_vmap
def _(axis_size, in_batched, x):
    return x + 1, in_batched[0]


def for_vmap(after, metrics, before, options):
    free = _one_more_under_vmap(after.params["free"])
    return after._replace(params={**after.params, "free": free}), metrics


def micro_moves(after, metrics, before, options):
    by = 1e-3 if options["micro_batches"] > 1 else 0.0
    return moved(after, by), metrics


def always_pulls(after, metrics, before, options):
    return moved(after, 1e-3), metrics


def thaws(after, metrics, before, options):
    anchor = after.params["anchor"]
    params = {**after.params, "anchor": anchor + jnp.asarray(1e-9, anchor.dtype)}
    return after._replace(params=params), metrics


def one_role(params, key):
    state = init(params, key)
    return state._replace(opt_state={"free": state.opt_state["free"]})


def keeps_one_role(after, metrics, before, options):
    return after._replace(opt_state={"free": after.opt_state["free"]}), metrics


def not_counted(after, metrics, before, options):
    return after._replace(step=before.step), metrics


def single(after, metrics, before, options):
    free = after.params["free"].astype(jnp.float32)
    return after._replace(params={**after.params, "free": free}), metrics


def promoting(after, metrics, before, options):
    loss = metrics["loss"] * jnp.ones((), jnp.int32)
    return after, {"loss": loss}


def only_in_fit(after, metrics, before, options):
    # fit jits the step itself: there its batch is an argument of the program, and
    # its arrays are never constants or values of an outer trace.
    return moved(after, 1e-3 * _is_outermost()), metrics


def _is_outermost():
    import inspect

    return float(any("fit.py" in frame.filename for frame in inspect.stack()))


def on_a_mesh(after, metrics, before, options):
    import inspect

    names = [frame.function for frame in inspect.stack()]
    return moved(after, 1e-3 * ("on_devices" in names)), metrics


class Lossy(dict):
    """A dict that a file holds as zeros: its leaves by path are not its leaves."""


def _zeroed(x):
    return x * 0 if hasattr(x, "__array__") else x


def _names_and_values(d):
    names = tuple(sorted(d))
    return names, [d[name] for name in names]


jax.tree_util.register_pytree_with_keys(
    Lossy,
    lambda d: (
        [(jax.tree_util.DictKey(k), jax.tree.map(_zeroed, d[k])) for k in sorted(d)],
        tuple(sorted(d)),
    ),
    lambda names, values: Lossy(zip(names, values, strict=True)),
    lambda d: (_names_and_values(d)[1], _names_and_values(d)[0]),
)


def lossy(params, key):
    state = init(params, key)
    return state._replace(opt_state=Lossy(state.opt_state))


def stays_lossy(after, metrics, before, options):
    return after._replace(opt_state=Lossy(after.opt_state)), metrics


FAULTS = (
    ("traced number", "scan", "in a scan", with_step(traced_number)),
    ("for vmap", "seeds", "not a loop", with_step(for_vmap)),
    ("micro moves", "micro_batches", "in micro-batches", with_step(micro_moves)),
    (
        "couples",
        "micro_batches",
        "couples other examples",
        dataclasses.replace(TOY, name="couples", couples=True),
    ),
    ("always pulls", "neutral", "neutral setting", with_step(always_pulls)),
    ("thaws", "roles", "anchor is frozen", with_step(thaws)),
    ("one role", "roles", "has the roles", with_step(keeps_one_role, state=one_role)),
    ("not counted", "roles", "not counted", with_step(not_counted)),
    ("single", "types", "changes its types", with_step(single)),
    ("promoting", "types", "promotion", with_step(promoting)),
    ("only in fit", "runs_under_fit", "under fit", with_step(only_in_fit)),
    ("lossy", "checkpoint", "another state", with_step(stays_lossy, state=lossy)),
    ("on a mesh", "two_devices", "on two devices", with_step(on_a_mesh)),
)
for name, aim, words, row in FAULTS:
    plant("recipe", name, aim, words, row)
