"""Recorded calls of layers, and how to replay them."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core import backward_state

VECTORS = pathlib.Path(__file__).parents[1] / "vectors"
CLOSE: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-11}


def load(method: str, case: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """``(meta, arrays by name)`` of a case."""
    with np.load(VECTORS / method / f"{case}.npz") as file:
        arrays = {name: file[name] for name in file.files}
    return json.loads(str(arrays.pop("meta"))), arrays


def replay(
    core: Any,
    meta: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    *,
    params: tuple[str, ...],
    state: Mapping[str, str] | None = None,
    mask: Callable[[int], Any] = lambda t: None,
) -> None:
    """Compare outputs, gradients and states of all recorded calls.

    Args:
      core: the layer.
      meta: of the case.
      arrays: of the case.
      params: names of the parameters.
      state: names of the case's states by ours.
      mask: of each call.
    """
    weights = {name: arrays[f"weight/{name}"] for name in params}
    state = {} if state is None else state
    now: Any = {own: arrays[f"state/init/{name}"] for own, name in state.items()}
    last = meta["train_steps"]

    def called(train: bool) -> Any:
        def run(weights: Any, x: Any, now: Any, cotangent: Any, mask: Any) -> Any:
            outputs = lambda w, x: core.apply(w, now, x, train=train, mask=mask)
            y, back, now = jax.vjp(outputs, weights, x, has_aux=True)
            return y, back(cotangent), now

        return jax.jit(run)

    step = {True: called(True), False: called(False)}
    for t in range(last + bool(meta["last_is_eval"])):
        x, cotangent = arrays[f"input/{t}/x"], arrays[f"input/{t}/cotangent"]
        y, (slopes, slope), now = step[t < last](weights, x, now, cotangent, mask(t))
        compare(t, arrays, y, slope, slopes)
        for own, name in state.items():
            want = arrays[f"state/{t}/{name}"]
            np.testing.assert_allclose(now[own], want, err_msg=f"{t} {own}", **CLOSE)


def replay_backward(
    core: Any,
    meta: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    *,
    state: Mapping[str, str],
    mask: Callable[[int], Any] = lambda t: None,
    weigh: Callable[[Any, Any], Any] = lambda cotangent, mask: cotangent,
) -> None:
    """``replay`` of a layer whose one state is made in the backward pass.

    Args:
      core: the layer.
      meta: of the case.
      arrays: of the case.
      state: names of the case's states by ours.
      mask: of each call.
      weigh: ``weigh(cotangent, mask)``, the cotangent of the output.
    """
    params = {name: arrays[f"weight/{name}"] for name in ("scale", "bias")}
    first = core.init()[1]["running"]
    values = {
        own: arrays[f"state/init/{name}"].reshape(first.value[own].shape).astype(float)
        for own, name in state.items()
    }
    now: Any = {"running": first._replace(value=values)}
    last = meta["train_steps"]

    def called(train: bool) -> Any:
        def run(params: Any, x: Any, now: Any, cotangent: Any, mask: Any) -> Any:
            outputs = lambda p, x, s: core.apply(p, s, x, train=train, mask=mask)[0]
            y, back = jax.vjp(outputs, params, x, now)
            slopes, slope, made = back(cotangent)
            old = now["running"]
            new = backward_state.taken([old], [made["running"]])[0] if train else old
            return y, slopes, slope, {"running": new}

        return jax.jit(run)

    step = {True: called(True), False: called(False)}
    for t in range(last + bool(meta["last_is_eval"])):
        x, cotangent = arrays[f"input/{t}/x"], arrays[f"input/{t}/cotangent"]
        args = (params, x, now, weigh(cotangent, mask(t)), mask(t))
        y, slopes, slope, now = step[t < last](*args)
        compare(t, arrays, y, slope, slopes)
        for own, name in state.items():
            got = now["running"].value[own]
            want = arrays[f"state/{t}/{name}"].reshape(got.shape)
            np.testing.assert_allclose(got, want, err_msg=f"{t} {own}", **CLOSE)


def compare(t: int, arrays: Any, y: Any, slope: Any, slopes: Any) -> None:
    """Compare the output and the gradients of call ``t``."""
    output = f"output/{t}" if f"output/{t}" in arrays else f"output/{t}/y"
    np.testing.assert_allclose(y, arrays[output], err_msg=output, **CLOSE)
    np.testing.assert_allclose(slope, arrays[f"grad/{t}/x"], err_msg=str(t), **CLOSE)
    for name, got in slopes.items():
        want = arrays[f"grad/{t}/{name}"]
        np.testing.assert_allclose(
            got, jnp.reshape(want, got.shape), err_msg=f"{t} {name}", **CLOSE
        )
