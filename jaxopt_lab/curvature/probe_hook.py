"""A hook that probes the curvature along a run."""
# Its examples wait for pytest --full.

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import Array

from jaxopt_lab.core.checks import check_positive_count
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Batch, ModelState, Params, PyTree
from jaxopt_lab.curvature.probe import probe

# loss_fn(params, model_state, batch) -> mean loss in evaluation mode
StateLossFn = Callable[[Params, ModelState, Batch], Array]


@dataclasses.dataclass(frozen=True)
class WithState:
    """A loss of a point that contains the model state as a constant.

    A closure over the model state would be a new function, and hence a new
    compilation, at every step.

    Attributes:
      loss_fn: ``loss_fn(params, model_state, batch)``.
    """

    loss_fn: StateLossFn

    def __call__(self, point: Mapping[str, Any], batch: Batch) -> Array:
        return self.loss_fn(point["params"], point["model_state"], batch)

    def point(self, params: Params, model_state: ModelState) -> dict[str, Any]:
        """The point of curvature: the parameters and the fixed model state.

        Args:
          params: the parameters.
          model_state: the model state.

        Returns:
          The argument of the loss.
        """
        return {"params": params, "model_state": model_state}

    def only_params(self, point: Mapping[str, Any]) -> PyTree:
        """The mask that lets the parameters alone move.

        Args:
          point: as ``point`` gives it.

        Returns:
          A tree of booleans.
        """
        return {
            name: jax.tree.map(lambda _, name=name: name == "params", part)
            for name, part in point.items()
        }


class ProbeHook:
    """Hook for ``runtime.fit`` that probes the curvature when a run is evaluated.

    ``hook(step, state)`` returns the scalars of ``probe`` under ``curvature/...`` for
    the run's records, one number, or one for each seed where the state is stacked.
    Every probe uses the same batches and the same random vectors, so that what
    changes along the run is the network.

    Args:
      loss_fn: ``loss_fn(params, model_state, batch) -> scalar``, the mean loss in
        evaluation mode: fixed batch statistics, no dropout.
      batches: a list of batches, or something that can be iterated repeatedly.
      key: typed key.
      every: calls from one probe to the next; the first call probes.
      eval_params: ``eval_params(params, opt_state)``, for optimizers that keep other
        parameters than those to evaluate.
      warm_start: start from the last top eigenvector, which saves products. A resumed
        run has none, so that its first figures may differ in the digits below the
        residual; False makes them equal.
      folder: folder for arrays (densities), ``curvature-STEP.npz``; created if
        missing. ``None``: they are dropped.
      **options: as for ``probe``.

    Raises:
      InputError: (when made) ``every`` is no positive number; (when called) what
        ``probe`` raises.

    Cost: that of ``probe`` at each probed call, for each seed; one vector like the
    parameters in memory for each seed.

    >>> import jax, jax.numpy as jnp
    >>> from typing import NamedTuple
    >>> class State(NamedTuple):
    ...     step: int
    ...     params: jax.Array
    ...     model_state: tuple
    ...     opt_state: tuple
    >>> loss = lambda w, _, x: jnp.mean((x @ w) ** 2) / 2
    >>> hook = ProbeHook(loss, [2 * jnp.eye(2)], jax.random.key(0), what=("top",))
    >>> found = hook(1, State(1, jnp.ones(2), (), ()))
    >>> round(float(found["curvature/top_1"]), 4)
    2.0
    """

    def __init__(
        self,
        loss_fn: StateLossFn,
        batches: Iterable[Batch],
        key: Array,
        *,
        every: int = 1,
        eval_params: Callable[[Params, Any], Params] | None = None,
        warm_start: bool = True,
        folder: str | Path | None = None,
        **options: Any,
    ) -> None:
        check_positive_count("every", every)
        for name in ("mask", "start"):
            if name in options:
                raise InputError(f"{name} is the hook's own; it cannot be given")
        self._loss = WithState(loss_fn)
        self._batches, self._key, self._every = batches, key, every
        self._eval_params, self._options = eval_params, options
        self._warm_start = warm_start
        self._folder = None if folder is None else Path(folder)
        self._starts: dict[int, PyTree] = {}
        self._calls = 0

    def __call__(self, step: int, state: Any) -> dict[str, Any]:
        due = self._calls % self._every == 0
        self._calls += 1
        if not due:
            return {}
        if np.ndim(state.step) == 0:
            scalars, arrays = self._probe(0, state)
        else:
            each = [
                self._probe(i, jax.tree.map(lambda x, i=i: x[i], state))
                for i in range(np.shape(state.step)[0])
            ]
            scalars = {n: np.array([s[n] for s, _ in each]) for n in each[0][0]}
            # Grids and lengths differ from seed to seed.
            arrays = {
                f"{n}_{i}": value
                for i, (_, found) in enumerate(each)
                for n, value in found.items()
            }
        if arrays and self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            np.savez(self._folder / f"curvature-{step:08d}.npz", **arrays)  # type: ignore[arg-type]
        return {f"curvature/{name}": value for name, value in scalars.items()}

    def _probe(self, seed: int, state: Any) -> tuple[dict[str, float], dict[str, Any]]:
        params = state.params
        if self._eval_params is not None:
            params = self._eval_params(params, state.opt_state)
        point = self._loss.point(params, state.model_state)
        found = probe(
            self._loss,
            point,
            self._batches,
            self._key,
            mask=self._loss.only_params(point),
            start=self._starts.get(seed),
            **self._options,
        )
        if self._warm_start and found.start is not None:
            self._starts[seed] = found.start
        scalars = {
            name.replace("layer/params/", "layer/"): value
            for name, value in found.scalars.items()
        }
        return scalars, found.arrays
