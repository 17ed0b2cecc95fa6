"""Tiny inputs of controllers and searches."""

from __future__ import annotations

from typing import Any


def gradient_statistics() -> dict[str, Any]:
    """Statistics of five steps, the noise growing, and the bounds of the decision.

    >>> len(gradient_statistics()["stats"])
    5
    """
    noise = (0.5, 4.0, 9.0, 30.0, 2000.0)
    return {
        "stats": [{"variance": v, "grad_norm_sq": 0.25 + 0.1 * v} for v in noise],
        "low": {"accumulation": 2},
        "high": {"accumulation": 16},
        "eta": 0.5,
        "micro_batch": 4,
        "start_batch": 8,
        "max_batch": 64,
    }


_GROWING: dict[str, Any] = {
    "low": {"accumulation": 2},
    "high": {"accumulation": 16},
    "micro_batch": 4,
    "start_batch": 8,
    "max_batch": 64,
}


def projected_statistics() -> dict[str, Any]:
    """Variances along the mean gradient and beside it, in five steps.

    >>> sorted(projected_statistics()["stats"][0])
    ['grad_norm_sq', 'inner_variance', 'orthogonal_variance']
    """
    noise = ((0.5, 1.0), (4.0, 1.0), (1.0, 90.0), (30.0, 9.0), (2000.0, 1.0))
    stats = [
        {"inner_variance": a, "orthogonal_variance": b, "grad_norm_sq": 1.0}
        for a, b in noise
    ]
    return {"stats": stats, "theta": 0.5, "nu": 2.0, **_GROWING}


def coordinate_ratios() -> dict[str, Any]:
    """Ratios of variance and squared mean in four steps.

    >>> len(coordinate_ratios()["stats"])
    4
    """
    stats = [{"coordinate_ratio": x} for x in (0.5, 4.0, 9.0, 3000.0)]
    return {"stats": stats, "eta": 0.5, **_GROWING}


def noise_scales() -> dict[str, Any]:
    """Statistics of a noise that grows and falls.

    >>> len(noise_scales()["stats"])
    5
    """
    noise = (0.5, 40.0, 90.0, 3.0, 1.0)
    stats = [{"variance": v, "grad_norm_sq": 4.0 + 0.1 * v} for v in noise]
    return {"stats": stats, "decay": 0.5, **_GROWING}


def batches_of_a_run() -> dict[str, Any]:
    """Sizes of five batches, growing, and a run of 400 examples.

    >>> batches_of_a_run()["total_examples"]
    400
    """
    return {
        "stats": [{"batch": x} for x in (16.0, 32.0, 64.0, 128.0, 256.0)],
        "low": {"learning_rate": 0.0},
        "high": {"learning_rate": 0.5},
        "learning_rate": 0.5,
        "total_examples": 400,
    }


def spectra() -> dict[str, Any]:
    """The ends of four spectra, the last one of no use.

    >>> len(spectra()["stats"])
    4
    """
    ends = ((9.0, 1.0), (25.0, 1.0), (4.0, -1.0), (-1.0, -2.0))
    return {
        "stats": [{"largest_eigenvalue": a, "lowest_eigenvalue": b} for a, b in ends],
        "low": {"learning_rate": 0.0, "momentum": 0.0},
        "high": {"learning_rate": 10.0, "momentum": 0.99},
        "weight": 0.5,
    }


def activations_of_a_run() -> dict[str, Any]:
    """Accuracies and moments of one layer at six checkpoints; the target turns back.

    >>> len(activations_of_a_run()["stats"])
    6
    """
    accuracy = (0.1, 0.3, 0.5, 0.6, 0.65, 0.64)
    source = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
    target = (0.0, 1.1, 1.9, 1.2, 0.4, 0.1)
    stats = [
        {"source_accuracy": a}
        | {f"source_m{i}": s * i for i in (1, 2, 3, 4)}
        | {f"target_m{i}": t + 0.1 * i * s for i in (1, 2, 3, 4)}
        for a, s, t in zip(accuracy, source, target, strict=True)
    ]
    return {
        "stats": stats,
        "low": {"checkpoint": 0, "stop": 0},
        "high": {"checkpoint": 5, "stop": 1},
        "smooth": 1,
        "patience": 1,
    }


def small_space() -> dict[str, Any]:
    """A space of a real, a whole number and a name, and where its optimum is planted.

    >>> sorted(small_space()["optimum"])
    ['count', 'name', 'rate']
    """
    from jaxopt_lab.search import Choice, Integers, Interval

    return {
        "space": {
            "rate": Interval(1e-3, 1.0, log=True),
            "count": Integers(1, 4),
            "name": Choice(("left", "right")),
        },
        "optimum": {"rate": 0.03, "count": 3, "name": "right"},
        "budget": 64,
    }


def forecast_space() -> dict[str, Any]:
    """``small_space`` with a small budget, for searches that forecast.

    >>> forecast_space()["budget"]
    32
    """
    return {**small_space(), "population": 6, "generations": 2, "budget": 32}


def small_choices() -> dict[str, Any]:
    """A space of whole numbers and names, and where its optimum is planted.

    >>> len(small_choices()["space"])
    3
    """
    from jaxopt_lab.search import Choice, Integers

    return {
        "space": {
            "depth": Integers(1, 6),
            "count": Integers(1, 4),
            "name": Choice(("left", "middle", "right")),
        },
        "optimum": {"depth": 5, "count": 2, "name": "right"},
        "budget": 64,
    }
