"""Measurements around a trained network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from jaxopt_lab import curvature, diagnostics
from jaxopt_lab.lab import probing
from jaxopt_lab.lab.inspect.options import InspectOptions
from jaxopt_lab.lab.inspect.trained_network import TrainedNetwork

Say = Callable[[str], None]


class Findings(NamedTuple):
    """Results of the measurements.

    Attributes:
      probe: eigenvalues, trace, density, layers and the rise along ascents.
      vectors: the top eigenvectors, stacked.
      values: the eigenvalues that belong to them.
      spectra: heavy-tail metrics of every kernel, by path.
      line: loss along the first filter-normalised direction.
      filters: loss on a plane of two filter-normalised directions.
      eigen: loss on the plane of the top two eigenvectors; ``None`` for one.
      rises: rise of the loss along the run's own rho, by name of the ascent; empty
        for a method without one.
    """

    probe: curvature.ProbeResult
    values: Any
    spectra: dict[str, Any]
    line: Any
    filters: Any
    eigen: Any
    rises: dict[str, float]


_ASCENTS: dict[str, Any] = {"rho g / |g|": "identity", "rho w^2 g / |w g|": "abs"}
"""Scalings of an ascent by the step that they give."""


def measure(network: TrainedNetwork, options: InspectOptions, say: Say) -> Findings:
    """Measure everything.

    Args:
      network: the network.
      options: how closely.
      say: gets a line before each measurement.

    Returns:
      The findings; the same ones whenever the same network is looked at.
    """
    params, batches = network.params, network.batches
    key = probing.probe_key()

    def loss(params: Any, batch: Any) -> jax.Array:
        return network.loss_fn(params, network.model_state, batch)

    shared: dict[str, Any] = {"example_weights": probing.weight_of}
    say("eigenvalues, trace, density, layers")
    found = curvature.probe(
        loss,
        params,
        batches,
        key,
        what=("trace", "density", "layers", "ascent"),
        num_steps=options.num_steps,
        num_probes=options.num_probes,
        **shared,
    )
    operator = curvature.hessian(loss, params, batches, **shared)
    count = min(options.k, operator.size)
    top = curvature.top_eigenvalues(
        operator, key, count, num_steps=max(options.num_steps, 2 * count)
    )
    found.scalars.update(top.named("top"))
    found = found._replace(matvecs=found.matvecs + int(top.matvecs))
    rho = network.configuration.method.get("rho")
    rises = {}
    if rho is not None:
        say(f"rise of the loss along the run's own rho, {rho}")
        rises = {
            name: float(
                curvature.ascent_sharpness(
                    loss, params, batches, rho, scaling=scaling, **shared
                )
            )
            for name, scaling in _ASCENTS.items()
        }
    say("spectra of the weights")
    spectra = diagnostics.layer_spectra(params)
    say(f"landscape, {options.points} x {options.points} points, filter-normalised")
    steps = curvature.grid(options.reach, options.points)
    first, second = (
        curvature.normalize_direction(curvature.random_direction(k, params), params)
        for k in jax.random.split(key)
    )
    line = curvature.line(loss, params, first, batches, steps=steps, **shared)
    square: dict[str, Any] = {"first_steps": steps, "second_steps": steps, **shared}
    filters = curvature.plane(loss, params, first, second, batches, **square)
    eigen = None
    if count > 1 and float(top.values[1]) > 0:
        say("landscape along the top two eigenvectors")
        pair = jax.tree.map(lambda x: x[:2], top.vectors)
        one, two = curvature.hessian_directions(list(top.values[:2]), pair)
        eigen = curvature.plane(loss, params, one, two, batches, **square)
    return Findings(found, top.values, spectra, line, filters, eigen, rises)
