"""Spectral density by stochastic Lanczos quadrature."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np
from jax import Array

from jaxopt_lab.core import checks as arguments
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.curvature.operators.operator import Operator, draw
from jaxopt_lab.curvature.operators.vector_trees import Probe, check_probe
from jaxopt_lab.curvature.spectrum.lanczos import LanczosResult, lanczos
from jaxopt_lab.curvature.spectrum.quadrature import broadened, standard_error


class SpectralDensity(NamedTuple):
    """A density of eigenvalues. m probes of k steps, g grid points; all on the host.

    Attributes:
      grid: ``(g,)``.
      density: mean over the probes, ``(g,)``; its integral over the whole line is 1.
      standard_error: of the mean over the probes, ``(g,)``; NaN with one probe. The
        error of finite k, not included, vanishes where k is large enough to resolve
        ``sigma2``.
      sigma2: variance of the Gaussian of each eigenvalue.
      nodes: Ritz values of each probe, ascending, ``(m, k)``. Where a Krylov space
        ended before k, copies of the largest.
      weights: their weights, ``(m, k)``, of sum 1 for each probe; 0 for the copies.
      lower: the smallest Ritz value of all, and its residual.
      upper: the largest, and its residual.
      matvecs: products spent.
    """

    grid: np.ndarray
    density: np.ndarray
    standard_error: np.ndarray
    sigma2: float
    nodes: np.ndarray
    weights: np.ndarray
    lower: tuple[float, float]
    upper: tuple[float, float]
    matvecs: int


def spectral_density(
    operator: Operator,
    key: Array,
    *,
    num_steps: int = 64,
    num_probes: int = 10,
    sigma2: float | None = None,
    grid: np.ndarray | None = None,
    num_points: int = 1001,
    margin: float = 0.05,
    probe: Probe = "rademacher",
    traced: bool = False,
) -> SpectralDensity:
    r"""Spectral density by stochastic Lanczos quadrature.

    .. math::
        \phi(x) = \frac{1}{m} \sum_{p=1}^{m} \sum_{i=1}^{k}
                  c_{pi}\, \mathcal{N}(x; \theta_{pi}, \sigma^2)

    with the Ritz values :math:`\theta` of k Lanczos steps from m random vectors, and
    :math:`c` the squared first entries of T's eigenvectors.

    Args:
      operator: H, symmetric.
      key: typed PRNG key; probe p uses ``jax.random.fold_in(key, p)``.
      num_steps: k; clipped to P.
      num_probes: m.
      sigma2: variance of the Gaussians, in squared units of the eigenvalues. Default:
        a hundredth of the range of the Ritz values, squared.
      grid: evaluation points, any order, ``(g,)``. Default: ``num_points``
        equally spaced ones over the Ritz values and a margin.
      num_points: see ``grid``.
      margin: at either end, as a part of the range.
      probe: ``"rademacher"`` or ``"normal"``.
      traced: run each probe as one program; see ``lanczos``.

    Returns:
      A ``SpectralDensity``.

    Raises:
      InputError: an option is out of range or unknown.

    Deviations: PyHessian and its descendants widen the grid by an absolute 0.01, take
    ``sigma2 = 1e-5 max(1, range)``, which are both useless for small curvature, and
    renormalize on the grid. Memory: (k + 3) P.

    >>> import jax, jax.numpy as jnp
    >>> from jaxopt_lab import curvature
    >>> diagonal = jnp.array([2.0] + 9 * [0.0])
    >>> h = curvature.linear_operator(lambda v: diagonal * v, diagonal)
    >>> found = spectral_density(h, jax.random.key(0), num_steps=5)
    >>> [round(float(x), 2) for x in found.weights.mean(0)[:2]]  # 9/10 and 1/10
    [0.9, 0.1]

    Reference: Ghorbani, Krishnan and Xiao, "An investigation into neural net
    optimization via Hessian eigenvalue density", arXiv:1901.10159.
    """
    arguments.check_positive_count("num_probes", num_probes)
    arguments.check_positive_count("num_points", num_points)
    arguments.check_non_negative("margin", margin)
    check_probe(probe)
    if sigma2 is not None and not sigma2 > 0:
        raise InputError(f"sigma2 must be positive; got {sigma2}")
    runs = []
    for p in range(num_probes):
        probe_key = jax.random.fold_in(key, p)
        start = draw(operator, probe_key, probe)
        result = lanczos(operator, probe_key, num_steps, start=start, traced=traced)
        runs.append(jax.device_get(result._replace(basis=None, rotation=())))
    nodes, weights = _padded(runs)
    if grid is None or sigma2 is None:
        low, high = float(np.min(nodes)), float(np.max(nodes))
        scale = (high - low) or abs(high) or 1.0
        sigma2 = (scale / 100) ** 2 if sigma2 is None else sigma2
        if grid is None:
            ends = low - margin * scale, high + margin * scale
            grid = np.linspace(*ends, num_points)
    each = broadened(nodes, weights, grid, sigma2)
    return SpectralDensity(
        grid=np.asarray(grid, np.float64),
        density=np.mean(each, axis=0),
        standard_error=standard_error(each),
        sigma2=float(sigma2),
        nodes=nodes,
        weights=weights,
        lower=_end(runs, 0),
        upper=_end(runs, -1),
        matvecs=sum(int(r.matvecs) for r in runs),
    )


def _padded(runs: list[LanczosResult]) -> tuple[np.ndarray, np.ndarray]:
    k = max(len(r.values) for r in runs)
    nodes = [np.pad(r.values, (0, k - len(r.values)), mode="edge") for r in runs]
    weights = [np.pad(r.weights, (0, k - len(r.weights))) for r in runs]
    return np.array(nodes, np.float64), np.array(weights, np.float64)


def _end(runs: list[LanczosResult], at: int) -> tuple[float, float]:
    """The outermost Ritz value at one end, with its residual."""
    ends = []
    for r in runs:
        i = at % int(r.valid)
        ends.append((float(r.values[i]), float(r.residuals[i])))
    return min(ends) if at == 0 else max(ends)
