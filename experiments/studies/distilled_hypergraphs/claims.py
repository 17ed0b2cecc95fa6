"""The claims about distilled hypergraphs, and their table."""

from __future__ import annotations

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.distilled_hypergraphs.config import Config
from experiments.studies.distilled_hypergraphs.measure import Measured

_INF = float("inf")


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; see ``ClaimedExperiment.claims``."""
    del config
    of = measured.accuracy
    percent = {"scale": 100, "unit": " %"}
    ratio = measured.operations["teacher"] / measured.operations["student"]
    found = [
        Claim(
            "the hypergraph helps the teacher",
            "teacher against perceptron",
            of["teacher"] - of["perceptron"],
            **percent,
        )
    ]
    for name in ("LightHGNN", "LightHGNN+"):
        found += [
            Claim(
                "accuracy is above that of a perceptron of the labels",
                name,
                of[name] - of["perceptron"],
                **percent,
            ),
            Claim(
                "accuracy is within a point of the teacher's",
                name,
                of[name] - of["teacher"],
                (-0.01, _INF),
                evidence=f"operations of the teacher over the student's: {ratio:.2f}",
                **percent,
            ),
        ]
    gain = of["LightHGNN+"] - of["LightHGNN"]
    text = "reliable hyperedges help"
    return [*found, Claim(text, "LightHGNN+ against LightHGNN", gain, **percent)]


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    from experiments.studies.distilled_hypergraphs import figures

    rows = [
        (
            name,
            f"{100 * accuracy.mean():.2f} %",
            f"{measured.operations['teacher' if name == 'teacher' else 'student']:.3g}",
        )
        for name, accuracy in measured.accuracy.items()
    ]
    table = Table(
        f"{config.nodes} digits, {config.labels} labels a class, means over "
        f"{config.seeds} seeds",
        ("network", "accuracy without labels", "operations"),
        rows,
    )
    drawn = {"accuracy": figures.accuracy(measured)}
    return Report({"measured": measured}, [table], drawn)
