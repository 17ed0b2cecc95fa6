"""Curvature of a point in one call."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple, get_args

import jax
import numpy as np
from jax import Array

from jaxopt_lab.core import errors, trees
from jaxopt_lab.core.checks import check_positive_count
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.perturbation import ScalingName
from jaxopt_lab.core.typing import Batch, LossFn, MaskOrFn, Params, PyTree
from jaxopt_lab.curvature.measures.sharpness import ascent_sharpness
from jaxopt_lab.curvature.operators.blocks import split
from jaxopt_lab.curvature.operators.fishers import empirical_fisher, fisher
from jaxopt_lab.curvature.operators.gauss_newton import ggn
from jaxopt_lab.curvature.operators.hessian import hessian
from jaxopt_lab.curvature.operators.operator import Operator
from jaxopt_lab.curvature.operators.products import Weights
from jaxopt_lab.curvature.spectrum.criteria import effective_rank, lla_criteria
from jaxopt_lab.curvature.spectrum.density import spectral_density
from jaxopt_lab.curvature.spectrum.top import top_eigenvalues
from jaxopt_lab.curvature.spectrum.trace import hutchinson_trace

Quantity = Literal["top", "bottom", "trace", "density", "layers", "ascent"]
OperatorName = Literal["hessian", "ggn", "fisher", "empirical_fisher"]

# Name of the measure, scaling of its ascent, radius as published.
_ASCENTS: tuple[tuple[str, ScalingName, float], ...] = (
    ("sam", "identity", 0.05),
    ("asam", "abs", 0.5),
)


class ProbeResult(NamedTuple):
    """Measurements of ``probe``, on the host.

    Attributes:
      scalars: numbers by name, each estimate with its error beside it.
      arrays: arrays by name.
      matvecs: products with the operator that were spent.
      start: the top eigenvector, to start the next probe from; ``None`` without
        ``"top"``.
    """

    scalars: dict[str, float]
    arrays: dict[str, np.ndarray]
    matvecs: int
    start: PyTree | None


def probe(
    loss_fn: LossFn,
    params: Params,
    batches: Iterable[Batch],
    key: Array,
    *,
    what: Sequence[Quantity] = ("top", "trace"),
    k: int = 1,
    num_steps: int = 40,
    num_probes: int = 10,
    operator: OperatorName | Callable[[Params], Operator] = "hessian",
    mask: MaskOrFn | None = None,
    learning_rate: float | None = None,
    start: PyTree | None = None,
    model_fn: Callable[[Any, Batch], PyTree] | None = None,
    output_loss_fn: Callable[[PyTree, Batch], Array] | None = None,
    example_losses: Callable[[Any, Batch], Array] | None = None,
    example_weights: Weights = None,
) -> ProbeResult:
    r"""Measure the curvature at a point.

    Args:
      loss_fn: ``loss_fn(params, batch) -> scalar``, the mean over the examples; see
        ``hessian`` on batch normalization, dropout and why to pass the same object.
      params: the point.
      batches: the examples: a list, or something that can be iterated repeatedly. The
        same ones along a run, or the curve shows the noise of the batches.
      key: typed key of the random vectors; likewise.
      what: quantities to measure.

        * ``"top"``: ``top_1`` to ``top_k``, the largest eigenvalues, each with
          ``..._residual``; ``top_matvecs``; with ``learning_rate``, ``stability``,
          :math:`\eta \lambda_1 / 2`; gradient descent is unstable above 1.
        * ``"bottom"``: ``bottom_1`` and ``bottom_1_residual``: the smallest Ritz
          value. It converges late; within the residual of it there is an eigenvalue,
          which need not be the smallest.
        * ``"trace"``: ``trace`` and its standard error ``trace_error``.
        * ``"density"``: arrays ``density_grid``, ``density``, ``density_error``,
          ``density_nodes`` and ``density_weights``; scalars ``lla_r_e``,
          ``lla_k_hn``, ``effective_rank`` (all three depend on ``num_steps``, which
          is recorded as ``density_steps``).
        * ``"layers"``: ``layer/PATH`` and ``layer/PATH/residual``, the largest
          eigenvalue of the block of each parameter.
        * ``"ascent"``: ``sam_sharpness`` (radius 0.05) and ``asam_sharpness`` (0.5),
          rises of the loss along the ascent steps of these methods.

      k: number of eigenvalues for ``"top"``.
      num_steps: at most as many Lanczos steps for an eigenvalue, and for each probe
        of the density.
      num_probes: random vectors for the trace and the density.
      operator: the matrix: the Hessian of ``loss_fn``; or ``"ggn"`` (needs
        ``model_fn`` and ``output_loss_fn``), ``"fisher"`` (needs ``model_fn``, whose
        outputs are logits), ``"empirical_fisher"`` (needs ``example_losses``); or a
        function of the parameters that gives an operator.
      mask: parameters that the matrix covers. Default: all.
      learning_rate: for ``stability``.
      start: ``ProbeResult.start`` of the last probe, which saves products.
      model_fn: ``model_fn(params, batch) -> outputs``.
      output_loss_fn: ``output_loss_fn(outputs, batch) -> scalar``, the mean.
      example_losses: ``example_losses(params, batch) -> (B,)``.
      example_weights: as for ``hessian``.

    Returns:
      The measurements.

    Raises:
      InputError: a name is unknown, a function is missing that the operator needs, or
        an argument does not fit.

    Cost: about two gradients of all batches for a product; ``num_steps`` products
    for ``"top"`` (fewer where it converges) and for each parameter tensor of
    ``"layers"``, ``num_steps * num_probes`` for ``"density"``, ``num_probes`` for
    ``"trace"``. Memory: ``num_steps + 3`` vectors like the parameters.

    >>> import jax, jax.numpy as jnp
    >>> loss = lambda w, x: jnp.mean((x @ w) ** 2) / 2
    >>> found = probe(loss, jnp.ones(2), [jnp.array([[2.0, 0.0], [0.0, 1.0]])],
    ...               jax.random.key(0), what=("top",), learning_rate=0.5)
    >>> round(found.scalars["top_1"], 4), round(found.scalars["stability"], 4)
    (2.0, 0.5)
    """
    what = tuple(what)
    for name in what:
        if name not in get_args(Quantity):
            raise errors.unknown("quantity", name, get_args(Quantity))
    if not what:
        raise InputError(f"what is empty; accepted: {', '.join(get_args(Quantity))}")
    check_positive_count("k", k)
    check_positive_count("num_steps", num_steps)
    check_positive_count("num_probes", num_probes)
    make = _maker(
        operator,
        loss_fn,
        batches,
        key,
        model_fn=model_fn,
        output_loss_fn=output_loss_fn,
        example_losses=example_losses,
        example_weights=example_weights,
    )
    whole = make(params, mask)
    keys = dict(zip(get_args(Quantity), jax.random.split(key, 6), strict=True))
    scalars: dict[str, float] = {}
    arrays: dict[str, np.ndarray] = {}
    matvecs, warm = 0, None
    if "top" in what:
        top = top_eigenvalues(whole, keys["top"], k, num_steps=num_steps, start=start)
        scalars |= top.named("top")
        scalars["top_matvecs"] = int(top.matvecs)
        if learning_rate is not None:
            scalars["stability"] = float(learning_rate) * float(top.values[0]) / 2
        warm = jax.tree.map(lambda x: x[0], top.vectors)
        matvecs += int(top.matvecs)
    if "bottom" in what:
        bottom = top_eigenvalues(
            whole, keys["bottom"], num_steps=num_steps, which="smallest"
        )
        scalars |= bottom.named("bottom")
        matvecs += int(bottom.matvecs)
    if "trace" in what:
        trace = hutchinson_trace(whole, keys["trace"], num_probes=num_probes)
        scalars |= {"trace": trace.value, "trace_error": trace.standard_error}
        matvecs += trace.matvecs
    if "density" in what:
        matvecs += _density(
            whole, keys["density"], num_steps, num_probes, scalars, arrays
        )
    if "layers" in what:
        matvecs += _layers(make, params, mask, keys["layers"], num_steps, scalars)
    if "ascent" in what:
        for name, scaling, rho in _ASCENTS:
            rise = ascent_sharpness(
                loss_fn,
                params,
                batches,
                rho,
                scaling=scaling,
                mask=mask,
                example_weights=example_weights,
            )
            scalars[f"{name}_sharpness"] = float(rise)
    return ProbeResult(scalars, arrays, matvecs, warm)


Maker = Callable[[Params, MaskOrFn | None], Operator]


def _maker(
    name: OperatorName | Callable[[Params], Operator],
    loss_fn: LossFn,
    batches: Iterable[Batch],
    key: Array,
    *,
    model_fn: Any,
    output_loss_fn: Any,
    example_losses: Any,
    example_weights: Weights,
) -> Maker:
    """``make(params, mask) -> operator``."""
    if callable(name):
        return lambda params, mask: name(params)
    if name not in get_args(OperatorName):
        raise errors.unknown("operator", name, get_args(OperatorName))
    given = {
        "model_fn": model_fn,
        "output_loss_fn": output_loss_fn,
        "example_losses": example_losses,
    }
    needed = {
        "hessian": (),
        "ggn": ("model_fn", "output_loss_fn"),
        "fisher": ("model_fn",),
        "empirical_fisher": ("example_losses",),
    }[name]
    missing = [argument for argument in needed if given[argument] is None]
    if missing:
        raise InputError(f"operator={name!r} needs {' and '.join(missing)}")
    shared: dict[str, Any] = {"example_weights": example_weights}
    return {
        "hessian": lambda p, m: hessian(loss_fn, p, batches, mask=m, **shared),
        "ggn": lambda p, m: ggn(model_fn, output_loss_fn, p, batches, mask=m, **shared),
        "fisher": lambda p, m: fisher(model_fn, p, batches, key, mask=m, **shared),
        "empirical_fisher": lambda p, m: empirical_fisher(
            example_losses, p, batches, mask=m, **shared
        ),
    }[name]


def _density(
    operator: Operator,
    key: Array,
    num_steps: int,
    num_probes: int,
    scalars: dict[str, float],
    arrays: dict[str, np.ndarray],
) -> int:
    found = spectral_density(operator, key, num_steps=num_steps, num_probes=num_probes)
    criteria = lla_criteria(found.nodes, found.weights)
    scalars |= {
        "lla_r_e": criteria.r_e,
        "lla_k_hn": criteria.k_hn,
        "effective_rank": effective_rank(
            found.nodes, found.weights, size=operator.size
        ),
        "density_steps": criteria.num_steps,
    }
    arrays |= {
        "density_grid": found.grid,
        "density": found.density,
        "density_error": found.standard_error,
        "density_nodes": found.nodes,
        "density_weights": found.weights,
    }
    return found.matvecs


def _layers(
    make: Maker,
    params: Params,
    mask: MaskOrFn | None,
    key: Array,
    num_steps: int,
    scalars: dict[str, float],
) -> int:
    free = split(params, mask).free
    spent = 0
    for i, (path, _) in enumerate(jax.tree_util.tree_leaves_with_path(free)):
        alone = jax.tree_util.tree_map_with_path(
            lambda other, _, path=path: other == path, params
        )
        top = top_eigenvalues(
            make(params, alone), jax.random.fold_in(key, i), num_steps=num_steps
        )
        name = f"layer/{trees.path_name(path)}"
        scalars[name] = float(top.values[0])
        scalars[f"{name}/residual"] = float(top.residuals[0])
        spent += int(top.matvecs)
    return spent
