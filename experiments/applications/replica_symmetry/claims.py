"""The claims about replica symmetry breaking, their table and figure."""

from __future__ import annotations

import numpy as np

from experiments.applications.replica_symmetry.config import MODELS, Config, Measured
from experiments.harness.figures import BLUE, GREY, ORANGE, grid, tidy
from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.spins.replicas import one_step_breaking
from jaxopt_lab.diagnostics.theory.marchenko_pastur import marchenko_pastur_density

COLD = 10.0  # inverse temperature at which the energy is that of the ground state


def extrapolated(lowest: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """Least energies at infinite N, on a line in N**(-2/3), of every seed.

    >>> extrapolated(np.array([[2.0], [1.25]]), (1, 8)).round(12).tolist()
    [1.0]
    """
    if len(sizes) == 1:
        return lowest[0]
    x = np.array(sizes) ** (-2 / 3)
    return np.polyfit(x, lowest, 1)[1]


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence."""
    if config.models != MODELS:
        return []
    largest = f"N = {config.spins[-1]}"
    glass, dense = measured.energies[:, -1]
    warm = [i for i, t in enumerate(config.temperatures) if t > 0.7]
    theory = np.array([state.energy for state in measured.broken])
    ground = one_step_breaking(COLD, 3).energy
    centres = np.linspace(-1, 1, config.bins + 1)[:-1] + 1 / config.bins
    low, middle, high = (
        measured.overlaps[:, :, (centres > a) & (centres < b)]
        for a, b in ((-0.25, 0.25), (0.4, 0.65), (0.7, 1.0))
    )
    valley = np.minimum(low.max(2), high.max(2)) - middle.mean(2)
    found = [
        Claim(
            "energies of the network and the glass differ by less than 0.05",
            f"every temperature, {largest}",
            (dense - glass).T,
            (-0.05, 0.05),
        ),
        Claim(
            "energies are within 0.05 of the theory",
            f"T > 0.7, {largest}",
            np.concatenate([(e - theory)[:, warm].T for e in (glass, dense)]),
            (-0.05, 0.05),
        ),
        Claim(
            "the spectrum of pair couplings is nearer to Marchenko and Pastur's law "
            "than to the semicircle",
            f"N = {config.matrix[0]}",
            measured.distances[:, 1] - measured.distances[:, 0],
        ),
    ]
    for i, model in enumerate(MODELS):
        per_cent = 100 * (extrapolated(measured.lowest[i], config.spins) / ground - 1)
        found += [
            Claim(
                "overlaps have two peaks at the lowest temperature",
                f"{model}, {largest}",
                valley[i],
            ),
            Claim(
                "the ground state is within 10 % of one step of breaking",
                f"{model}, extrapolated in N",
                per_cent,
                (-10, 10),
                unit=" %",
            ),
        ]
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure."""
    figure, ((left, middle, right),) = grid(1, 3, 11.5, 3.6)
    t, largest = np.array(config.temperatures), config.spins[-1]
    left.plot(t, [s.energy for s in measured.broken], color="k", label="one step")
    dashed = {"color": GREY, "ls": "--", "label": "symmetric"}
    left.plot(t, [s.energy for s in measured.symmetric], **dashed)
    centres = np.linspace(-1, 1, config.bins + 1)[:-1] + 1 / config.bins
    for i, (model, color, mark) in enumerate(
        zip(config.models, (BLUE, ORANGE), "os", strict=False)
    ):
        mean = measured.energies[i, -1].mean(0)
        left.plot(t, mean, mark, color=color, label=f"{model}, N = {largest}")
        middle.step(
            centres, measured.overlaps[i].mean(0), where="mid", color=color, label=model
        )
    left.set(xlabel="temperature", ylabel="energy of a spin", title="energies, P = 3")
    middle.set(xlabel="overlap of two copies", ylabel="density")
    middle.set_title(f"T = {t[-1]:g}, N = {largest}")
    ratio = config.matrix[1]
    x = np.linspace(1e-3, measured.spectrum.max() + 0.3, 400)
    right.hist(
        measured.spectrum, 30, density=True, color=BLUE, alpha=0.4, label="drawn"
    )
    law = np.asarray(marchenko_pastur_density(x, ratio))
    right.plot(x, law, color="k", label="Marchenko-Pastur")
    circle = np.maximum(4 * ratio - (x - ratio) ** 2, 0) ** 0.5 / (2 * np.pi * ratio)
    right.plot(x, circle, color=GREY, ls="--", label="semicircle")
    right.set(xlabel="eigenvalue", ylabel="density", title="couplings of pairs, P = 2")
    for axes in (left, middle, right):
        tidy(axes)
        axes.legend(frameon=False, fontsize=8)
    headings = [f"{model} {n}" for model in config.models for n in config.spins]
    means = measured.energies.mean(2).reshape(len(headings), -1)
    rows = [
        (
            f"{t[i]:g}",
            f"{one.q:.3f}",
            f"{one.m:.3f}",
            f"{one.f:.4f}",
            f"{same.f:.4f}",
            f"{one.energy:.4f}",
            *(f"{e:.4f}" for e in means[:, i]),
        )
        for i, (one, same) in enumerate(
            zip(measured.broken, measured.symmetric, strict=True)
        )
    ]
    first = ("T", "q", "m", "f, one step", "f, symmetric", "energy, one step")
    table = Table(
        "Replica theory of the 3-spin glass, and simulated energies (N) in its units",
        (*first, *headings),
        rows,
    )
    return Report({"measured": measured}, [table], {"energies": figure})
