"""Time and memory of the metrics of two sets, beside scikit-learn's neighbours.

Run as ``python -m experiments.benchmarks.set_metrics``; ``--points``, ``--features``
and ``--pairs`` change the size. The points are normal, float32. Each metric runs in
blocks of 1024 points, compiled before it is timed. ``nearest`` is the search for the
five nearest others of every point of one set, which is timed in pairs with
``NearestNeighbors(algorithm="brute")`` where scikit-learn is installed, by the clock on
the wall and in processor time. The peak is the largest memory that the process has held
so far, jax and scikit-learn with it.
"""

from __future__ import annotations

import functools
import importlib.util
import resource
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from experiments.benchmarks import options
from experiments.benchmarks.paired import ratio, report
from jaxopt_lab import metrics
from jaxopt_lab.core.neighbours import nearest

K = 5
METRICS: dict[str, Callable[..., Any]] = {
    "knn_coverage": functools.partial(metrics.knn_coverage, k=K),
    "mark_evaluate": metrics.mark_evaluate,
    "fuzzy_topology_impact": functools.partial(metrics.fuzzy_topology_impact, k=K),
    "lsh_precision_recall, sign, k=0": functools.partial(
        metrics.lsh_precision_recall, k=0
    ),
    "lsh_precision_recall, sign, k=3": metrics.lsh_precision_recall,
}


def peak_bytes() -> int:
    """The largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def sets(points: int, features: int) -> tuple[jax.Array, jax.Array]:
    """Two sets of normal points, the second a little shifted."""
    rng = np.random.default_rng(0)
    real, generated = rng.normal(size=(2, points, features)).astype(np.float32)
    generated += 0.1
    real, generated = jax.device_put((real, generated))
    return real, generated


def measure(points: int, features: int, pairs: int) -> dict[str, Any]:
    """Seconds of every metric, the peak, and the ratio to scikit-learn.

    Args:
      points: of each set.
      features: of a point.
      pairs: pairs of timings against scikit-learn.

    Returns:
      Figures by label.
    """
    real, generated = sets(points, features)
    key, found = jax.random.key(0), {}
    for name, metric in METRICS.items():
        compiled = jax.jit(metric).lower(real, generated, key=key).compile()
        began = time.perf_counter()
        jax.block_until_ready(compiled(real, generated, key=key))
        found[f"{name}, seconds"] = time.perf_counter() - began
    found["peak, GB"] = peak_bytes() / 1e9
    if importlib.util.find_spec("sklearn") is None:
        return found
    search = functools.partial(nearest, k=K, exclude_same_index=True)
    ours = jax.jit(search).lower(real, real).compile()
    theirs = _brute_force(np.asarray(real))
    clocks = {"wall": time.perf_counter, "processor": time.process_time}
    for name, clock in clocks.items():
        found[f"nearest over scikit-learn, {name} time"] = ratio(
            lambda: jax.block_until_ready(ours(real, real)),
            theirs,
            pairs=pairs,
            clock=clock,
        )
    found["peak with scikit-learn, GB"] = peak_bytes() / 1e9
    return found


def _brute_force(x: np.ndarray) -> Callable[[], Any]:
    from sklearn.neighbors import NearestNeighbors

    fitted = NearestNeighbors(n_neighbors=K, algorithm="brute").fit(x)
    # Without queries a point is not its own neighbour.
    return fitted.kneighbors


def main() -> None:
    """Print the figures."""
    parser = options.parser(__doc__)
    parser.add_argument("--points", type=int, default=10_000, help="of each set")
    parser.add_argument("--features", type=int, default=64, help="of a point")
    parser.add_argument("--pairs", type=int, default=6, help="of timings")
    given = parser.parse_args()
    figures = measure(given.points, given.features, given.pairs)
    report(f"metrics of {given.points} and as many points", figures)


if __name__ == "__main__":
    main()
