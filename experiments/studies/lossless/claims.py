"""The claims about lossless codes, and their table."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim, exact
from experiments.studies.lossless.config import Config
from experiments.studies.lossless.measure import Measured

_INF = float("inf")


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; see ``ClaimedExperiment.claims``."""
    del config
    above = measured.coded / measured.ideal - 1
    worst = f"{np.max(measured.over):.1f} bits at most"
    stream = measured.coded + measured.header
    return [
        exact("every digit comes back", bool(np.all(measured.whole)), "all seeds"),
        exact(
            "one digit alone takes at most 64 bits above its likelihood",
            bool(np.all(measured.over <= 64)),
            worst,
        ),
        Claim(
            "one stream of all is within 1 % of the likelihood",
            "circuit",
            above,
            (-_INF, 0.01),
            scale=100.0,
            unit=" %",
        ),
        Claim("fewer bits a pixel than PNG", "circuit", measured.png - stream),
        Claim("fewer bits a pixel than zlib", "circuit", measured.zlib - stream),
        Claim(
            "fewer bits a pixel than PNG, the circuit itself sent along",
            "circuit",
            measured.png - stream - measured.model,
        ),
    ]


def report(measured: Measured, config: Config) -> Report:
    """Numbers and a table; see ``Experiment.report``."""
    names = {
        "likelihood of the circuit": measured.ideal,
        "words and head of the coder": measured.coded,
        "header of the stream": measured.header,
        "the circuit itself": measured.model,
        "PNG, all digits in one image": measured.png,
        "zlib": measured.zlib,
    }
    rows = [(name, f"{np.mean(bits):.4f}") for name, bits in names.items()]
    table = Table(
        f"{config.test} digits, a circuit of {config.states} states fitted on "
        f"{config.train}, means over {config.seeds} seeds",
        ("part", "bits a pixel"),
        rows,
    )
    return Report({"measured": measured}, [table])
