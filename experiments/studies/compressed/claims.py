"""The claims about compressed state, and their tables."""

from __future__ import annotations

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.compressed import methods
from experiments.studies.compressed.config import Config
from experiments.studies.compressed.measure import Measured, Runs
from experiments.studies.scores import Score, better, rate_text, score
from jaxopt_lab import catalog
from jaxopt_lab.lab.statistics import mean_interval


def scores(found: dict[str, Runs], config: Config) -> dict[str, Score]:
    """Held-out losses at the rate that each method chose.

    Args:
      found: runs of one panel.
      config: gives the rates.

    Returns:
      Scores by method.
    """
    return {
        name: score(runs.final, config.rates, higher_is_better=False)
        for name, runs in found.items()
    }


def claims(measured: Measured, config: Config) -> list[Claim]:
    """AdamW reaches a lower loss than each method that saves on its state.

    See ``ClaimedExperiment.claims``.
    """
    found, base = [], methods.ADAMW.name
    papers = {m.name: catalog.get(m.row, "transform").paper for m in methods.ALL}
    for panel, runs in measured.items():
        at = scores(runs, config)
        found += [
            better(panel, at, base, name, higher_is_better=False)._replace(
                unit=" nats", paper=papers[name]
            )
            for name in runs
            if name != base
        ]
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers, tables and figures; see ``Experiment.report``."""
    from experiments.studies.compressed import figures

    rows, tables, drawn = [], [], {}
    for panel, runs in measured.items():
        at = scores(runs, config)
        means = {name: mean_interval(s.values) for name, s in at.items()}
        curves = {
            name: runs[name].losses[config.rates.index(s.rate), config.seeds :]
            for name, s in at.items()
        }
        stem = panel.replace(" ", "-")
        drawn[f"{stem}-loss"] = figures.curves(panel, curves)
        drawn[f"{stem}-bytes"] = figures.price(
            panel,
            list(runs),
            [r.state_bytes for r in runs.values()],
            [m.mean for m in means.values()],
            [(m.mean - m.half, m.mean + m.half) for m in means.values()],
        )
        rows += [
            {
                "panel": panel,
                "method": name,
                "loss": means[name].mean,
                "half": means[name].half,
                **s._asdict(),
                "state_bytes": runs[name].state_bytes,
                "peak_bytes": runs[name].peak_bytes,
                "step_time": runs[name].step_time,
                "compile_seconds": runs[name].compile_seconds,
                "training_loss": curves[name].mean(axis=0),
            }
            for name, s in at.items()
        ]
        tables.append(_table(panel, runs, at))
    return Report({"rows": rows}, tables, drawn)


def _table(panel: str, runs: dict[str, Runs], at: dict[str, Score]) -> Table:
    rows = []
    for name, s in at.items():
        mean, half = mean_interval(s.values)
        one = runs[name]
        rows.append(
            (
                name,
                rate_text(s),
                f"{mean:.4f} ± {half:.4f}",
                f"{one.state_bytes:.2f}",
                f"{one.peak_bytes:.1f}",
                f"{one.step_time[0]:.2f}",
                f"{one.compile_seconds:.1f}",
            )
        )
    return Table(
        f"{panel}: held-out loss at the chosen rate (* edge of the grid)",
        (
            "method",
            "rate",
            "loss (nats)",
            "state (B/param)",
            "peak (B/param)",
            "step over AdamW's",
            "compiled in (s)",
        ),
        rows,
    )
