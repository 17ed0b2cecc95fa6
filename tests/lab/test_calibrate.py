"""The calibration of a run, in Python and from the command; what it refuses."""

import json
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import calibrated_run
from jaxopt_lab.lab.calibrated_run import calibrate_run, calibrators
from jaxopt_lab.lab.commands.calibrate import main
from jaxopt_lab.lab.commands.train import main as train
from jaxopt_lab.plotting import reliability_diagram


def overconfident(kind="image", seeds=1, classes=2, tested=120):
    """A stand-in for a run: three times the logits that the labels are drawn from."""
    rng = np.random.default_rng(0)

    def batches(count, size):
        z = rng.normal(size=(size, 3)).astype(np.float32)
        y = np.argmax(z + rng.gumbel(size=z.shape), axis=1)
        y = y if classes > 1 else 0 * y + 2
        weight = (np.arange(size) < count).astype(np.float32)
        z[count:] = np.nan
        return [{"image": z, "label": y, "weight": weight}]

    program = SimpleNamespace(val=batches(200, 210))
    return SimpleNamespace(
        kind=kind,
        seeds=seeds,
        program=program,
        test_batches=batches(tested, 128),
        apply=lambda x: 3 * x,
    )


@pytest.fixture
def temperature_alone(monkeypatch):
    # The others are dear to compile; the command has them.
    one = {"temperature_scaling": calibrators()["temperature_scaling"]}
    monkeypatch.setattr(calibrated_run, "calibrators", lambda: one)


@pytest.mark.full
def test_a_temperature_is_found_and_calibrates(temperature_alone):
    found = calibrate_run(overconfident(), bins=5, draws=100)
    assert (found.validated, found.tested) == (200, 120)
    assert list(found.bands) == ["none", "temperature_scaling"]
    np.testing.assert_allclose(found.fitted["temperature_scaling"].temperature, 3, 0.4)
    plain, scaled = (found.bands[n] for n in ("none", "temperature_scaling"))
    # The classes keep their order, the draws are the same: equal to the bit.
    np.testing.assert_array_equal(plain["accuracy"], scaled["accuracy"])
    for name in ("loss", "expected_calibration_error", "kernel_calibration_error"):
        assert scaled[name].value < plain[name].value
    low, high = scaled["kernel_calibration_error"][1:]
    assert low < 0 < high and plain["kernel_calibration_error"].low > 0
    for bands in found.bands.values():
        assert all(np.all(np.isfinite(band)) for band in bands.values())
    bins = found.bins["none"]
    assert np.sum(bins.weight) == 120
    figure = reliability_diagram(found.bins)
    points = [axes.lines[1].get_xdata() for axes in figure.axes]
    assert len(points) == 2
    assert len(points[0]) == np.sum(bins.weight > 0)


def test_bad_runs_are_refused():
    cases = (
        (overconfident(kind="text"), "classifies images"),
        (overconfident(seeds=2), "2 seeds"),
        (overconfident(classes=1), "of one class, 2"),
    )
    for run, words in cases:
        with pytest.raises(InputError, match=words):
            calibrate_run(run)
    without = overconfident()
    without.program.val = None
    with pytest.raises(InputError, match="train it with val="):
        calibrate_run(without)


@pytest.mark.full
def test_few_test_examples_have_values_and_no_bootstrap(temperature_alone):
    found = calibrate_run(overconfident(tested=50), draws=10)
    assert np.isnan(found.bands["none"]["loss"].low)
    assert np.isfinite(found.bands["none"]["loss"].value)


@pytest.mark.full
def test_command(tmp_path, capsys):
    words = ["task=digits", "model=mlp", "model.width=8", "steps=60", "eval_every=60"]
    run = tmp_path / "run"
    assert train([*words, "val=0.2", "report=off", f"out={run}"]) == 0
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        assert main([f"run={run}", "draws=50"]) == 0
    record = json.loads(capsys.readouterr().out.strip().split("\n")[-1])
    assert set(record["calibrations"]) == {"none", *calibrators()}
    loss = {n: found["loss"][0] for n, found in record["calibrations"].items()}
    assert loss["temperature_scaling"] <= loss["none"] + 0.05
    written = json.loads((run / "calibration" / "results.json").read_text())
    assert written["calibrations"] == record["calibrations"]
    assert set(written["fitted"]) == set(calibrators())
    assert (run / "calibration" / "reliability.png").stat().st_size > 10_000
    other = tmp_path / "other"
    assert train([*words[:-2], "steps=1", "report=off", f"out={other}"]) == 0
    assert main([f"run={other}"]) == 2
    assert "no validation split" in capsys.readouterr().err
