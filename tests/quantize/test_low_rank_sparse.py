"""Low rank and sparse rows: the parts, their error, pruning in training."""

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import mixture_of_experts
from jaxopt_lab.quantize import (
    Rule,
    compress_experts,
    expert_kernels,
    kept_share,
    low_rank_sparse,
    prune_rows,
    quantize_params,
    row_importance,
)

RNG = np.random.default_rng(0)
WEIGHT: Any = RNG.normal(size=(6, 8)) * np.array([1, 1, 5, 1, 1, 3])[:, None]
X = RNG.normal(size=(20, 8)) @ RNG.normal(size=(8, 8))
GRAM: Any = X.T @ X


def reference(weight, gram, ratio, keep):
    """In plain NumPy, rows by exhaustive search."""
    m, n = weight.shape
    rank = math.ceil(ratio * m * n / (m + n))
    u, s, v = np.linalg.svd(weight)
    rest = weight - (u[:, :rank] * s[:rank]) @ v[:rank]
    size = np.trace(weight @ gram @ weight.T)

    def error(chosen):
        left = rest.copy()
        left[list(chosen)] = 0
        return np.trace(left @ gram @ left.T) / size

    best = min(itertools.combinations(range(m), round(keep * m)), key=error)
    return rank, best, error(best), error(())


@pytest.mark.parametrize("gram, keep", [(GRAM, 0.34), (None, 0.5), (GRAM, 0.0)])
def test_no_other_rows_have_a_smaller_error(gram, keep):
    found, report = low_rank_sparse(WEIGHT, gram, ratio=0.5, keep=keep)
    eye = np.eye(8) if gram is None else gram
    rank, rows, error, alone = reference(WEIGHT, eye, 0.5, keep)
    assert found.left.shape == (6, rank) and found.right.shape == (rank, 8)
    assert tuple(np.asarray(found.rows)) == rows
    np.testing.assert_allclose(report.error, error, rtol=1e-9, atol=1e-28)
    np.testing.assert_allclose(report.nearest_error, alone, rtol=1e-10)
    assert report.error <= report.nearest_error
    s = np.linalg.svd(WEIGHT, compute_uv=False)
    root = np.sum(np.asarray(found.left) ** 2, 0)
    np.testing.assert_allclose(root, s[:rank], rtol=1e-10)
    counted = found.left.size + found.right.size + found.values.size
    assert report.nbytes == 8 * counted + 4 * len(rows)
    for name in ("dequantize", "product"):
        got = getattr(found, name)(*([X] if name == "product" else []))
        whole = np.asarray(found.left) @ np.asarray(found.right)
        whole[list(rows)] = WEIGHT[list(rows)]
        wanted = X @ whole.T if name == "product" else whole
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9)


def test_all_of_it_is_the_matrix_and_float32_stays():
    found, report = low_rank_sparse(WEIGHT.astype(np.float32), ratio=1.0, keep=1.0)
    np.testing.assert_allclose(found.dequantize(), WEIGHT, atol=1e-5)
    assert {x.dtype for x in found} == {jnp.dtype("float32"), jnp.dtype("int32")}
    assert float(report.error) < 1e-12
    zero, told = low_rank_sparse(jnp.zeros((3, 4)))
    assert not np.any(zero.dequantize()) and float(told.error) == 0


def test_merged_experts_stay_experts():
    experts = {"wi": RNG.normal(size=(2, 4, 6)), "wo": RNG.normal(size=(2, 6, 4))}
    router: Any = {"router": RNG.normal(size=(4, 2))}
    layer = mixture_of_experts(4, experts=2, hidden=6)
    x = RNG.normal(size=(5, 4))

    @jax.jit
    def run(experts):
        small = expert_kernels(compress_experts(experts, ratio=0.5, keep=0.5))
        exact = expert_kernels(compress_experts(experts, ratio=0.5, keep=1.0))
        apply = lambda p: layer.apply({**p, **router}, {}, x, train=False)[0]
        return small, apply(exact), apply(experts)

    small, exact, wanted = run(experts)
    np.testing.assert_allclose(exact, wanted, rtol=1e-9)
    assert expert_kernels(compress_experts(router)) == router
    for name, kernel in experts.items():
        for e in range(2):
            _, rows, _, _ = reference(kernel[e].T, np.eye(len(kernel[e])), 0.5, 0.5)
            found = np.asarray(small[name][e]).T
            np.testing.assert_allclose(found[list(rows)], kernel[e].T[list(rows)])
            rest = np.delete(found, rows, axis=0)
            assert not np.allclose(rest, np.delete(kernel[e].T, rows, axis=0))


def test_it_is_the_rule_of_a_whole_model():
    params = {"kernel": WEIGHT.T}
    model = lambda p, x: x @ p["kernel"]
    rules = [Rule("kernel", low_rank_sparse)]
    found, report = quantize_params(model, params, rules, [X])
    coded, told = report.layers["kernel"]
    np.testing.assert_allclose(found["kernel"], coded.dequantize().T, rtol=1e-12)
    np.testing.assert_allclose(report.output_error, told.error, rtol=1e-9)
    assert report.nbytes == told.nbytes


def test_importance_is_one_step_late_and_rows_go_in_its_order():
    sparse, grads = RNG.normal(size=(5, 3)), RNG.normal(size=(4, 5, 3))
    state, mean, last = None, np.zeros(5), np.zeros(5)
    for g in grads:
        state = row_importance(state, jnp.asarray(sparse), jnp.asarray(g))
        mean, last = 0.85 * mean + 0.15 * last, np.mean(np.abs(sparse * g), 1)
    assert state is not None
    np.testing.assert_allclose(state.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(state.last, last, rtol=1e-12)
    pruned = jax.jit(prune_rows)(sparse, state.mean, 0.6)
    order = np.argsort(-mean)
    np.testing.assert_array_equal(np.asarray(pruned)[order[:3]], sparse[order[:3]])
    assert not np.any(np.asarray(pruned)[order[3:]])


def test_the_kept_share_is_the_cubic_of_the_code():
    steps = np.arange(0, 1000, 37)
    t = np.clip((steps - 100) / 500, 0, 1)
    found = kept_share(jnp.asarray(steps), steps=1000)
    np.testing.assert_allclose(found, 0.25 + 0.75 * (1 - t) ** 3, rtol=1e-6)
    assert float(kept_share(100, steps=1000)) == 1
    assert float(kept_share(600, steps=1000)) == 0.25


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: low_rank_sparse(jnp.ones(3)), "real floating matrix"),
        (lambda: low_rank_sparse(jnp.ones((2, 2), int)), "real floating matrix"),
        (
            lambda: low_rank_sparse(jnp.full((2, 2), jnp.nan)),
            "weight .* be finite",
        ),
        (lambda: low_rank_sparse(WEIGHT, jnp.eye(3)), "gram must have shape"),
        (lambda: low_rank_sparse(WEIGHT, ratio=0.0), "ratio must"),
        (lambda: low_rank_sparse(WEIGHT, keep=1.5), "keep must"),
        (lambda: compress_experts({"wi": jnp.full((1, 2, 2), jnp.inf)}), "wi: weight"),
        (lambda: kept_share(0, steps=500), "below steps=500"),
        (lambda: row_importance(None, WEIGHT, WEIGHT[:2]), "of one shape"),
        (lambda: prune_rows(WEIGHT, jnp.ones(2), 0.5), "a number for each of the rows"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words) as told:
        make()
    assert "\n" not in str(told.value)
