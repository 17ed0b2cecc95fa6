"""The claims about the edge of stability, and their table."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report
from experiments.harness.verdicts import Claim, exact
from experiments.studies.edge_of_stability.config import PAPERS, Config, Row
from experiments.studies.edge_of_stability.measure import Measured


def claim(
    row: Row, text: str, values: np.ndarray, accepted: tuple[float, float]
) -> Claim:
    """A claim on the mean over seeds.

    Args:
      row: the optimizer.
      text: the claim, in words.
      values: one for each seed.
      accepted: range of the mean in which it is right.

    Returns:
      The claim; an exact one, contradicted, where a seed diverged: it settles nowhere.
    """
    finite = np.isfinite(values)
    if not finite.all():
        diverged = f"{np.sum(~finite)} of {len(values)} seeds diverged"
        said = exact(text, False, diverged, row.name)
    else:
        said = Claim(text, row.name, values, accepted)
    return said._replace(paper=PAPERS[row.kind])


def settled(values: np.ndarray, config: Config) -> np.ndarray:
    """Mean over the last part of the run, for each seed.

    Args:
      values: shape ``(points + 1, seeds)``.
      config: says which part.

    Returns:
      Shape ``(seeds,)``.
    """
    return values[-max(1, round(config.settled * config.points)) :].mean(axis=0)


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims about all optimizers with their evidence.

    See ``ClaimedExperiment.claims``.
    """
    near = (1 - config.tolerance, 1 + config.tolerance)
    found = []
    for row, path in measured.items():
        end = settled(path.sharpness, config)
        if row.kind == "sgd":
            assert path.batch_sharpness is not None
            batch = settled(path.batch_sharpness, config)
            found += [
                claim(row, "batch sharpness settles at the edge", batch, near),
                claim(
                    row,
                    "the largest eigenvalue settles below batch sharpness",
                    end - batch,
                    (-np.inf, 0.0),
                ),
            ]
            continue
        found.append(claim(row, "sharpness settles at the edge", end, near))
        if row.progressive:
            lowest = np.nanmin(path.sharpness, axis=0)
            text = "sharpness comes from below 2/3 of the edge"
            found.append(claim(row, text, lowest, (0.0, 2 / 3)))
        ratio = path.loss[-1] / path.loss[0]
        text = "the loss falls all the same, to less than a tenth"
        found.append(claim(row, text, ratio, (0.0, 0.1)))
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers, tables and figures; see ``Experiment.report``."""
    from experiments.studies.edge_of_stability import figures

    del config
    paths = [
        {"row": row.name, "edge": row.edge, **path._asdict()}
        for row, path in measured.items()
    ]
    return Report({"paths": paths}, figures={"paths": figures.paths(measured)})
