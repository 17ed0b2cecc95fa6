"""CoDiEmb's losses against recorded values and gradients."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.losses import multi_positive_retrieval, similarity_ranking

FOLDER = pathlib.Path(__file__).parents[1] / "vectors" / "codiemb"
PARTS = {"pearson": "pearson", "rank": "rankkl", "preference": "pro"}
RNG = np.random.default_rng(0)
SIM, SCORES = RNG.normal(size=6), np.array([1.0, 3, 3, 0, 5, 2])


def _alone(name):
    return {part: float(part == name) for part in PARTS}


@pytest.mark.full(plain=["case2_ties"])
@pytest.mark.parametrize("case", ["case1", "case2_ties"])
def test_vectors(case):
    with np.load(FOLDER / f"{case}.npz") as file:
        a = {n: file[n] for n in file.files}
    meta = json.loads(str(a["meta"]))
    sim, scores = a["batch/0/sim"], a["batch/0/score"]
    q = a["batch/0/q"]
    p = a["batch/0/p"].reshape(len(q), -1, q.shape[1])

    @jax.jit
    def every(sim, q, p):
        def alone(name):
            loss = lambda s: similarity_ranking(s, scores, **_alone(name))
            return jax.value_and_grad(loss)(sim)

        def retrieval(q, p):
            options = {"positives": meta["positives"]}
            options["temperature"] = meta["ir_temperature"]
            return jnp.mean(multi_positive_retrieval(q, passages=p, **options))

        graded = jax.value_and_grad(retrieval, argnums=(0, 1))(q, p)
        return {name: alone(name) for name in PARTS}, graded

    parts, (value, slopes) = every(sim, q, p)
    for name, key in PARTS.items():
        # The recorded ranks went through float32.
        close = {"rtol": 1e-6 if name == "rank" else 1e-9, "atol": 1e-7}
        close["atol"] = 1e-7 if name == "rank" else 1e-12
        np.testing.assert_allclose(parts[name][0], a[f"out/{key}"], **close)
        np.testing.assert_allclose(parts[name][1], a[f"out/{key}_grad"], **close)
    np.testing.assert_allclose(value, a["out/ir"], rtol=1e-9)
    np.testing.assert_allclose(slopes[0], a["out/ir_grad_q"], rtol=1e-9, atol=1e-12)
    flat = np.asarray(slopes[1]).reshape(-1, q.shape[1])
    np.testing.assert_allclose(flat, a["out/ir_grad_p"], rtol=1e-9, atol=1e-12)


@pytest.mark.full
def test_dropped_pairs_and_queries_are_as_if_they_were_not_there():
    where = np.array([1, 1, 0, 1, 1, 0])
    filled = np.where(where == 0, np.nan, SIM)
    call = jax.jit(jax.value_and_grad(similarity_ranking))
    value, slope = call(filled, SCORES, where=where)
    kept = where != 0
    expected, expected_slope = call(SIM[kept], SCORES[kept])
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(slope[kept], expected_slope, rtol=1e-9, atol=1e-12)
    assert not np.any(slope[~kept])
    q, p = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 3, 4))
    p[2] = np.nan
    losses = multi_positive_retrieval(q, passages=p, positives=2, where=where)
    alone = multi_positive_retrieval(q[kept], passages=p[kept], positives=2)
    np.testing.assert_allclose(losses[kept], alone, rtol=1e-12)
    assert not np.any(losses[~kept])


@pytest.mark.parametrize(
    "sim, scores",
    [
        (np.full(4, 0.7), np.arange(4.0)),
        (np.arange(4.0), np.full(4, 0.7)),
        (np.zeros(4), np.zeros(4)),
        (np.ones(1), np.ones(1)),
    ],
)
def test_equal_scores_and_one_pair_are_finite(sim, scores):
    found = jax.jit(jax.value_and_grad(similarity_ranking))(sim, scores)
    assert all(np.all(np.isfinite(x)) for x in found)
    weights = _alone("pearson")
    value, slope = jax.value_and_grad(similarity_ranking)(sim, scores, **weights)
    assert float(value) == 1 and not np.any(slope)
    # No pair at all.
    none = np.zeros(len(sim))
    value, slope = jax.value_and_grad(similarity_ranking)(sim, scores, where=none)
    assert np.isfinite(value) and not np.any(slope)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: similarity_ranking(SIM, SCORES[:3]), r"scores must have shape \(6,\)"),
        (lambda: similarity_ranking(SIM, np.arange(6)), "scores must be real floating"),
        (lambda: similarity_ranking(SIM, SCORES, rank=-1.0), "rank must be at least 0"),
        (
            lambda: multi_positive_retrieval(np.eye(2), passages=np.ones((2, 0, 2))),
            "positives=1 of each query; got 0 passages",
        ),
        (
            lambda: multi_positive_retrieval(np.eye(2), passages=np.ones((3, 1, 2))),
            r"passages must have shape \(2, 1, 2\)",
        ),
    ],
)
def test_what_they_refuse(call, words):
    with pytest.raises(InputError, match=words):
        call()
