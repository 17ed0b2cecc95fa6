"""The harness of applications on a toy: a line through noisy points."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.applications.application import Application, Settings
from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from jaxopt_lab.core.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    points: int = 20


def prepare(settings, noise="0.1"):
    try:
        return settings, {"noise": float(noise)}
    except ValueError:
        raise InputError(f"noise={noise} is no number") from None


def measure(settings, store, noise):
    def fit(seed):
        x = jnp.linspace(0, 1, settings.points)
        drawn = jax.random.normal(jax.random.key(seed), x.shape)
        return {"line": jnp.polyfit(x, 2 * x + 1 + noise * drawn, 1)}

    rows = store.group("fits")
    seeds = range(settings.first_seed, settings.first_seed + settings.seeds)
    lines = [rows.measured(f"seed {s}", lambda s=s: fit(s))["line"] for s in seeds]
    return np.array(lines)


def claims(measured, settings):
    return [Claim("the slope is positive", "noisy points", measured[:, 0])]


def report(measured, settings):
    from matplotlib.figure import Figure

    slope, offset = measured.mean(0)
    rows = [("slope", f"{slope:.2f}"), ("offset", f"{offset:.2f}")]
    table = Table(f"{settings.points} points", ("coefficient", "value"), rows)
    return Report({"line": measured}, [table], {"line": Figure()})


LINE = Application(
    name="line",
    purpose="A line through noisy points.",
    sizes={"quick": Config(seeds=2), "standard": Config(seeds=5, points=200)},
    measure=measure,
    claims=claims,
    paper="of this test",
    report=report,
    options={"noise": "standard deviation"},
    prepare=prepare,
)


def test_smoke(smoke):
    record = smoke(LINE, Config(seeds=2, points=10), noise="0.01")
    assert np.array(record["line"]) == pytest.approx(np.array([[2, 1]] * 2), abs=0.1)


def test_the_command(tmp_path, capsys):
    assert LINE.main([f"out={tmp_path}"]) == 0
    assert "20 points" in capsys.readouterr().out
    assert LINE.main(["noise=loud", f"out={tmp_path}"]) == 2
    assert "noise=loud is no number" in capsys.readouterr().err
    assert LINE.main(["seeds=few", f"out={tmp_path}"]) == 2
    said = "seeds=few; accepted: a whole number from 1"
    assert capsys.readouterr().err.strip().endswith(said)
    assert LINE.main(["steps=3"]) == 2, "its settings have no steps"
    assert LINE.main(["--help"]) == 0
    usage = "python -m experiments.applications.line [quick|standard]"
    shown = capsys.readouterr().out
    assert usage in shown and "[seeds=...] [noise=...]" in shown


def test_a_standard_run_decides_and_goes_on_where_it_was_killed(tmp_path, capsys):
    words = ["standard", "seeds=6", f"out={tmp_path}"]
    for _ in range(2):
        assert LINE.main(words) == 0
    shown = capsys.readouterr().out
    assert shown.count("fits, seed 5: ") == 1, "the second run measured again"
    (verdict,) = json.loads((tmp_path / "results.json").read_text())["verdicts"]
    assert (verdict["word"], verdict["n"]) == ("shown", 6)
    assert verdict["paper"] == "of this test"


def test_one_table_and_one_figure(tmp_path):
    two = dataclasses.replace(
        LINE, report=lambda *a: report(*a)._replace(tables=report(*a).tables * 2)
    )
    with pytest.raises(ValueError, match="2 tables and 1 figures"):
        two.run(Config(seeds=1), tmp_path)
