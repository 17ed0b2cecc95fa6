"""Calibration inputs of a trained run that are made without its data."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx

from jaxopt_lab.core.errors import InputError, unknown
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.lab.materials import functional_of
from jaxopt_lab.quantize import (
    DistilledInputs,
    Normalized,
    distill_inputs,
    distill_with_generator,
    swinging,
)
from jaxopt_lab.quantize.modules import ImageGenerator
from jaxopt_lab.training import from_nnx

DataFree = Literal["zeroq", "genie"]


class _Watched(nnx.BatchNorm):
    """A batch normalization that keeps its input for a moment."""

    def __call__(self, x: jax.Array, *given: Any, **options: Any) -> jax.Array:
        self.seen = nnx.Intermediate(x)
        return super().__call__(x, *given, **options)


class ObservedNorms(nnx.Module):
    """A module whose outputs are the inputs of its batch normalizations.

    Args:
      module: of which the batch normalizations become watched ones; its variables keep
        their paths, below ``module``.

    >>> net = ObservedNorms(nnx.BatchNorm(2, rngs=nnx.Rngs(0)))
    >>> net.eval()
    >>> [(x.shape, mean.shape) for x, mean, _ in net(jnp.ones((3, 2)))]
    [((3, 2), (2,))]
    """

    def __init__(self, module: nnx.Module) -> None:
        for _, node in nnx.iter_graph(module):
            if type(node) is nnx.BatchNorm:
                object.__setattr__(node, "__class__", _Watched)
        self.module = module
        takes = inspect.signature(type(module).__call__).parameters
        self.takes_rngs = "rngs" in takes

    def __call__(self, x: Any) -> list[tuple[jax.Array, jax.Array, jax.Array]]:
        """Input, running mean and running variance of every batch normalization.

        Args:
          x: inputs of the module.

        Returns:
          One tuple for each that is reached.
        """
        options = {"rngs": None} if self.takes_rngs else {}
        self.module(x, **options)  # pyright: ignore[reportCallIssue]
        return [
            (
                node.seen.get_value(),
                node.mean.get_value(),
                node.var.get_value(),
            )
            for _, node in nnx.iter_graph(self.module)
            if isinstance(node, _Watched) and hasattr(node, "seen")
        ]


def data_free_inputs(
    run: Any,
    method: DataFree,
    *,
    examples: Annotated[int, COUNT] = 32,
    steps: Annotated[int, COUNT] = 500,
    seed: int = 0,
) -> DistilledInputs:
    """Inputs that stand for the training data of a run, from its statistics.

    Args:
      run: a ``lab.Run`` of one seed, of images and with batch normalizations of flax.
      method: ``"zeroq"``, ``quantize.distill_inputs``; ``"genie"``,
        ``distill_with_generator`` with an ``ImageGenerator``, strided convolutions
        swinging where there are any.
      examples: number of inputs.
      steps: of the optimizer.
      seed: of the draws.

    Returns:
      The inputs as the network takes them.

    Raises:
      InputError: an unknown method, several seeds, no images, no batch normalization
        of flax, or images whose sides the generator cannot make.
    """
    if method not in get_args(DataFree):
        raise unknown("calibration", method, get_args(DataFree))
    given = {"examples": examples, "steps": steps}
    check_arguments(data_free_inputs, given)
    if run.seeds > 1:
        raise InputError(f"the run has {run.seeds} seeds; take one: run.seed(0)")
    if run.kind != "image":
        raise InputError(
            f"calibration={method} makes real inputs; the run is on {run.kind}"
        )
    watched = functional_of(
        run.configuration,
        run.kind,
        run.input_shape,
        run.num_classes,
        around=ObservedNorms,
    )

    def observe(weights: Any, x: jax.Array) -> list[Normalized]:
        params, state = ({"module": tree} if tree else {} for tree in weights)
        found = watched.apply(params, state, x, train=False)[0]
        return [Normalized(*layer) for layer in found]

    key, weights = jax.random.key(seed), (run.params, run.model_state)
    shape = (examples, *run.input_shape)
    if method == "zeroq":
        return distill_inputs(key, observe, weights, shape, steps=steps)
    size: Any = run.input_shape
    generator = from_nnx(lambda rngs: ImageGenerator(size, rngs=rngs))
    swing = _has_stride(observe, weights, shape)
    return distill_with_generator(
        key, observe, weights, shape, steps=steps, swing=swing, generator=generator
    )


def _has_stride(observe: Any, weights: Any, shape: tuple[int, ...]) -> bool:
    x = jax.ShapeDtypeStruct(shape, jnp.float32)
    try:
        jax.eval_shape(
            lambda w, x: swinging(observe)(jax.random.key(0), w, x), weights, x
        )
    except InputError:
        return False
    return True
