"""The study on minima side by side, at a tiny size."""

import dataclasses
import json

import jax
import jax.flatten_util
import numpy as np
import pytest

from experiments.studies.landscapes import claims, figures, flatness, rows, training
from experiments.studies.landscapes.__main__ import STUDY
from experiments.studies.landscapes.config import SIZES, Case
from jaxopt_lab.curvature.landscape.planes import Line, Surface
from jaxopt_lab.data import load_digits

TINY = dataclasses.replace(
    SIZES["quick"],
    seeds=2,
    steps=3,
    cases=(Case("mlp", "squared"),),
    width=6,
    channels=(2,),
    dense=4,
    rates=(0.05, 0.1),
    radii=(0.1, 0.2),
    points=5,
    directions=2,
    lanczos_steps=4,
)


@pytest.fixture
def as_in_the_command():
    # The suite runs in float64 and forbids rank promotion.
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path, capsys, monkeypatch, as_in_the_command):
    chosen = [row for row in rows.rows(TINY) if row.name in ("SGD", "SAM")]
    monkeypatch.setattr(rows, "rows", lambda _: chosen)
    outcome = STUDY.run(TINY, tmp_path)
    results = outcome.measured
    assert len(outcome.verdicts) == 3
    record = json.loads((tmp_path / "results.json").read_text())
    assert [r["optimizer"] for r in record["results"]] == ["SGD", "SAM"]
    for found in record["results"]:
        assert (found["network"], found["loss"]) == ("mlp", "squared")
        assert len(found["top"]) == 2 and min(found["top"]) > 0
        assert np.all(np.isfinite(found["noise_rise"]))
    with np.load(tmp_path / "mlp-squared-landscapes.npz") as file:
        assert file["SAM/filter_line/losses"].shape == (5, 4)
        assert file["SAM/hessian_line/losses"].shape == (5, 2)
        plane = file["SGD/hessian_plane/losses"]
    sgd = results[TINY.cases[0]]["SGD"]
    # All landscapes go through the minimum itself.
    loss = sgd.measures.train_loss
    np.testing.assert_allclose(plane[2, 2], loss[0], rtol=1e-6)
    np.testing.assert_allclose(sgd.cuts.hessian_line.losses[2], loss, rtol=1e-6)
    filter_line = sgd.cuts.filter_line.losses[2]
    np.testing.assert_allclose(filter_line, np.repeat(loss, 2), rtol=1e-6)
    for name in ("planes", "lines"):
        picture = (tmp_path / f"mlp-squared-{name}.png").read_bytes()
        assert picture.startswith(b"\x89PNG")
    assert "SAM / SGD" in capsys.readouterr().out


@pytest.mark.full
def test_one_by_one_and_side_by_side_are_the_same(as_in_the_command):
    lab = training.prepare(TINY, Case("mlp", "cross-entropy"), load_digits())
    assert lab.mode == "vmap"
    row = next(row for row in rows.rows(TINY) if row.name == "mSAM")
    one = training._side_by_side(row, lab)
    two = training._one_by_one(row, lab)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


@pytest.mark.full
def test_the_measures_are_what_they_say(as_in_the_command):
    lab = training.prepare(TINY, Case("mlp", "squared"), load_digits())
    params = [jax.tree.map(lambda x, j=j: x[j], lab.params) for j in range(2)]
    found, vectors = flatness.flatness(lab, params)
    flat, unravel = jax.flatten_util.ravel_pytree(params[1])
    batch = lab.batch(lab.sample.train[1])
    dense = jax.hessian(lambda v: lab.loss(unravel(v), batch))(flat)
    values = np.linalg.eigvalsh(np.asarray(dense))
    assert abs(found.top[1] - values[-1]) <= found.residual[1] + 1e-4 * values[-1]
    # To second order the mean rise is that of the quadratic model.
    scaled = flatness._directions(lab, 1, params[1])
    config = dataclasses.replace(TINY, filter_step=0.01)
    rise = flatness._mean_rise(lab._replace(config=config), params[1], scaled, batch)
    raveled = [np.asarray(jax.flatten_util.ravel_pytree(d)[0]) for d in scaled]
    model = np.mean([0.01**2 / 2 * d @ dense @ d for d in raveled])
    np.testing.assert_allclose(rise, model, rtol=0.1)
    assert jax.tree.leaves(vectors[0])[0].shape[0] == 2


@pytest.mark.full
def test_convolutions_on_cpu_are_driven_from_the_host():
    lab = training.prepare(TINY, Case("convnet", "squared"), load_digits())
    assert lab.mode == "unroll"


def test_all_rows_have_the_same_tuning_budget():
    for size, budget in (("quick", 2), ("standard", 4)):
        assert {len(row.settings) for row in rows.rows(SIZES[size])} == {budget}
    names = {row.name for row in rows.rows(TINY)}
    assert {name for pair in claims.PAIRS for name in pair} == names


def test_the_planes_are_on_one_scale():
    at = np.linspace(-1, 1, 5)
    bowl = 0.1 + at[:, None] ** 2 + at[None] ** 2

    def cuts(k):
        surface = Surface(at, at, k * bowl, 0.0)
        lines = Line(at, k * bowl[:, :2])
        return flatness.Cuts(lines, lines, surface, surface)

    drawn = figures.planes({"SGD": cuts(1.0), "SAM": cuts(0.5)}, TINY, TINY.cases[0])
    limits = {axes.collections[0].get_clim() for axes in drawn.axes[:4]}
    ((low, high),) = limits
    assert low == pytest.approx(0.05) and 1.0 < high <= 2.1
    assert drawn.axes[4].get_ylabel() == "training loss (half squared error)"
    assert "lambda_{SGD}" in drawn.axes[2].get_xlabel()


def test_names_of_the_cases():
    case = Case("mlp", "cross-entropy")
    assert (case.name, case.unit) == ("mlp-cross-entropy", "nats")
