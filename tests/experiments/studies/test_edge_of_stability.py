"""The study on the edge of stability, at a tiny size."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness.verdicts import judge
from experiments.studies.edge_of_stability import claims, measure, network
from experiments.studies.edge_of_stability.__main__ import STUDY
from experiments.studies.edge_of_stability.config import B2, SIZES, Row
from jaxopt_lab.training import seed_keys

TINY = dataclasses.replace(
    SIZES["quick"],
    seeds=2,
    points=3,
    every=2,
    examples=12,
    batch_size=4,
    width=3,
    lanczos_steps=30,
)


@pytest.fixture(autouse=True)
def broadcast():
    # The network adds biases as users write it.
    with jax.numpy_rank_promotion("allow"):
        yield


def quadratic_is_stable(row):
    """Whether the optimizer shrinks on a quadratic of a curvature near its edge."""
    tx = row.optimizer()
    out = []
    for part in (0.97, 1.03):
        h = part * row.edge
        w = jnp.array(1e-3)
        state = tx.init(w)
        for _ in range(400):
            updates, state = tx.update(h * w, state, w)
            w = w + updates
        out.append(abs(float(w)))
    return out


@pytest.mark.parametrize("row", [Row("gd", 0.3), Row("momentum", 0.2)])
def test_the_edge_is_where_a_quadratic_ceases_to_be_stable(row):
    below, above = quadratic_is_stable(row)
    assert below < 1e-3 < above


@pytest.mark.full
def test_first_measurement_is_the_dense_eigenvalue():
    data = network.digits(TINY.examples)
    row = Row("gd", 0.1)
    path = measure.follow(row, TINY, data)
    for i, key in enumerate(seed_keys(0, TINY.seeds)):
        params = network.init(jax.random.split(key, 3)[0], TINY.width)
        flat, back = jax.flatten_util.ravel_pytree(params)
        dense = jax.hessian(lambda v, back=back: network.loss(back(v), data))(flat)
        top = np.linalg.eigvalsh(dense)[-1]
        np.testing.assert_allclose(path.sharpness[0, i] * row.edge, top, rtol=1e-5)


@pytest.mark.full
def test_adam_is_measured_with_its_diagonal_after_the_first_step():
    path = measure.follow(Row("adam", 1e-3), TINY, network.digits(TINY.examples))
    assert np.isnan(path.sharpness[0]).all()
    assert np.isfinite(path.sharpness[1:]).all() and 0 < B2 < 1


def test_verdict_words():
    row = Row("gd", 0.1)

    def word(values):
        return judge([claims.claim(row, "c", np.array(values), (0.9, 1.1))])[0].word

    assert word([1.0, 1.01, 1.0, 0.99, 1.0]) == "shown"
    assert word([2.0, 2.1, 2.0, 2.1, 2.0]) == "contradicted"
    assert word([0.8, 1.0, 0.8, 1.0, 0.9]) == "undecided"
    assert word([1.0, 1.01]) == "undecided"
    assert word([1.0, np.nan]) == "contradicted"


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path, capsys):
    rows = (Row("gd", 0.1), Row("adam", 1e-3), Row("sgd", 0.1))
    told = STUDY.run(dataclasses.replace(TINY, rows=rows), tmp_path / "new").verdicts
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    assert [p["row"] for p in record["paths"]] == [row.name for row in rows]
    assert np.shape(record["paths"][2]["batch_sharpness"]) == (4, 2)
    assert record["paths"][0]["batch_sharpness"] is None
    assert len(told) == len(record["verdicts"]) == 8
    png = (tmp_path / "new" / "paths.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert "settles at the edge" in capsys.readouterr().out
