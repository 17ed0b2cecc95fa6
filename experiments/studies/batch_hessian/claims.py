"""The claims of the theory about the batch size, and their tables."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.batch_hessian import figures
from experiments.studies.batch_hessian.config import Config
from experiments.studies.batch_hessian.measure import Measured, Spectra
from experiments.studies.batch_hessian.slopes import halves, slopes, whole_seeds


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; see ``ClaimedExperiment.claims``."""
    spectra, rates = measured.spectra, measured.rates
    small, large = halves(config)
    found = [
        _grows(spectra),
        _formula("largest", spectra.largest, spectra.predicted[0], config),
        _formula("smallest", spectra.smallest, spectra.predicted[1], config),
    ]
    for name, part, claimed, regime in (
        ("sgd", small, 1.0, "small batches: linear"),
        ("sgd", large, 0.0, "large batches: flat"),
        ("linearised", small, 1.0, "small batches: linear"),
        ("linearised", large, 0.0, "large batches: flat"),
        ("adam", small, 0.5, "small batches: square root"),
        ("adam", large, 0.0, "large batches: flat"),
    ):
        sizes, near = config.batch_sizes[part], config.tolerance
        found.append(
            Claim(
                f"{regime} (slope {claimed:g} within {near:g}, "
                f"B = {sizes[0]} to {sizes[-1]})",
                name,
                slopes(sizes, rates[name][part]),
                (claimed - near, claimed + near),
            )
        )
    sizes = config.batch_sizes[small]
    both = whole_seeds(np.concatenate([rates[name][small] for name in ("sgd", "adam")]))
    steep, less = (slopes(sizes, part) for part in np.split(both, 2))
    return [
        *found,
        Claim(
            "small batches: SGD's rate grows faster with the batch than Adam's",
            "sgd, adam",
            steep - less,
        ),
        _two_over(spectra, rates["sgd"]),
        _at_least(rates["sgd"], rates["linearised"]),
    ]


def _grows(spectra: Spectra) -> Claim:
    rest = np.maximum(spectra.largest[-1], spectra.whole[0])
    return Claim(
        "the largest eigenvalue is larger in the smallest batches than in the largest "
        "ones and in the whole set",
        "Hessian",
        spectra.largest[0] - rest,
    )


def _formula(
    which: str, measured: np.ndarray, predicted: np.ndarray, config: Config
) -> Claim:
    near = config.formula_tolerance
    return Claim(
        f"the additive formula gives the {which} eigenvalue within {100 * near:g} % "
        "at every batch size",
        "Hessian",
        measured / predicted[:, None],
        (1 - near, 1 + near),
        evidence="measured over predicted",
    )


def _two_over(spectra: Spectra, rates: np.ndarray) -> Claim:
    return Claim(
        "the stable rate is 2 over the batch's largest eigenvalue, within 25 %, at "
        "every batch size",
        "sgd",
        whole_seeds(rates) * spectra.largest.mean(axis=1)[:, None] / 2,
        (0.8, 1.25),
        evidence="stable rate over it",
    )


def _at_least(rates: np.ndarray, linearised: np.ndarray) -> Claim:
    return Claim(
        "SGD trains at least up to the exact threshold of the linearised dynamics, at "
        "every batch size",
        "sgd",
        whole_seeds(rates) / linearised.mean(axis=1)[:, None],
        (1.0, float("inf")),
        evidence="stable rate over it",
    )


def report(measured: Measured, config: Config) -> Report:
    """Numbers, tables and figures; see ``Experiment.report``."""
    spectra, rates = measured.spectra, measured.rates
    value, error = spectra.variance
    table = Table(
        f"P = {spectra.num_params}, element variance {value:.2e} ± {error:.0e}; whole "
        f"set: largest {spectra.whole[0]:.3g}, smallest {spectra.whole[1]:.3g}; "
        f"largest residual {spectra.residual:.0e} of the largest eigenvalue",
        ("B", "largest", "formula", "smallest", "formula", *rates),
        [
            (
                str(size),
                f"{spectra.largest[i].mean():.3g}",
                f"{spectra.predicted[0, i]:.3g}",
                f"{spectra.smallest[i].mean():.3g}",
                f"{spectra.predicted[1, i]:.3g}",
                *(f"{np.exp(np.nanmean(np.log(rates[n][i]))):.3g}" for n in rates),
            )
            for i, size in enumerate(config.batch_sizes)
        ],
    )
    figure = figures.against_batch_size(spectra, rates, config)
    return Report(measured._asdict(), [table], {"batch_size": figure})
