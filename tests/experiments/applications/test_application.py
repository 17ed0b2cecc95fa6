"""The harness of applications on a toy: a line through noisy points."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from experiments.applications.application import Application
from experiments.harness.report import Report, Table
from jaxopt_lab.core.errors import InputError


@dataclasses.dataclass(frozen=True)
class Settings:
    points: int = 20
    seed: int = 0


def prepare(settings, noise="0.1"):
    try:
        return settings, {"noise": float(noise)}
    except ValueError:
        raise InputError(f"noise={noise} is no number") from None


def measure(settings, store, noise):
    def fit():
        x = jnp.linspace(0, 1, settings.points)
        drawn = jax.random.normal(jax.random.key(settings.seed), x.shape)
        return {"line": jnp.polyfit(x, 2 * x + 1 + noise * drawn, 1)}

    return store.group("fits").measured("line", fit)["line"]


def report(measured, settings):
    from matplotlib.figure import Figure

    slope, offset = measured
    rows = [("slope", f"{slope:.2f}"), ("offset", f"{offset:.2f}")]
    table = Table(f"{settings.points} points", ("coefficient", "value"), rows)
    return Report({"line": measured}, [table], {"line": Figure()})


LINE = Application(
    name="line",
    purpose="A line through noisy points.",
    sizes={"quick": Settings(), "standard": Settings(points=200)},
    measure=measure,
    report=report,
    options={"noise": "standard deviation"},
    prepare=prepare,
)


def test_smoke(smoke):
    record = smoke(LINE, Settings(points=10), noise="0.01")
    assert record["line"] == pytest.approx([2, 1], abs=0.1)


def test_the_command(tmp_path, capsys):
    assert LINE.main([f"out={tmp_path}"]) == 0
    assert "20 points" in capsys.readouterr().out
    assert LINE.main(["noise=loud", f"out={tmp_path}"]) == 2
    assert "noise=loud is no number" in capsys.readouterr().err
    assert LINE.main(["--help"]) == 0
    usage = "python -m experiments.applications.line [quick|standard]"
    assert usage in capsys.readouterr().out


def test_one_table_and_one_figure(tmp_path):
    two = dataclasses.replace(
        LINE, report=lambda *a: report(*a)._replace(tables=report(*a).tables * 2)
    )
    with pytest.raises(ValueError, match="2 tables and 1 figures"):
        two.run(Settings(), tmp_path)
